import { EventEmitter } from 'node:events'

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

/** @internal The key of the method that registers a callback for the JSON of each later event. */
export const REGISTER = Symbol('register')

/** A function that receives events. */
export type EventListener = (event: Event) => void

/** A listener of either name. */
type AnyListener = EventListener | ((error: Error) => void)

/** Emits events to listeners, as an EventEmitter does. Works with `events.once` and `events.on`. */
export abstract class EventSource {
  readonly #emitter = new EventEmitter()
  #isRegistered = false

  /** @internal */
  abstract [REGISTER](callback: (json: string) => void): void

  /**
   * Adds a listener for later events. It runs on the event loop and does not keep the process alive.
   * An exception of a listener becomes a process warning.
   *
   * @param name `event`; a listener of `error` is never called
   * @param listener receives the event
   * @returns this object
   * @throws {WebhookMtlsError} `option_invalid`
   */
  on(name: 'event', listener: EventListener): this
  on(name: 'error', listener: (error: Error) => void): this
  on(name: string, listener: AnyListener): this {
    return this.#add(name, listener, false)
  }

  /** As {@link on}, for the next event only. */
  once(name: 'event', listener: EventListener): this
  once(name: 'error', listener: (error: Error) => void): this
  once(name: string, listener: AnyListener): this {
    return this.#add(name, listener, true)
  }

  /** Removes a listener that {@link on} or {@link once} added. */
  off(name: 'event', listener: EventListener): this
  off(name: 'error', listener: (error: Error) => void): this
  off(name: string, listener: AnyListener): this {
    this.#emitter.off(name, listener)
    return this
  }

  /** As {@link off}; `events.once` and `events.on` call it. */
  removeListener(name: 'event', listener: EventListener): this
  removeListener(name: 'error', listener: (error: Error) => void): this
  removeListener(name: string, listener: AnyListener): this {
    this.#emitter.off(name, listener)
    return this
  }

  #add(name: unknown, listener: unknown, isOnce: boolean): this {
    // `events.once` listens for errors as well.
    if (name !== 'event' && name !== 'error') throw wrongType('name', "'event'", name)
    if (typeof listener !== 'function') throw wrongType('callback', 'a function', listener)
    if (!this.#isRegistered && name === 'event') {
      this[REGISTER]((json) => this.#emit(json))
      this.#isRegistered = true
    }
    const callback = listener as (...values: unknown[]) => void
    if (isOnce) this.#emitter.once(name, callback)
    else this.#emitter.on(name, callback)
    return this
  }

  #emit(json: string): void {
    const emitted = event(JSON.parse(json) as EventJson)
    // Each alone: one listener's exception must not keep the event from the others.
    for (const listener of this.#emitter.rawListeners('event')) {
      try {
        listener.call(this.#emitter, emitted)
      } catch (raised) {
        // An exception here would end the process, because no caller can catch it.
        process.emitWarning(`a listener of webhook-mtls threw: ${String(raised)}`)
      }
    }
  }
}

function event({ name, consumer, fields }: EventJson): Event {
  return { name, ...(consumer !== null && { consumer }), fields }
}
