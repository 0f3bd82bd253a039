import { expect } from './completions'
import { egressHandle, type Egress } from './egress'
import { Endpoint, endpointGiven, type EndpointOptions } from './endpoint'
import { errorOf, settled, wrongType } from './error'
import { events, expiries, listener, type Event, type Expiry } from './event'
import { body as bodyOf, flag, Options, text, type Body } from './given'
import { Identity } from './identity'
import { Outcomes, type Delivery } from './many'
import { native, type DispatcherGiven, type Handle, type Outcome } from './native'
import { Probe } from './probe'
import { Receipt } from './receipt'
import { rotationStatus, type RotationStatus } from './rotation'
import { watch, type Watched } from './signal'
import { Trust } from './trust'
import type { StatusRetry } from './words'

/** What a dispatcher does unless an endpoint or a delivery says otherwise. */
export interface DispatcherOptions {
  /** Who we are, for endpoints that bring no identity of their own. */
  identity?: Identity
  /** Whom we believe, for endpoints that bring no trust of their own. */
  trust?: Trust
  /** Which addresses may be connected to; by default `public`. */
  egress?: Egress
  /**
   * The CONNECT proxy to go through: `http://host:port` or `http://user:password@host:port`. No
   * environment variable says one.
   */
  proxy?: string
  /** `user:password` for the proxy, where its URL shall not hold them. */
  proxyCredentials?: string
  /** The time one delivery may take in all, in milliseconds; it bounds the other four. */
  timeoutMs?: number
  /** The time to resolve the host and open a TCP connection, in milliseconds. */
  connectTimeoutMs?: number
  /** The time of the TLS handshake, in milliseconds. */
  handshakeTimeoutMs?: number
  /** The time to hand the request to the kernel, in milliseconds. */
  writeTimeoutMs?: number
  /** The time from the last request byte to the head of the answer, in milliseconds. */
  responseTimeoutMs?: number
  /** How often watched files are looked at, in milliseconds; 0 for only by `reload()`. */
  reloadMs?: number
  /** The fraction of a lifetime left at which an expiry event comes first; by default 0.2. */
  expiryWarning?: number
  /** How many connections may be open at once, idle ones included; by default 256. */
  maxConnections?: number
  /**
   * How many deliveries may wait for a turn or a connection, by default 4096. Those of one owner are
   * at most a quarter. Further ones reject with `overloaded`.
   */
  maxWaiting?: number
  /** Whether trying again helps after a status other than 2xx; by default 410, 413, 414, 431 never. */
  statusRetry?: StatusRetry
}

/** What one delivery sends beside its body. */
export interface DeliverOptions {
  /** The event's id, sent as `webhook-id`. Give every attempt at the same event the same one. */
  id?: string
  /** The type of the body; by default `application/json`. */
  contentType?: string
  /** Further request headers. */
  headers?: Readonly<Record<string, string>>
  /** The time this delivery may take in all, in milliseconds; by default the dispatcher's. */
  timeoutMs?: number
  /** Cancels the delivery when it is aborted: the promise rejects with `canceled`. */
  signal?: AbortSignal
}

/** What a probe may take. */
export interface ProbeOptions {
  /** The time it may take in all, in milliseconds; by default the dispatcher's. */
  timeoutMs?: number
  /** Cancels the probe when it is aborted: the promise rejects with `canceled`. */
  signal?: AbortSignal
}

// Older releases of Node 20 lack it; there, close() is called by its name.
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * Delivers webhooks over mutual TLS. Make one per process and keep it: it keeps connections. An
 * idle one never keeps the process alive; a delivery under way does.
 */
export class Dispatcher implements AsyncDisposable {
  readonly #handle: Handle
  readonly #endpoints = new Map<string, Endpoint>()

  /**
   * @param options all may be left out; then each endpoint brings its own identity and trust
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options?: DispatcherOptions)
  /** @internal */
  constructor(
    options: DispatcherOptions | undefined,
    make: (given: DispatcherGiven) => Outcome<Handle>,
  )
  constructor(options?: DispatcherOptions, make = native.dispatcher) {
    this.#handle = settled(make(dispatcherGiven(new Options(options, ['dispatcher']))))
  }

  /**
   * Makes or changes the endpoint of a consumer. Equal values keep its connections; changed ones
   * concern this endpoint alone. Cheap enough to be called before every delivery.
   *
   * @param consumer the consumer id, the key of everything that is known of the consumer
   * @param url where it listens; `https` only
   * @param options its pins must be said, if only that there are none
   * @returns the same object for the same consumer, until it is removed
   * @throws {WebhookMtlsError} `url_invalid`, `option_invalid` or `handle_closed`
   */
  endpoint(consumer: string, url: string, options: EndpointOptions): Endpoint {
    const given = endpointGiven(new Options(options, ['endpoint']))
    const names = [text('consumer', consumer), text('url', url)] as const
    const handle = settled(native.dispatcherEndpoint(this.#handle, ...names, given))
    const known = this.#endpoints.get(consumer)
    if (known?.is(handle)) return known
    const made = new Endpoint(handle)
    this.#endpoints.set(consumer, made)
    return made
  }

  /**
   * Forgets the endpoint of a consumer and closes its idle connections.
   *
   * No request to it starts once this has returned: deliveries whose bytes already leave finish, and
   * those that have not begun end as `handle_closed`, with nothing sent.
   *
   * @returns whether there was one
   */
  remove(consumer: string): boolean {
    this.#endpoints.delete(consumer)
    return settled(native.dispatcherRemove(this.#handle, text('consumer', consumer)))
  }

  /**
   * Delivers one body.
   *
   * @param endpoint an endpoint of this dispatcher
   * @param body text as UTF-8, or bytes, which are copied before this returns; at most 32 MiB
   * @param options headers, deadline, signal
   * @returns a promise of the receipt: the consumer answered with a final 2xx head
   *
   * Rejects with a {@link WebhookMtlsError} of any kind, never throws; `sent` says how much may
   * have reached the consumer.
   */
  async deliver(endpoint: Endpoint, body: Body, options?: DeliverOptions): Promise<Receipt> {
    const given = new Options(options, ['deliver'], ['signal'])
    const target = Endpoint.handle('endpoint', endpoint)
    const watched = watch(given)
    const settings = given.settings('deliver')
    const payload = payloadOf(body, watched)
    const completion = await new Promise<Receipt | string>((resolve) => {
      const from = this.#handle
      const number = expect(resolve)
      const cancel = watched?.cancel
      const fault = native.dispatcherDeliver(from, target, payload, settings, cancel, number)
      // What is brought all the same under the number is then too late.
      if (fault !== null) resolve(fault)
    })
    watched?.leave()
    // Made here and not where it arrived, so that its stack says who called.
    if (typeof completion === 'string') throw errorOf(completion, watched?.cause())
    return completion
  }

  /**
   * Shakes hands with a consumer over a connection of its own, judges it as a delivery would, and
   * closes. No byte of a request is sent. What was seen is recorded in the endpoint's status. A
   * consumer that refuses our certificate only in its answer to a request, as nginx does, is not
   * found out.
   *
   * @param endpoint an endpoint of this dispatcher
   * @param options deadline, signal
   * @returns a promise of what the handshake has shown
   *
   * Rejects with what a delivery fails with before its request, never throws.
   */
  async probe(endpoint: Endpoint, options?: ProbeOptions): Promise<Probe> {
    const given = new Options(options, ['probe'], ['signal'])
    const target = Endpoint.handle('endpoint', endpoint)
    const settings = given.settings('probe')
    const send = (cancel: Handle | undefined) =>
      native.dispatcherProbe(this.#handle, target, settings, cancel)
    return new Probe(await cancelable(given, send))
  }

  /**
   * Looks at all watched files now, and puts into use what they hold anew. Listeners hear the
   * events as well; an unusable file is `rotation_failed`, and the former material stays in use.
   *
   * @returns a promise of what there is to tell
   *
   * Rejects with `handle_closed`.
   */
  async reload(): Promise<Event[]> {
    return events(await native.dispatcherReload(this.#handle))
  }

  /**
   * What expires: our chains, anchors, intermediates, CRLs, and each consumer's certificate as last
   * seen; what has the least of its lifetime left comes first.
   *
   * @throws {WebhookMtlsError} `clock_implausible`: without the time nothing can be said
   */
  expiries(): Expiry[] {
    return expiries(native.dispatcherExpiries(this.#handle))
  }

  /**
   * Which of our identities each consumer took last, as this process has seen it. To merge those of
   * several processes, take each consumer from the one with the latest `acceptedAt`.
   */
  rotationStatus(): RotationStatus {
    return rotationStatus(native.dispatcherRotationStatus(this.#handle))
  }

  /**
   * Shows a previous identity to nobody any more, for instance before its certificate is revoked.
   *
   * @param identity one that was in use before; the one in use now cannot be retired
   * @param options `force`: also if consumers depend on it, those that took it last
   * @returns the consumers that depended on it; there are none unless it was forced
   * @throws {WebhookMtlsError} `identity_in_use`, whose context lists the `consumers`, or
   * `handle_closed`
   */
  retire(identity: Identity, options?: { force?: boolean }): string[] {
    const given = new Options(options, [], ['force'])
    const force = given.optional('force', flag) ?? false
    return settled(
      native.dispatcherRetire(this.#handle, Identity.handle('identity', identity), force),
    )
  }

  /**
   * Has every event from now on handed to a listener, in the event loop, which it never keeps
   * alive. What a listener throws becomes a process warning.
   *
   * @param name `event`
   * @param callback takes the event
   * @throws {WebhookMtlsError} `option_invalid`
   */
  on(name: 'event', callback: (event: Event) => void): this {
    settled(native.dispatcherOnEvent(this.#handle, listener(name, callback)))
    return this
  }

  /**
   * Delivers many at once, and gives outcomes as they finish.
   *
   * Takes deliveries as they are wanted: while fewer than `concurrency` are under way. One whose
   * consumer is slow is put aside until its turn comes, and holds up no other; its timeout starts
   * then. A delivery that fails is an outcome and ends nothing else. What the iterable throws is
   * thrown once the outcomes of what it gave before have been given.
   *
   * @param deliveries an iterable or an asynchronous iterable of deliveries
   * @param options `concurrency`: how many are under way at once; by default 64
   * @returns an asynchronous iterator of outcomes; leaving its loop cancels what is under way
   *
   * Rejects with `option_invalid`, never throws.
   */
  deliverMany<T = unknown>(
    deliveries: Iterable<Delivery<T>> | AsyncIterable<Delivery<T>>,
    options?: { concurrency?: number },
  ): Outcomes<T> {
    return new Outcomes<T>(this.#handle, deliveries, options)
  }

  /**
   * Lets the deliveries under way finish, then cancels those that are left (`canceled`). New ones
   * fail with `handle_closed` from now on. Closing twice is the same as once.
   *
   * @param options `drainMs`: how long they may take, in milliseconds; by default 0
   * @returns a promise that is kept when nothing is under way and no connection open
   */
  async close(options?: { drainMs?: number }): Promise<void> {
    const given = new Options(options, [], ['drainMs'])
    const drainMs = given.optional('drainMs', duration) ?? 0
    settled(await native.dispatcherClose(this.#handle, drainMs))
    this.#endpoints.clear()
  }

  /** The same as {@link close} without time to drain; what `await using` calls. */
  async [asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** What a one-shot delivery needs beside its body. */
export type OneShotOptions = DispatcherOptions & EndpointOptions & DeliverOptions

/**
 * Delivers one body over a connection of its own, which is closed then: the form for scripts.
 *
 * @param url where the consumer listens; `https` only
 * @param body text as UTF-8, or bytes, which are copied before this returns; at most 32 MiB
 * @param options identity, trust, pins, and all that dispatchers, endpoints and deliveries take
 * @returns a promise of the receipt; its consumer is the URL's host and port
 *
 * Rejects with a {@link WebhookMtlsError} of any kind, never throws.
 */
export async function deliver(
  url: string,
  body: Body,
  options: OneShotOptions & { identity: Identity; trust: Trust },
): Promise<Receipt> {
  const given = new Options(options, ['deliver', 'endpoint', 'dispatcher'], ['signal'])
  const target = text('url', url)
  const nouns = [dispatcherGiven(given), endpointGiven(given), given.settings('deliver')] as const
  const send = (cancel: Handle | undefined) =>
    native.deliverOnce(target, bodyOf('body', body), ...nouns, cancel)
  return new Receipt(await cancelable(given, send))
}

function dispatcherGiven(given: Options): DispatcherGiven {
  return {
    identity: given.optional('identity', Identity.handle),
    trust: given.optional('trust', Trust.handle),
    egress: given.optional('egress', egressHandle),
    settings: given.settings('dispatcher'),
  }
}

/** The bytes of a body; lets go of the signal if there are none. */
function payloadOf(body: unknown, watched: Watched | undefined): Uint8Array {
  try {
    return bodyOf('body', body)
  } catch (error) {
    watched?.leave()
    throw error
  }
}

/** Waits for the outcome, and cancels when the signal says so. */
async function cancelable<T>(
  given: Options,
  send: (cancel: Handle | undefined) => Promise<Outcome<T>>,
): Promise<T> {
  const watched = watch(given)
  try {
    return settled(await send(watched?.cancel), watched?.cause())
  } finally {
    watched?.leave()
  }
}

function duration(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw wrongType(option, 'a number of milliseconds, 0 or more', value)
}
