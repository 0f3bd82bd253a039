import { inspect, type InspectOptions } from 'node:util'

import { httpResponse, unwrap, type HttpResponse, type HttpResponseJson } from './error'
import { native, type Handle } from './native'
import { PeerIdentity } from './peer'
import type { PinSlot } from './enums'

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
  response: HttpResponseJson
}

/** @internal */
export interface TlsJson {
  version: string
  cipher_suite: string
  key_exchange: string
  client_auth_requested: boolean
  certificate_authorities: string[]
  issuer_listed: boolean | null
}

/** @internal */
export function tlsFacts(json: TlsJson): TlsFacts {
  return {
    version: json.version,
    cipherSuite: json.cipher_suite,
    keyExchange: json.key_exchange,
    clientAuthRequested: json.client_auth_requested,
    certificateAuthorities: json.certificate_authorities,
    issuerListed: json.issuer_listed,
  }
}

/** The parameters that the handshake negotiated. */
export interface TlsFacts {
  /** Such as `TLSv1.3`. */
  readonly version: string
  /** Such as `TLS13_AES_128_GCM_SHA256`. */
  readonly cipherSuite: string
  /** Such as `X25519MLKEM768`. */
  readonly keyExchange: string
  /** Whether the consumer requested our certificate. Always true in a receipt. */
  readonly clientAuthRequested: boolean
  /**
   * The CAs that the consumer named in its certificate request: it accepts certificates of these.
   * Escaped, and cut to 4 KiB. Empty if it named none.
   */
  readonly certificateAuthorities: readonly string[]
  /** Whether the consumer named an issuer of our certificate; null if it named no CA. */
  readonly issuerListed: boolean | null
}

/** The durations of the phases in milliseconds; null for a phase that did not happen. */
export interface Timings {
  /** The DNS lookup. */
  readonly resolveMs: number | null
  /** The TCP connection. */
  readonly connectMs: number | null
  /** The TLS handshake. */
  readonly handshakeMs: number | null
  /** From the request to the response head. */
  readonly responseMs: number | null
}

/**
 * The receipt of a delivery that the consumer answered with a final 2xx head. Its fields are read
 * from the core on first access.
 */
export class Receipt {
  // Several receipts share a page of the addon. The reference is dropped once this one is read.
  #page: Handle | undefined
  readonly #index: number
  #cache: { json: ReceiptJson; fields: Fields } | undefined

  /** The HTTP status, 200 to 299. */
  readonly status: number

  /** @internal */
  constructor(page: Handle, index = 0, status?: number) {
    this.#page = page
    this.#index = index
    this.status = status ?? this.#loaded.json.status
  }

  /** The consumer id of the endpoint. */
  get consumer(): string {
    return this.#loaded.json.consumer
  }

  /** The event's id, if the delivery had one. */
  get id(): string | undefined {
    return this.#loaded.json.id ?? undefined
  }

  /** The identity of the consumer, from its certificate. */
  get peer(): PeerIdentity {
    return this.#loaded.fields.peer
  }

  /** Which of the endpoint's pins matched; null if it has none. */
  get pin(): PinSlot | null {
    return this.#loaded.json.pin
  }

  /** The number of attempts. A delivery is attempted again only if nothing was sent. */
  get attempts(): number {
    return this.#loaded.json.attempts
  }

  /** The total duration in milliseconds. */
  get elapsedMs(): number {
    return this.#loaded.json.elapsed_ms
  }

  /** The parameters that the handshake negotiated. */
  get tls(): TlsFacts {
    return this.#loaded.fields.tls
  }

  /**
   * Whether the delivery reused an idle connection, the consumer's address, and the proxy, or null
   * without a proxy.
   */
  get connection(): {
    readonly reused: boolean
    readonly address: string
    readonly proxy: string | null
  } {
    return this.#loaded.fields.connection
  }

  /** The durations of the phases. */
  get timings(): Timings {
    return this.#loaded.fields.timings
  }

  /**
   * Whether the consumer answered the head with 100 Continue before the body was sent. Null unless
   * the body was held: because of `holdPayload`, or for an identity that the consumer has not
   * accepted yet.
   */
  get holdHonored(): boolean | null {
    return this.#loaded.json.hold_honored
  }

  /** The response. */
  get response(): HttpResponse {
    return this.#loaded.fields.response
  }

  /**
   * Returns the receipt in the JSON form of every language: snake_case keys, milliseconds.
   *
   * @returns a new object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#loaded.json })
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptions, show: typeof inspect): string {
    if (depth < 0) return '[Receipt]'
    const names = ['consumer', 'id', 'status', 'peer', 'pin', 'attempts', 'elapsedMs'] as const
    const more = ['tls', 'connection', 'timings', 'holdHonored', 'response'] as const
    const entries = [...names, ...more].map((name) => [name, this[name]] as const)
    const shown = Object.fromEntries(entries.filter(([, value]) => value !== undefined))
    return `Receipt ${show(shown, options)}`
  }

  get #loaded(): { json: ReceiptJson; fields: Fields } {
    if (this.#cache === undefined) {
      const text = unwrap(native.receiptJson(this.#page as Handle, this.#index))
      const json = JSON.parse(text) as ReceiptJson
      this.#cache = { json, fields: fieldsOf(json) }
      this.#page = undefined
    }
    return this.#cache
  }
}

type Fields = Pick<Receipt, 'peer' | 'tls' | 'connection' | 'timings' | 'response'>

/** Creates the fields with camelCase keys. Called once, so a field is always the same object. */
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
    response: httpResponse(response),
  }
}
