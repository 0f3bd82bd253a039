// What a success returns.

import { PeerIdentity } from './peer.js'

/** What a handshake negotiated. */
export interface TlsFacts {
  /** `TLSv1.3` or `TLSv1.2`. */
  readonly version: string
  /** The cipher suite by its IANA name. */
  readonly cipherSuite: string
  /** The key exchange group by its IANA name. */
  readonly keyExchange: string
  /** Whether the consumer asked for our certificate. Always true on a receipt. */
  readonly clientAuthRequested: boolean
}

interface Json {
  consumer: string
  id: string | null
  status: number
  pin: 'current' | 'next' | null
  attempts: number
  elapsed_ms: number
  peer: Record<string, unknown>
  tls: { version: string; cipher_suite: string; key_exchange: string; client_auth_requested: boolean }
  connection: { reused: boolean; address: string }
}

/** A delivery that the consumer answered with a final 2xx head. */
export class Receipt {
  readonly #text: string
  #json: Json | undefined

  /** @internal */
  constructor(text: string) {
    this.#text = text
  }

  // Most receipts are only waited for: what is in them is read when somebody asks.
  get #read(): Json {
    return (this.#json ??= JSON.parse(this.#text) as Json)
  }

  /** The consumer id of the endpoint. */
  get consumer(): string { return this.#read.consumer }
  /** The event's id, where one was given. */
  get id(): string | undefined { return this.#read.id ?? undefined }
  /** The HTTP status, 200 to 299. */
  get status(): number { return this.#read.status }
  /** The consumer as its certificate shows it. */
  get peer(): PeerIdentity { return new PeerIdentity(this.#read.peer) }
  /** Which of the endpoint's pins matched; null where it has none. */
  get pin(): 'current' | 'next' | null { return this.#read.pin }
  /** How many attempts it took. */
  get attempts(): number { return this.#read.attempts }
  /** How long it took in all, in milliseconds. */
  get elapsedMs(): number { return this.#read.elapsed_ms }
  /** Whether an idle connection was used. */
  get reused(): boolean { return this.#read.connection.reused }
  /** What the handshake negotiated. */
  get tls(): TlsFacts {
    const { version, cipher_suite, key_exchange, client_auth_requested } = this.#read.tls
    return { version, cipherSuite: cipher_suite, keyExchange: key_exchange, clientAuthRequested: client_auth_requested }
  }

  /** The whole receipt in the form that every language shows: snake_case keys, milliseconds. */
  toJSON(): Record<string, unknown> {
    return JSON.parse(this.#text) as Record<string, unknown>
  }
}
