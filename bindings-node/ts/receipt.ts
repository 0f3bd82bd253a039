import { inspect, type InspectOptions } from 'node:util'

import { settled } from './error'
import { native, type Handle } from './native'
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

/**
 * A delivery that the consumer answered with a final 2xx head. What it says is read from the core
 * when it is asked for.
 */
export class Receipt {
  // Receipts are kept in pages, and a page as long as one of them may be read from it.
  #page: Handle | undefined
  readonly #place: number
  #read: { json: ReceiptJson; fields: Fields } | undefined

  /** The HTTP status, 200 to 299. */
  readonly status: number

  /** @internal */
  constructor(page: Handle, place = 0, status?: number) {
    this.#page = page
    this.#place = place
    this.status = status ?? this.#said.json.status
  }

  /** The consumer id of the endpoint. */
  get consumer(): string {
    return this.#said.json.consumer
  }

  /** The event's id, where one was given. */
  get id(): string | undefined {
    return this.#said.json.id ?? undefined
  }

  /** The consumer, as its certificate shows it. */
  get peer(): PeerIdentity {
    return this.#said.fields.peer
  }

  /** Which of the endpoint's pins matched; null where it has none. */
  get pin(): PinSlot | null {
    return this.#said.json.pin
  }

  /** How many attempts it took. Only one of which nothing was sent is followed by another. */
  get attempts(): number {
    return this.#said.json.attempts
  }

  /** How long it took in all, in milliseconds. */
  get elapsedMs(): number {
    return this.#said.json.elapsed_ms
  }

  /** What the handshake negotiated. */
  get tls(): TlsFacts {
    return this.#said.fields.tls
  }

  /**
   * Whether an idle connection was used, the consumer's address, and the proxy that connected to it;
   * null for none.
   */
  get connection(): {
    readonly reused: boolean
    readonly address: string
    readonly proxy: string | null
  } {
    return this.#said.fields.connection
  }

  /** How long the parts took. */
  get timings(): Timings {
    return this.#said.fields.timings
  }

  /**
   * Whether the consumer answered the head with 100 Continue before the body left; null unless the
   * body was held: by `holdPayload`, or for an identity that the consumer has not answered to yet.
   */
  get holdHonored(): boolean | null {
    return this.#said.json.hold_honored
  }

  /** The answer's headers, and the first bytes of its body. */
  get response(): {
    readonly headers: Readonly<Record<string, string>>
    readonly excerpt: Uint8Array
    readonly truncated: boolean
  } {
    return this.#said.fields.response
  }

  /**
   * The whole receipt in the form that every language shows: snake_case keys, milliseconds.
   *
   * @returns a fresh object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#said.json })
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptions, show: typeof inspect): string {
    if (depth < 0) return '[Receipt]'
    const names = ['consumer', 'id', 'status', 'peer', 'pin', 'attempts', 'elapsedMs'] as const
    const more = ['tls', 'connection', 'timings', 'holdHonored', 'response'] as const
    const entries = [...names, ...more].map((name) => [name, this[name]] as const)
    const said = Object.fromEntries(entries.filter(([, value]) => value !== undefined))
    return `Receipt ${show(said, options)}`
  }

  get #said(): { json: ReceiptJson; fields: Fields } {
    if (this.#read === undefined) {
      const text = settled(native.receiptJson(this.#page as Handle, this.#place))
      const json = JSON.parse(text) as ReceiptJson
      this.#read = { json, fields: fieldsOf(json) }
      this.#page = undefined
    }
    return this.#read
  }
}

type Fields = Pick<Receipt, 'peer' | 'tls' | 'connection' | 'timings' | 'response'>

/** What is spelled otherwise here. Made once: the same field is the same object each time. */
function fieldsOf({ peer, tls, connection, timings, response }: ReceiptJson): Fields {
  return {
    peer: new PeerIdentity(peer),
    tls: tlsFacts(tls),
    connection: { ...connection },
    timings: {
      resolveMs: timings.resolve_ms,
      connectMs: timings.connect_ms,
      handshakeMs: timings.handshake_ms,
      responseMs: timings.response_ms,
    },
    response: {
      headers: response.headers,
      excerpt: Buffer.from(response.excerpt_base64, 'base64'),
      truncated: response.truncated,
    },
  }
}
