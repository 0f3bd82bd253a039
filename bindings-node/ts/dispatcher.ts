// The producer's side: dispatchers, their endpoints, deliveries.

import { take, WebhookMtlsError } from './errors.js'
import { Identity, Pins, Trust } from './material.js'
import { native, type DispatcherGiven, type EndpointGiven, type Handle } from './native.js'
import { Receipt } from './receipt.js'
import {
  bytes, handleOf, keep, noun, optionalNoun, options, seen, settings, text, texts, wrongType, type Body,
} from './values.js'

/** Which addresses may be connected to: a preset, with networks to allow and deny. */
export type Egress = 'public' | 'private' | { preset?: 'public' | 'private'; allow?: string[]; deny?: string[] }

/** What a dispatcher does unless an endpoint or a delivery says otherwise. */
export interface DispatcherOptions {
  /** Who we are. */
  identity?: Identity
  /** Whom we believe. */
  trust?: Trust
  /** Which addresses may be connected to; `public` unless said. */
  egress?: Egress
  /** The time one delivery may take in all. */
  timeoutMs?: number
  /** The time to resolve the host and open a TCP connection. */
  connectTimeoutMs?: number
  /** The time of the TLS handshake. */
  handshakeTimeoutMs?: number
  /** The time to hand the request to the kernel. */
  writeTimeoutMs?: number
  /** The time from the last request byte to the head of the answer. */
  responseTimeoutMs?: number
}

/** How an endpoint differs from its dispatcher. */
export interface EndpointOptions {
  /** The keys the consumer may have; `null` is a decision, `undefined` is refused. */
  pins: Pins | null
  /** Whom to believe about this consumer. */
  trust?: Trust
  /** Who to be to this consumer. */
  identity?: Identity
  /** The oldest TLS version accepted. */
  minTls?: '1.2' | '1.3'
  /** The SAN URI that the consumer's certificate must carry instead of the host name. */
  serverUri?: string
}

/** What one delivery sends beside its payload. */
export interface DeliverOptions {
  /** The event's id, sent as webhook-id; the same for every attempt. */
  id?: string
  /** The type of the payload; `application/json` unless said. */
  contentType?: string
  /** Further request headers. */
  headers?: Record<string, string>
  /** The time this delivery may take in all. */
  timeoutMs?: number
  /** Cancels the delivery (`canceled`). */
  signal?: AbortSignal
}

/** What deliveries have shown of an endpoint. */
export interface EndpointStatus {
  /** The pin of the key that the consumer showed last. */
  readonly pinSeen: string | null
  /** The configured pins that no delivery has matched so far. */
  readonly pinsNeverSeen: string[]
  /** When the consumer's certificate, as last seen, expires. */
  readonly peerNotAfter: Date | null
}

/** A consumer that can be delivered to. Made by `Dispatcher.endpoint`. */
export class Endpoint {
  /** @internal */
  constructor(handle: Handle) {
    keep(this, handle)
  }

  /** The consumer id. */
  get consumer(): string { return native.endpointConsumer(handleOf(this)) }
  /** The URL in its canonical spelling. */
  get url(): string { return native.endpointUrl(handleOf(this)) }

  /** What deliveries have shown. */
  status(): EndpointStatus {
    const json = JSON.parse(take(native.endpointStatus(handleOf(this)))) as {
      pin_seen: string | null; pins_never_seen: string[]; peer_not_after_ms: number | null
    }
    return {
      pinSeen: json.pin_seen,
      pinsNeverSeen: json.pins_never_seen,
      peerNotAfter: json.peer_not_after_ms === null ? null : new Date(json.peer_not_after_ms),
    }
  }
}

/** Delivers webhooks. An idle one does not keep the process alive. */
export class Dispatcher {
  readonly #endpoints = new Map<string, Endpoint>()

  /** @throws WebhookMtlsError `option_invalid` */
  constructor(o: DispatcherOptions) {
    // The testing kit brings a dispatcher that it has made already.
    keep(this, ready.get(o) ?? take(native.dispatcher(dispatcherGiven(o))))
  }

  /**
   * Makes or changes the endpoint of a consumer. Equal values give the same endpoint and keep its
   * connections; changed ones make a new generation of this endpoint alone.
   *
   * @param consumer the consumer id
   * @param url where it listens, https only
   * @throws WebhookMtlsError `url_invalid`, `option_invalid`, `handle_closed`
   */
  endpoint(consumer: string, url: string, o: EndpointOptions): Endpoint {
    const name = text(consumer, 'consumer')
    const handle = take(native.dispatcherEndpoint(handleOf(this), name, text(url, 'url'), endpointGiven(o)))
    const known = this.#endpoints.get(name)
    if (known !== undefined && native.endpointIs(handleOf(known), handle)) return known
    const made = new Endpoint(handle)
    this.#endpoints.set(name, made)
    return made
  }

  /** Forgets an endpoint and closes its idle connections; false if there is none. */
  remove(consumer: string): boolean {
    this.#endpoints.delete(consumer)
    return take(native.dispatcherRemove(handleOf(this), text(consumer, 'consumer')))
  }

  /**
   * Delivers one payload. Resolves only when the consumer answered with a final 2xx head.
   *
   * @param body UTF-8 text or bytes, at most 32 MiB; copied before this returns
   * @returns a promise that rejects with a WebhookMtlsError whose `sent` says how much left
   */
  async deliver(endpoint: Endpoint, body: Body, o?: DeliverOptions): Promise<Receipt> {
    const [chosen, signal] = apart(o)
    const given = [handleOf(this), noun(endpoint, Endpoint, 'endpoint'), bytes(body, 'body'), chosen] as const
    return received(signal, (cancel) => native.dispatcherDeliver(...given, cancel))
  }

  /**
   * Lets deliveries under way finish, then cancels them (`canceled`). New ones fail with
   * `handle_closed` from now on.
   *
   * @param o `drainMs`: how long they may take; 0 unless said
   */
  async close(o?: { drainMs?: number }): Promise<void> {
    const { drainMs = 0, ...others } = options(o, 'options')
    const unknown = Object.keys(others)[0]
    if (unknown !== undefined) throw wrongType(unknown, 'drain', 'an unknown option')
    if (typeof drainMs !== 'number') throw wrongType('drain', 'a number of milliseconds', seen(drainMs))
    take(await native.dispatcherClose(handleOf(this), drainMs))
  }

  /** Closes without waiting. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Delivers one payload over one connection and closes it: the form for scripts.
 *
 * @returns a promise that rejects as `Dispatcher.deliver` does, also where a class would throw
 */
export async function deliver(
  url: string,
  body: Body,
  o: DeliverOptions & Pick<EndpointOptions, 'pins' | 'minTls' | 'serverUri'>
    & { identity: Identity; trust: Trust; egress?: Egress },
): Promise<Receipt> {
  const { identity, trust, egress, pins, minTls, serverUri, ...rest } =
    options(o, 'options') as Partial<typeof o>
  const [chosen, signal] = apart(rest)
  const dispatcher = dispatcherGiven({
    ...(identity !== undefined && { identity }), ...(trust !== undefined && { trust }), ...(egress !== undefined && { egress }),
  })
  const endpoint = endpointGiven({
    pins: pins as Pins | null, ...(minTls !== undefined && { minTls }), ...(serverUri !== undefined && { serverUri }),
  })
  const given = [text(url, 'url'), bytes(body, 'body'), dispatcher, endpoint, chosen] as const
  return received(signal, (cancel) => native.deliverOnce(...given, cancel))
}

// -- into the forms of the addon ----------------------------------------------------------------------

const ready = new WeakMap<object, Handle>()

/** @internal A dispatcher around a noun that the testing kit has made. */
export function dispatcherAround(handle: Handle): Dispatcher {
  const token = {}
  ready.set(token, handle)
  return new Dispatcher(token)
}

/** @internal */
export function dispatcherGiven(o: unknown): DispatcherGiven {
  const given = options(o, 'options')
  const identity = optionalNoun(given['identity'], Identity, 'identity')
  const trust = optionalNoun(given['trust'], Trust, 'trust')
  const egress = given['egress'] === undefined ? undefined : egressOf(given['egress'])
  return {
    ...(identity && { identity }), ...(trust && { trust }), ...(egress && { egress }),
    settings: settings(given, ['identity', 'trust', 'egress']),
  }
}

function egressOf(value: unknown): Handle {
  const given = typeof value === 'string' ? { preset: value } : options(value, 'egress')
  const { preset = 'public', allow = [], deny = [], ...others } = given as Record<string, unknown>
  const unknown = Object.keys(others)[0]
  if (unknown !== undefined) throw wrongType('egress', 'made of preset, allow and deny', 'an unknown key')
  return take(native.egress(text(preset, 'egress'), texts(allow, 'egress'), texts(deny, 'egress')))
}

function endpointGiven(o: unknown): EndpointGiven {
  const given = options(o, 'options')
  const pins = optionalNoun(given['pins'], Pins, 'pins')
  const identity = optionalNoun(given['identity'], Identity, 'identity')
  const trust = optionalNoun(given['trust'], Trust, 'trust')
  return {
    pinsSaid: given['pins'] !== undefined,
    ...(pins && { pins }), ...(identity && { identity }), ...(trust && { trust }),
    settings: settings(given, ['pins', 'identity', 'trust']),
  }
}

function apart(o: unknown) {
  const { signal, ...rest } = options(o, 'options')
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongType('signal', 'an AbortSignal', seen(signal))
  }
  return [settings(rest, []), signal] as const
}

async function received(
  signal: AbortSignal | undefined,
  start: (cancel: Handle) => ReturnType<typeof native.dispatcherDeliver>,
): Promise<Receipt> {
  const token = native.cancelToken()
  const cancel = () => native.cancel(token)
  if (signal?.aborted) cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    const outcome = await start(token)
    // Made here, so that the stack of the error is that of the caller.
    if (outcome.error !== undefined) throw WebhookMtlsError.of(outcome.error)
    return new Receipt(outcome.value)
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}
