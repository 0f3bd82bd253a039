import { PeerIdentity } from './peer'
import type { PinSlot } from './words'

interface ReceiptJson {
  consumer: string
  id: string | null
  status: number
  pin: PinSlot | null
  attempts: number
  elapsed_ms: number
  peer: unknown
  tls: TlsJson
  connection: { reused: boolean; address: string; proxy: string | null }
  timings: {
    resolve_ms: number | null
    connect_ms: number | null
    handshake_ms: number | null
    response_ms: number | null
  }
  hold_honored: boolean | null
  response: { headers: Record<string, string>; excerpt_base64: string; truncated: boolean }
}

/** @internal */
export interface TlsJson {
  version: string
  cipher_suite: string
  key_exchange: string
  client_auth_requested: boolean
}

/** @internal */
export function tlsFacts(json: TlsJson): TlsFacts {
  return {
    version: json.version,
    cipherSuite: json.cipher_suite,
    keyExchange: json.key_exchange,
    clientAuthRequested: json.client_auth_requested,
  }
}

/** What the handshake negotiated. */
export interface TlsFacts {
  /** Such as `TLSv1.3`. */
  readonly version: string
  /** Such as `TLS13_AES_128_GCM_SHA256`. */
  readonly cipherSuite: string
  /** Such as `X25519MLKEM768`. */
  readonly keyExchange: string
  /** Whether the consumer asked for our certificate. Without, there is no receipt. */
  readonly clientAuthRequested: boolean
}

/** How long the parts took, in milliseconds; null for what did not happen. */
export interface Timings {
  /** From the host's name to its addresses. */
  readonly resolveMs: number | null
  /** To open the TCP connection. */
  readonly connectMs: number | null
  /** The TLS handshake. */
  readonly handshakeMs: number | null
  /** From the request to the head of the answer. */
  readonly responseMs: number | null
}

/** A delivery that the consumer answered with a final 2xx head. */
export class Receipt {
  readonly #json: ReceiptJson

  /** The consumer id of the endpoint. */
  readonly consumer: string
  /** The event's id, where one was given. */
  readonly id?: string
  /** The HTTP status, 200 to 299. */
  readonly status: number
  /** The consumer, as its certificate shows it. */
  readonly peer: PeerIdentity
  /** Which of the endpoint's pins matched; null where it has none. */
  readonly pin: PinSlot | null
  /** How many attempts it took. Only one of which nothing was sent is followed by another. */
  readonly attempts: number
  /** How long it took in all, in milliseconds. */
  readonly elapsedMs: number
  /** What the handshake negotiated. */
  readonly tls: TlsFacts
  /**
   * Whether an idle connection was used, the consumer's address, and the proxy that connected to it;
   * null for none.
   */
  readonly connection: {
    readonly reused: boolean
    readonly address: string
    readonly proxy: string | null
  }
  /** How long the parts took. */
  readonly timings: Timings
  /**
   * Whether the consumer answered the head with 100 Continue before the body left; null unless the
   * endpoint holds bodies.
   */
  readonly holdHonored: boolean | null
  /** The answer's headers, and the first bytes of its body. */
  readonly response: {
    readonly headers: Readonly<Record<string, string>>
    readonly excerpt: Uint8Array
    readonly truncated: boolean
  }

  /** @internal */
  constructor(text: string) {
    const json = JSON.parse(text) as ReceiptJson
    this.#json = json
    this.consumer = json.consumer
    if (json.id !== null) this.id = json.id
    this.status = json.status
    this.peer = new PeerIdentity(json.peer)
    this.pin = json.pin
    this.attempts = json.attempts
    this.elapsedMs = json.elapsed_ms
    this.tls = tlsFacts(json.tls)
    this.connection = { ...json.connection }
    this.timings = {
      resolveMs: json.timings.resolve_ms,
      connectMs: json.timings.connect_ms,
      handshakeMs: json.timings.handshake_ms,
      responseMs: json.timings.response_ms,
    }
    this.holdHonored = json.hold_honored
    this.response = {
      headers: json.response.headers,
      excerpt: Buffer.from(json.response.excerpt_base64, 'base64'),
      truncated: json.response.truncated,
    }
  }

  /**
   * The whole receipt in the form that every language shows: snake_case keys, milliseconds.
   *
   * @returns a fresh object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }
}
