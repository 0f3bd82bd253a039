import { inspect, type InspectOptions } from 'node:util'

import { fullOrLogRecord, httpResponse, unwrap, type HttpResponse, type HttpResponseJson } from './error'
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
  signature_ms: number | null
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
    // A receipt of an older version has none.
    signatureMs: json.signature_ms ?? null,
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
  /** How long the signer of our key took, in milliseconds; null without a signer. */
  readonly signatureMs: number | null
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

/** @internal The parts of a receipt that are plain numbers, from a row of the outcome buffer. */
export interface ReceiptRow {
  status: number
  attempts: number
  elapsedMs: number
  /** 0 without pins, else 1 plus the index in {@link PIN_SLOTS}. */
  pin: number
  /** 0 or 1; NaN if the body was not held. */
  held: number
}

const PIN_SLOTS: readonly PinSlot[] = ['current', 'next']

/**
 * The receipt of a delivery that the consumer answered with a final 2xx head. A spread and
 * `structuredClone` make plain objects with all of its fields. `peer`, `tls`, `connection`,
 * `timings` and `response` are read from the core on first access.
 */
export class Receipt {
  // Several receipts share a page of the addon. The reference is dropped once this one is read.
  #page: Handle | undefined
  readonly #index: number
  #cache: { json: ReceiptJson; fields: Fields } | undefined

  /** The HTTP status, 200 to 299. */
  readonly status: number
  /** The consumer id of the endpoint. */
  readonly consumer: string = ''
  /** The event's id, if the delivery had one. */
  readonly id: string | undefined = undefined
  /** Which of the endpoint's pins matched; null if it has none. */
  readonly pin: PinSlot | null
  /**
   * The number of attempts. Another one follows only if the payload never left, or if the consumer refused
   * our certificate before it responded.
   */
  readonly attempts: number
  /** The total duration in milliseconds. */
  readonly elapsedMs: number
  /**
   * Whether the consumer answered the head with 100 Continue before the body was sent. Null unless
   * the body was held: because of `holdPayload`, or for an identity that the consumer has not
   * accepted yet.
   */
  readonly holdHonored: boolean | null
  /** The identity of the consumer, from its certificate. */
  declare readonly peer: PeerIdentity
  /** The parameters that the handshake negotiated. */
  declare readonly tls: TlsFacts
  /**
   * Whether the delivery reused an idle connection, the consumer's address, and the proxy, or null
   * without a proxy.
   */
  declare readonly connection: {
    readonly reused: boolean
    readonly address: string
    readonly proxy: string | null
  }
  /** The durations of the phases. */
  declare readonly timings: Timings
  /** The response. */
  declare readonly response: HttpResponse

  // Properties of each receipt, because a spread and structuredClone skip those of the prototype.
  // An accessor takes 0.3 µs to define, so all other fields are values.
  static readonly #accessors = (
    ['peer', 'tls', 'connection', 'timings', 'response'] as const
  ).map((name) => {
    const get = function (this: Receipt) {
      return this.#loaded.fields[name]
    }
    return [name, { get, enumerable: true, configurable: true }] as const
  })

  /** @internal */
  constructor(page: Handle, index: number, row: ReceiptRow) {
    this.#page = page
    this.#index = index
    this.status = row.status
    this.pin = PIN_SLOTS[row.pin - 1] ?? null
    this.attempts = row.attempts
    this.elapsedMs = row.elapsedMs
    this.holdHonored = Number.isNaN(row.held) ? null : row.held === 1
    for (const [name, accessor] of Receipt.#accessors) Object.defineProperty(this, name, accessor)
  }

  /** @internal Returns the receipt with the names that its caller knows. */
  static named(receipt: Receipt, consumer: string, id: string | undefined): Receipt {
    const named = receipt as { consumer: string; id: string | undefined }
    named.consumer = consumer
    named.id = id
    return receipt
  }

  /** @internal Creates the receipt of a page of its own. */
  static single(page: Handle): Receipt {
    const json = readJson(page, 0)
    const pin = json.pin === null ? 0 : 1 + PIN_SLOTS.indexOf(json.pin)
    const held = json.hold_honored === null ? NaN : Number(json.hold_honored)
    const { status, attempts, elapsed_ms: elapsedMs } = json
    const receipt = new Receipt(page, 0, { status, attempts, elapsedMs, pin, held })
    return Receipt.named(receipt, json.consumer, json.id ?? undefined)
  }

  /**
   * Returns the receipt in the JSON form of every language: snake_case keys, milliseconds.
   *
   * @returns a new object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#loaded.json })
  }

  /**
   * Returns {@link toJSON}, or with `full: false` the log record: level, message and fields, below
   * 1 KiB.
   *
   * @returns a new object of plain JSON values
   */
  toObject(options?: { full?: boolean | undefined }): Record<string, unknown> {
    return fullOrLogRecord(this.toJSON(), options)
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
      const json = readJson(this.#page as Handle, this.#index)
      this.#cache = { json, fields: fieldsOf(json) }
      this.#page = undefined
    }
    return this.#cache
  }
}

function readJson(page: Handle, index: number): ReceiptJson {
  return JSON.parse(unwrap(native.receiptJson(page, index))) as ReceiptJson
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
