// The testing kit: a private CA and receivers that require client certificates, for your own tests.

import { Dispatcher, dispatcherAround, dispatcherGiven, type DispatcherOptions } from './dispatcher.js'
import { take, WebhookMtlsError, type Kind } from './errors.js'
import { Identity, Trust } from './material.js'
import { native, type Handle } from './native.js'
import { handleOf, keep, options, seen, text, wrongType } from './values.js'

/** How a receiver can misbehave. */
export type Misbehaviour =
  | 'never_ask' | 'reject_certificate' | 'expired' | 'wrong_name' | 'reset_after_body' | 'stall' | 'other_ca'

/** A request as a receiver got it. */
export interface Received {
  /** The webhook-id header. */
  readonly id?: string
  /** The method. */
  readonly method: string
  /** The path and query. */
  readonly path: string
  /** Headers in their order, names in lower case. */
  readonly headers: readonly (readonly [string, string])[]
  /** The whole body. */
  readonly body: Uint8Array
  /** The tenant in our certificate. */
  readonly tenant: string | null
}

/** A receiver on a loopback port. Made by `Lab.consumer`. */
export class Consumer {
  /** @internal */
  constructor(handle: Handle) {
    keep(this, handle)
  }

  /** Where it listens. */
  get url(): string { return native.consumerUrl(handleOf(this)) }
  /** The pin of its key. */
  get pin(): string { return native.consumerPin(handleOf(this)) }
  /** How many TCP connections it has accepted. */
  get connections(): number { return native.consumerConnections(handleOf(this)) }
  /** Every complete request so far. */
  get received(): Received[] {
    return native.consumerReceived(handleOf(this)).map(({ tenant, ...rest }) => ({ ...rest, tenant: tenant ?? null }))
  }

  /** Resolves with true once that many requests are recorded, with false after that time. */
  async wait(count: number, withinMs: number): Promise<boolean> {
    return take(await native.consumerWait(handleOf(this), count, withinMs))
  }

  /** Answers so, that many times (0: until told otherwise); `retryAfter` in seconds. */
  respond(status: number, o?: { retryAfter?: number; times?: number }): void {
    const { retryAfter, times = 1 } = options(o, 'options')
    native.consumerRespond(handleOf(this), count(status, 'status'), retryAfter === undefined ? undefined : count(retryAfter, 'retry_after'), count(times, 'times'))
  }

  /** Misbehaves so, that many times (0: until told otherwise). */
  misbehave(how: Misbehaviour, times = 1): void {
    take(native.consumerMisbehave(handleOf(this), text(how, 'how'), count(times, 'times')))
  }

  /** Gets a new certificate, with a new key or the same, and closes idle connections. */
  renew(o: { newKey: boolean }): void {
    const { newKey } = options(o, 'options')
    if (typeof newKey !== 'boolean') throw wrongType('new_key', 'a boolean', seen(newKey))
    take(native.consumerRenew(handleOf(this), newKey))
  }
}

/** A throw-away private CA with receivers, all on this machine. */
export class Lab {
  /** @internal */
  constructor(handle: Handle) {
    keep(this, handle)
  }

  /** Starts one. */
  static async start(): Promise<Lab> {
    return new Lab(take(await native.labStart()))
  }

  /** A dispatcher's identity below the lab's CA. */
  get identity(): Identity { return Identity.made(take(native.labIdentity(handleOf(this)))) }
  /** The lab's CA. */
  get trust(): Trust { return Trust.made(take(native.labTrust(handleOf(this)))) }

  /** The receiver of that name; the same name gives the same receiver. */
  async consumer(name: string): Promise<Consumer> {
    return new Consumer(take(await native.labConsumer(handleOf(this), text(name, 'name'))))
  }

  /** A dispatcher with the lab's identity and trust that may reach loopback. */
  dispatcher(o?: DispatcherOptions): Dispatcher {
    return dispatcherAround(take(native.labDispatcher(handleOf(this), dispatcherGiven(o))))
  }

  /** Writes tls.crt, tls.key and ca.pem into a directory. */
  writeFiles(directory: string): void {
    take(native.labWriteFiles(handleOf(this), text(directory, 'directory')))
  }

  /** Stops everything. */
  async close(): Promise<void> {
    take(await native.labClose(handleOf(this)))
  }

  /** Stops everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** A well-formed error of a kind, for tests of your own switch. */
export function error(kind: Kind | (string & {})): WebhookMtlsError {
  return WebhookMtlsError.of(take(native.testingError(text(kind, 'kind'))))
}

/** @internal The tables of the core, for the test that the copies here equal them. */
export function tables(): string {
  return native.tables()
}

/** @internal Panics in the addon, for the test that no panic crosses the border. */
export function panic(): void {
  take(native.testingPanic())
}

function count(value: unknown, option: string): number {
  const sound = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32
  if (!sound) throw wrongType(option, 'a whole number', seen(value))
  return value
}
