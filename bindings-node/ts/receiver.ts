// What the middleware of every framework shares: its options, and the answer to a refused request.

import { channel } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'

import { WebhookMtlsError } from './error'
import { LIMITS } from './limits'
import { native } from './native'
import type { Dialect } from './enums'
import type { Hop } from './forwarded'
import type { PeerIdentity } from './peer'
import type { Verifier } from './verifier'
import type { VerifiedWebhook, WebhookVerifier } from './webhook'

/** The options of the middleware. */
export interface ReceiverOptions {
  /** A verifier of clients. */
  verifier: Verifier
  /**
   * How the proxy writes the client's certificate. Without a dialect and a hop, the peer is the TLS
   * peer of the server itself, which must request certificates (`requestCert`).
   */
  dialect?: Dialect | undefined
  /** The proxy that is believed. */
  hop?: Hop | undefined
  /** Paths that need no peer, such as that of a health check, compared whole. */
  exclude?: Iterable<string> | undefined
  /**
   * A verifier of webhooks. The body of each request is then read first, at most 32 MiB, and the
   * request must be a webhook of the peer. If the `duplicate` of the webhook is true, answer 2xx and
   * do not process it again.
   */
  webhooks?: WebhookVerifier | undefined
}

/** @internal The answer to a refused request. */
export interface Refusal {
  status: number
  body: string
}

interface KindRow {
  name: string
  answer: number
}

const ANSWERS = new Map<string, number>()

/** Each refusal is published here, as `{ kind, reason, message }`. */
const REFUSED = channel('webhook-mtls:refused')

/** @internal Verifies the peer of each request. */
export class Receiver {
  readonly #options: ReceiverOptions
  readonly #exclude: ReadonlySet<string>
  /** How many requests were refused, by kind. */
  readonly refused = new Map<string, number>()

  constructor(options: ReceiverOptions) {
    const { exclude = [], ...others } = options
    this.#options = others
    this.#exclude = new Set(typeof exclude === 'string' ? [exclude] : exclude)
    if (others.dialect === undefined && others.hop === undefined) return
    // Throws option_invalid for an option that no request could use.
    others.verifier.checkForwarding(others.dialect, others.hop)
  }

  /** Returns the peer, a refusal, or null for a path that needs no peer. */
  receive(request: IncomingMessage): PeerIdentity | Refusal | null {
    const { originalUrl } = request as { originalUrl?: string }
    const [path] = (originalUrl ?? request.url ?? '').split('?', 1)
    if (this.#exclude.has(path ?? '')) return null
    try {
      return this.#peer(request)
    } catch (error) {
      if (!WebhookMtlsError.is(error)) throw error
      return this.#refuse(error)
    }
  }

  /** Whether `verify` is to be called with the body of each request that has a peer. */
  get readsBody(): boolean {
    return this.#options.webhooks !== undefined
  }

  /**
   * Reads the body and verifies the webhook. The stream may be one that the framework has wrapped.
   *
   * @returns the body and the webhook, or a refusal
   */
  async verify(
    request: IncomingMessage,
    peer: PeerIdentity,
    stream: AsyncIterable<Uint8Array> = request,
  ): Promise<{ body: Buffer; webhook: VerifiedWebhook } | Refusal> {
    const parts: Uint8Array[] = []
    let length = 0
    // `for await` would destroy the stream, and the connection with it, before the answer.
    const iterator = stream[Symbol.asyncIterator]()
    for (;;) {
      const read = await iterator.next()
      if (read.done === true) break
      parts.push(read.value)
      length += read.value.length
      if (length > LIMITS.body) {
        return this.#answer('body_too_large', undefined, 'the body exceeds the limit')
      }
    }
    const body = Buffer.concat(parts)
    try {
      // Only called if there is a verifier.
      const webhook = await this.#options.webhooks!.verifyWebhook(peer, request.rawHeaders, body)
      return { body, webhook }
    } catch (error) {
      if (!WebhookMtlsError.is(error)) throw error
      return this.#refuse(error)
    }
  }

  #peer(request: IncomingMessage): PeerIdentity {
    const { verifier, hop } = this.#options
    if (hop !== undefined) return this.#forwarded(request.rawHeaders, remoteOf(request))
    const { socket } = request
    return socket instanceof TLSSocket ? verifier.verifySocket(socket) : verifier.verify('')
  }

  #forwarded(rawHeaders: readonly string[], remote: string | undefined): PeerIdentity {
    const { verifier, dialect, hop } = this.#options
    // The verifier refuses a dialect without a hop, and a hop without a dialect.
    return verifier.verifyForwarded(rawHeaders, { dialect: dialect!, hop: hop!, remote })
  }

  #refuse(error: WebhookMtlsError): Refusal {
    const { kind, message, context } = error
    return this.#answer(kind, context['reason'] ?? context['cause'], message)
  }

  #answer(kind: string, reason: unknown, message: string): Refusal {
    this.refused.set(kind, (this.refused.get(kind) ?? 0) + 1)
    this.#options.verifier.countRefusedRequest(kind)
    if (REFUSED.hasSubscribers) REFUSED.publish({ kind, reason, message })
    return { status: answerTo(kind), body: JSON.stringify({ kind }) }
  }
}

/** @internal */
export function isRefusal(found: object): found is Refusal {
  return 'status' in found
}

/** Returns the HTTP status of a kind, from the core's table. */
function answerTo(kind: string): number {
  if (ANSWERS.size === 0) {
    const { kinds } = JSON.parse(native.tables()) as { kinds: KindRow[] }
    for (const { name, answer } of kinds) ANSWERS.set(name, answer)
  }
  return ANSWERS.get(kind) ?? 500
}

/**
 * Returns the peer of the transport itself. The socket knows it; `req.ip` may be of a header, as the
 * setting `trust proxy` of Express says.
 */
function remoteOf({ socket }: IncomingMessage): string | undefined {
  if (socket.remoteAddress !== undefined) return socket.remoteAddress
  const { server } = socket as { server?: { address?(): unknown } }
  return typeof server?.address?.() === 'string' ? 'unix' : undefined
}
