import { expect } from './completions'
import { egressHandle, type Egress } from './egress'
import { Endpoint, endpointArguments, type EndpointOptions } from './endpoint'
import { errorOf, unwrap, wrongType } from './error'
import { events, EventSource, expiries, REGISTER, type Event, type Expiry } from './event'
import { mergedStatus, processStatus, type FleetStatus, type ProcessStatus } from './fleet'
import { body as bodyOf, flag, Options, text, type Body } from './options'
import { Identity } from './identity'
import { Outcomes, type DeliverManyOptions, type Delivery } from './many'
import { METRICS, metricsOf, metricsText, type Metrics, type MetricsTextOptions } from './metrics'
import { native, type DispatcherArguments, type Handle, type CallResult } from './native'
import { Probe } from './probe'
import { Receipt } from './receipt'
import { Report } from './report'
import { rotationStatus, type RotationStatus } from './rotation'
import { watchSignal, type WatchedSignal } from './signal'
import { Telemetry, TELEMETRY } from './telemetry'
import { Trust } from './trust'
import type { CrlPolicy, DiagnosisRequest, StatusRetry } from './enums'

/** The options of a dispatcher. Endpoints and deliveries can override some of them. */
export interface DispatcherOptions {
  // generated: begin properties dispatcher
  /** The identity to present to consumers, unless the endpoint sets its own. */
  identity?: Identity | undefined
  /** The default trust, used if the endpoint sets none. */
  trust?: Trust | undefined
  /**
   * The certificates of a consumer that a CRL must cover: if_present (none), require (all but the
   * anchor) or require_leaf. By default `if_present`.
   */
  crlPolicy?: CrlPolicy | undefined
  /**
   * The addresses that the dispatcher may connect to: a preset, or a policy. By default `public`.
   */
  egress?: Egress | undefined
  /**
   * The CONNECT proxy for all connections: http://host:port, or http://user:password@host:port.
   * Environment variables are not read.
   */
  proxy?: string | undefined
  /** user:password for the proxy, if its URL must not contain them. */
  proxyCredentials?: string | undefined
  /**
   * Whether CONNECT asks the proxy for the consumer's name instead of a checked address, for a
   * proxy whose rules are written by name. The proxy then resolves the name, and the egress
   * policy does not apply to it: the proxy's rules must keep deliveries away from internal
   * addresses. By default false.
   */
  proxyByName?: boolean | undefined
  /**
   * The time limit of a whole delivery. It bounds the other four timeouts. In milliseconds; by
   * default 30000.
   */
  timeoutMs?: number | undefined
  /**
   * The time limit to resolve the host and open a TCP connection. In milliseconds; by default
   * 5000.
   */
  connectTimeoutMs?: number | undefined
  /** The time limit of the TLS handshake. In milliseconds; by default 5000. */
  handshakeTimeoutMs?: number | undefined
  /** The time limit to write the request to the kernel. In milliseconds; by default 10000. */
  writeTimeoutMs?: number | undefined
  /**
   * The time limit from the last byte of the request to the response head. In milliseconds; by
   * default 15000.
   */
  responseTimeoutMs?: number | undefined
  /** The most open connections, including idle ones. By default 256. */
  maxConnections?: number | undefined
  /**
   * The most deliveries that may wait for a turn or a connection. One owner has at most a quarter
   * of them. Further deliveries fail with overloaded. By default 4096.
   */
  maxWaiting?: number | undefined
  /**
   * The failures in a row before a request that open the circuit of an endpoint. 0 opens none. By
   * default 5.
   */
  circuitFailures?: number | undefined
  /**
   * The time for which a circuit opens first. It doubles each time the consumer fails again. In
   * milliseconds; by default 30000.
   */
  circuitOpenMs?: number | undefined
  /** The longest time for which a circuit opens. In milliseconds; by default 600000. */
  circuitCeilingMs?: number | undefined
  /**
   * How many endpoints have metrics of their own, by consumer id: those that were made first. The
   * others share the value other. By default 0.
   */
  metricsEndpoints?: number | undefined
  /**
   * The retry verdict for a status or status class other than 2xx: later, after_repair or never.
   */
  statusRetry?: StatusRetry | undefined
  /**
   * The interval at which the files of the material are checked for changes. 0 checks only in
   * reload(). In milliseconds; by default 10000.
   */
  reloadMs?: number | undefined
  /**
   * The remaining fraction of a lifetime at which the first expiry event is raised. More follow
   * at 0.1, 0.05 and 0. By default 0.2.
   */
  expiryWarning?: number | undefined
  // generated: end
}

/** The options of one delivery. */
export interface DeliverOptions {
  // generated: begin properties deliver
  /** The event's id, sent as webhook-id. Use the same id for every attempt. */
  id?: string | undefined
  /** The content type of the payload. By default `application/json`. */
  contentType?: string | undefined
  /** Additional request headers. */
  headers?: Readonly<Record<string, string>> | undefined
  /** The time limit of this whole delivery. In milliseconds; by default the dispatcher's. */
  timeoutMs?: number | undefined
  // generated: end
  /** Cancels the delivery when it is aborted: the promise rejects with `canceled`. */
  signal?: AbortSignal | undefined
}

/** The options of a probe. */
export interface ProbeOptions {
  // generated: begin properties probe
  /** The time limit of the whole probe. In milliseconds; by default the dispatcher's. */
  timeoutMs?: number | undefined
  // generated: end
  /** Cancels the probe when it is aborted: the promise rejects with `canceled`. */
  signal?: AbortSignal | undefined
}

/** The options of a diagnosis. */
export interface DiagnosisOptions {
  // generated: begin properties diagnosis
  /**
   * The time limit of the whole diagnosis. At the limit, the report has the checks that have
   * ended. In milliseconds; by default the dispatcher's.
   */
  timeoutMs?: number | undefined
  /**
   * The request without a payload to make after the handshake: head or options. Servers like
   * nginx judge our certificate only when a request arrives.
   */
  request?: DiagnosisRequest | undefined
  // generated: end
  /** Cancels the diagnosis when it is aborted: the promise rejects with `canceled`. */
  signal?: AbortSignal | undefined
}

// Older releases of Node 20 lack the symbol. There, callers use close().
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/**
 * Delivers webhooks over mutual TLS. Create one per process and keep it, because it reuses
 * connections. An idle dispatcher does not keep the process alive; a delivery in flight does.
 */
export class Dispatcher extends EventSource implements AsyncDisposable {
  readonly #handle: Handle
  readonly #endpoints = new Map<string, Endpoint>()
  /** @internal */
  readonly [TELEMETRY]: Telemetry

  /**
   * @param options all are optional; without an identity or trust, each endpoint must set its own
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options?: DispatcherOptions)
  /** @internal */
  constructor(
    options: DispatcherOptions | undefined,
    create: (options: DispatcherArguments) => CallResult<Handle>,
  )
  constructor(options?: DispatcherOptions, create = native.dispatcher) {
    super()
    this.#handle = unwrap(create(dispatcherArguments(new Options(options, ['dispatcher']))))
    this[TELEMETRY] = new Telemetry(this.#handle)
  }

  /**
   * Creates or changes the endpoint of a consumer. Equal values keep its connections. A change
   * affects only this endpoint. The call is cheap enough to make it before every delivery.
   *
   * @param consumer the consumer id, under which all state of the consumer is kept
   * @param url the URL of the consumer; `https` only
   * @param options `pins` is required; null relies on the CA alone
   * @returns the same object for the same consumer, until the endpoint is removed
   * @throws {WebhookMtlsError} `url_invalid`, `option_invalid` or `handle_closed`
   */
  endpoint(consumer: string, url: string | URL, options: EndpointOptions): Endpoint {
    const parsed = endpointArguments(new Options(options, ['endpoint']))
    const names = [text('consumer', consumer), urlText(url)] as const
    const handle = unwrap(native.dispatcherEndpoint(this.#handle, ...names, parsed))
    const known = this.#endpoints.get(consumer)
    if (known?.is(handle)) return known
    const endpoint = new Endpoint(handle)
    this.#endpoints.set(consumer, endpoint)
    return endpoint
  }

  /**
   * Removes the endpoint of a consumer and closes its idle connections.
   *
   * No request to it starts after this returns. Deliveries that already send bytes finish.
   * Deliveries that have sent nothing fail with `handle_closed`.
   *
   * @param consumer the consumer id
   * @returns whether the endpoint existed
   */
  remove(consumer: string): boolean {
    this.#endpoints.delete(consumer)
    return unwrap(native.dispatcherRemove(this.#handle, text('consumer', consumer)))
  }

  /**
   * Delivers one body.
   *
   * @param endpoint an endpoint of this dispatcher
   * @param body text as UTF-8, or bytes, which are copied before this returns; at most 32 MiB
   * @param options headers, timeout, signal
   * @returns a promise of the receipt, once the consumer has answered with a final 2xx head
   *
   * Rejects with a {@link WebhookMtlsError} of any kind, never throws. Its `sent` tells how much of
   * the request may have reached the consumer.
   */
  async deliver(endpoint: Endpoint, body: Body, options?: DeliverOptions): Promise<Receipt> {
    const parsed = new Options(options, ['deliver'], ['signal'])
    const target = Endpoint.handle('endpoint', endpoint)
    const watched = watchSignal(parsed)
    const settings = parsed.settings('deliver')
    const payload = payloadOf(body, watched)
    const telemetry = this[TELEMETRY]
    const completion = await new Promise<Receipt | string>((resolve) => {
      const dispatcher = this.#handle
      const ticket = expect(resolve)
      const cancel = watched?.cancel
      const trace = telemetry.begin(endpoint)
      const handles = [dispatcher, target, payload, settings, cancel, ticket, trace] as const
      const fault = native.dispatcherDeliver(...handles)
      // The addon also reports `internal` under the ticket; the promise ignores it.
      if (fault !== null) resolve(fault)
    })
    watched?.detach()
    telemetry.flush()
    // Created here and not in the callback, so that its stack shows the caller.
    if (typeof completion === 'string') throw errorOf(completion, watched?.cause())
    return Receipt.named(completion, endpoint.consumer, parsed.id)
  }

  /**
   * Opens a new connection to a consumer, completes the handshake, verifies the peer as a delivery
   * does, and closes. Sends no byte of a request. Records its observations in the endpoint's
   * status. Does not detect a consumer that refuses our certificate only in its response to a
   * request, as nginx does.
   *
   * @param endpoint an endpoint of this dispatcher
   * @param options timeout, signal
   * @returns a promise of the facts of the handshake
   *
   * Rejects with the errors that a delivery has before its request, never throws.
   */
  async probe(endpoint: Endpoint, options?: ProbeOptions): Promise<Probe> {
    const parsed = new Options(options, ['probe'], ['signal'])
    const target = Endpoint.handle('endpoint', endpoint)
    const settings = parsed.settings('probe')
    const send = (cancel: Handle | undefined) =>
      native.dispatcherProbe(this.#handle, target, settings, cancel)
    return new Probe(await cancelable(parsed, send))
  }

  /**
   * Says what is wrong with an endpoint, whose fault it is and whom to tell. Checks our identity and
   * trust, the way to the consumer, its side of the handshake, and its verdict on our certificate.
   * Goes on after a fault where it can. Sends no payload, and presents our certificate only to a
   * consumer that a delivery would accept. Takes no turn of the endpoint and passes no circuit.
   *
   * @param endpoint an endpoint of this dispatcher
   * @param options timeout, request, signal
   * @returns a promise of the report; a fault of the endpoint is in it
   *
   * Rejects with `handle_closed`, `option_invalid`, `canceled` or `overloaded`, never throws.
   */
  async diagnose(endpoint: Endpoint, options?: DiagnosisOptions): Promise<Report> {
    const parsed = new Options(options, ['diagnosis'], ['signal'])
    const target = Endpoint.handle('endpoint', endpoint)
    const settings = parsed.settings('diagnosis')
    const send = (cancel: Handle | undefined) =>
      native.dispatcherDiagnose(this.#handle, target, settings, cancel)
    return new Report(await cancelable(parsed, send))
  }

  /**
   * Checks all watched files now and puts changed material into use. Listeners receive the events
   * as well. An unusable file causes `rotation_failed`, and the previous material stays in use.
   *
   * @returns a promise of the events
   *
   * Rejects with `handle_closed`.
   */
  async reload(): Promise<Event[]> {
    return events(await native.dispatcherReload(this.#handle))
  }

  /**
   * Lists everything that expires: our chains, anchors, intermediates, CRLs, and each consumer's
   * certificate as last seen. The smallest remaining fraction of a lifetime comes first.
   *
   * @returns the expiries
   * @throws {WebhookMtlsError} `clock_implausible`: the remaining lifetimes need a correct clock
   */
  expiries(): Expiry[] {
    return expiries(native.dispatcherExpiries(this.#handle))
  }

  /**
   * Returns the metrics of this dispatcher in this process. A forked child starts at zero. Looks at every
   * endpoint: for a scrape, not for each delivery.
   */
  metrics(): Metrics {
    return metricsOf(this[METRICS]())
  }

  /**
   * Returns the metrics as the text of one response to a scrape.
   *
   * @param options the format, and other dispatchers and verifiers to add
   * @throws {WebhookMtlsError} `option_invalid`
   */
  metricsText(options?: MetricsTextOptions): string {
    return metricsText(this[METRICS](), options)
  }

  /** @internal */
  [METRICS](): Handle {
    return unwrap(native.dispatcherMetrics(this.#handle))
  }

  /**
   * Returns which of our identities each consumer accepted last, as this process observed it.
   * `processStatus` and `merge` make one status of those of several processes.
   */
  rotationStatus(): RotationStatus {
    return rotationStatus(native.dispatcherRotationStatus(this.#handle))
  }

  /**
   * Returns the status of this process: what `rotationStatus`, `Endpoint.status` and `expiries` say.
   * `merge` makes one of those of several processes.
   *
   * @param process the name of this process, which no other one of the fleet has: 1 to 256 bytes
   * without control characters
   * @throws {WebhookMtlsError} `option_invalid` or `clock_implausible`
   */
  processStatus(process: string): ProcessStatus {
    return processStatus(native.dispatcherProcessStatus(this.#handle, text('process', process)))
  }

  /**
   * Stops the use of a previous identity, for example before its certificate is revoked.
   *
   * @param identity a previous identity; the current one cannot be retired
   * @param options `force`: retire it even if consumers depend on it because they accepted it last.
   * `fleet`: what `merge` returned for the statuses of all processes, or its JSON text. The identity is
   * then retired only if no process of the fleet needs it. The status of each may be at most five
   * minutes old, and at most a minute ahead of our clock, also with `force`. Each process that may
   * present the identity makes this call; it takes effect in its own process. Without `fleet`, this
   * process alone is asked.
   * @returns the consumers that depended on it; empty without `force`
   * @throws {WebhookMtlsError} `identity_in_use`, whose context lists the `consumers` and, of a fleet,
   * the `processes`; `option_invalid` if `fleet` is no merged status or a status in it is too old or
   * ahead of our clock; `handle_closed` or `clock_implausible`
   */
  retire(
    identity: Identity,
    options?: { force?: boolean | undefined; fleet?: FleetStatus | string | undefined },
  ): string[] {
    const parsed = new Options(options, [], ['force', 'fleet'])
    const force = parsed.optional('force', flag) ?? false
    const fleet = parsed.optional('fleet', mergedStatus)
    const handle = Identity.handle('identity', identity)
    return unwrap(native.dispatcherRetire(this.#handle, handle, force, fleet))
  }

  /** @internal */
  override [REGISTER](callback: (json: string) => void): void {
    unwrap(native.dispatcherOnEvent(this.#handle, callback))
  }

  /**
   * Delivers many bodies concurrently and yields outcomes as they finish.
   *
   * Takes the next delivery from the iterable while fewer than `concurrency` are in flight, fewer than
   * 1024 wait for a permit, and the bodies of all these have less than 256 MiB. A
   * delivery to a slow consumer waits for its permit and does not delay deliveries to others; its
   * timeout starts with the permit. A failed delivery is an outcome and does not end the run. If
   * the iterable throws, its error is thrown after the outcomes of the deliveries before it.
   *
   * @param deliveries an iterable or an asynchronous iterable of deliveries
   * @param options `concurrency`, `signal`
   * @returns an asynchronous iterator of outcomes; leaving its loop cancels deliveries in flight
   *
   * Rejects with `option_invalid`, never throws.
   */
  deliverMany<T = unknown>(
    deliveries: Iterable<Delivery<T>> | AsyncIterable<Delivery<T>>,
    options?: DeliverManyOptions,
  ): Outcomes<T> {
    return new Outcomes<T>(this.#handle, this[TELEMETRY], deliveries, options)
  }

  /**
   * Lets deliveries in flight finish for up to `drainMs`, then cancels the rest (`canceled`). New
   * deliveries fail with `handle_closed`. A second call has no further effect.
   *
   * @param options `drainMs`: the time to finish, in milliseconds; by default 0
   * @returns a promise that resolves when no delivery is in flight and no connection is open
   */
  async close(options?: { drainMs?: number | undefined }): Promise<void> {
    const parsed = new Options(options, [], ['drainMs'])
    const drainMs = parsed.optional('drainMs', duration) ?? 0
    const closed = await native.dispatcherClose(this.#handle, drainMs)
    this[TELEMETRY].flush()
    unwrap(closed)
    this.#endpoints.clear()
  }

  /** Calls {@link close} without time to drain; used by `await using`. */
  async [asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** The options of a one-shot delivery. */
export type OneShotOptions = DispatcherOptions & EndpointOptions & DeliverOptions

/**
 * Delivers one body over a new connection and closes it: the form for scripts.
 *
 * @param url the URL of the consumer; `https` only
 * @param body text as UTF-8, or bytes, which are copied before this returns; at most 32 MiB
 * @param options identity, trust, pins, and all options of dispatchers, endpoints and deliveries
 * @returns a promise of the receipt; its consumer is the URL's host and port
 *
 * Rejects with a {@link WebhookMtlsError} of any kind, never throws.
 */
export async function deliver(
  url: string | URL,
  body: Body,
  options: OneShotOptions & { identity: Identity; trust: Trust },
): Promise<Receipt> {
  const parsed = new Options(options, ['deliver', 'endpoint', 'dispatcher'], ['signal'])
  const target = urlText(url)
  const converted = [
    dispatcherArguments(parsed),
    endpointArguments(parsed),
    parsed.settings('deliver'),
  ] as const
  const send = (cancel: Handle | undefined) =>
    native.deliverOnce(target, bodyOf('body', body), ...converted, cancel)
  return Receipt.single(await cancelable(parsed, send))
}

function dispatcherArguments(options: Options): DispatcherArguments {
  return {
    identity: options.optional('identity', Identity.handle),
    trust: options.optional('trust', Trust.handle),
    egress: options.optional('egress', egressHandle),
    settings: options.settings('dispatcher'),
  }
}

/** Returns the text of a URL. An object of another realm is no instance of this realm's class. */
function urlText(url: unknown): string {
  const isUrl = Object.prototype.toString.call(url) === '[object URL]'
  return text('url', isUrl ? (url as URL).href : url)
}

/** Returns the bytes of a body. Detaches from the signal if it fails. */
function payloadOf(body: unknown, watched: WatchedSignal | undefined): Uint8Array {
  try {
    return bodyOf('body', body)
  } catch (error) {
    watched?.detach()
    throw error
  }
}

/** Waits for the result, and cancels if the signal is aborted. */
async function cancelable<T>(
  options: Options,
  send: (cancel: Handle | undefined) => Promise<CallResult<T>>,
): Promise<T> {
  const watched = watchSignal(options)
  try {
    return unwrap(await send(watched?.cancel), watched?.cause())
  } finally {
    watched?.detach()
  }
}

function duration(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw wrongType(option, 'a number of milliseconds, 0 or more', value)
}
