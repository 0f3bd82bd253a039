import { unwrap, wrongType } from './error'
import type { CallResult } from './native'

/** An event for operators. `docs/events.md` lists all events. */
export interface Event {
  /** The name, such as `rotated`. */
  readonly name: string
  /** The consumer id, if the event concerns one consumer. */
  readonly consumer?: string
  /** The facts. Names are equal in every language. Times are Unix milliseconds. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** A certificate or CRL that expires, and the remaining fraction of its lifetime. */
export interface Expiry {
  /** The kind of object. */
  readonly what: 'identity' | 'anchor' | 'intermediate' | 'crl' | 'consumer'
  /** Its subject, the issuer of a CRL, or the consumer id. */
  readonly name: string
  /** The last instant of its validity. */
  readonly notAfter: Date
  /** The remaining fraction of its lifetime: 1 at the start, 0 once it has expired. */
  readonly fractionLeft: number
}

interface EventJson {
  name: string
  consumer: string | null
  fields: Record<string, unknown>
}

/** @internal */
export function events(result: CallResult<string>): Event[] {
  return (JSON.parse(unwrap(result)) as EventJson[]).map(event)
}

/** @internal */
export function expiries(result: CallResult<string>): Expiry[] {
  const rows = JSON.parse(unwrap(result)) as {
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

/** @internal Checks the arguments of `on`, and returns the callback for the addon. */
export function listener(name: unknown, callback: unknown): (json: string) => void {
  if (name !== 'event') throw wrongType('name', "'event'", name)
  if (typeof callback !== 'function') throw wrongType('callback', 'a function', callback)
  return (json) => {
    try {
      ;(callback as (event: Event) => void)(event(JSON.parse(json) as EventJson))
    } catch (raised) {
      // An exception here would end the process, because no caller can catch it.
      process.emitWarning(`a listener of webhook-mtls threw: ${String(raised)}`)
    }
  }
}

function event({ name, consumer, fields }: EventJson): Event {
  return { name, ...(consumer !== null && { consumer }), fields }
}
