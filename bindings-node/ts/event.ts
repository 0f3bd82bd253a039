import { settled, wrongType } from './error'
import type { Outcome } from './native'

/** Something that an operator should hear about. `docs/events.md` lists what there is. */
export interface Event {
  /** What happened, such as `rotated`. */
  readonly name: string
  /** The consumer it concerns, if it concerns a single one. */
  readonly consumer?: string
  /** The facts, with the names that they have in every language. Instants are milliseconds. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** Something that expires, and how much of its lifetime is left. */
export interface Expiry {
  /** What it is. */
  readonly what: 'identity' | 'anchor' | 'intermediate' | 'crl' | 'consumer'
  /** Its subject, the issuer of a CRL, or the consumer id. */
  readonly name: string
  /** The last instant of its validity. */
  readonly notAfter: Date
  /** 1 at its first instant, 0 once it has expired. */
  readonly fractionLeft: number
}

interface EventJson {
  name: string
  consumer: string | null
  fields: Record<string, unknown>
}

/** @internal */
export function events(outcome: Outcome<string>): Event[] {
  return (JSON.parse(settled(outcome)) as EventJson[]).map(event)
}

/** @internal */
export function expiries(outcome: Outcome<string>): Expiry[] {
  const rows = JSON.parse(settled(outcome)) as {
    what: Expiry['what']
    name: string
    not_after_ms: number
    fraction_left: number
  }[]
  return rows.map((row) => ({
    what: row.what,
    name: row.name,
    notAfter: new Date(row.not_after_ms),
    fractionLeft: row.fraction_left,
  }))
}

/** @internal What a caller gave to `on`, as the addon calls it. */
export function listener(name: unknown, callback: unknown): (json: string) => void {
  if (name !== 'event') throw wrongType('name', "'event'", name)
  if (typeof callback !== 'function') throw wrongType('callback', 'a function', callback)
  return (json) => {
    try {
      ;(callback as (event: Event) => void)(event(JSON.parse(json) as EventJson))
    } catch (raised) {
      // To throw here would end the process: nobody is below to catch it.
      process.emitWarning(`a listener of webhook-mtls threw: ${String(raised)}`)
    }
  }
}

function event({ name, consumer, fields }: EventJson): Event {
  return { name, ...(consumer !== null && { consumer }), fields }
}
