import { PeerIdentity } from './peer'
import { tlsFacts, type TlsFacts, type TlsJson } from './receipt'
import type { PinSlot } from './words'

interface ProbeJson {
  consumer: string
  url: string
  address: string
  pin: PinSlot | null
  peer: unknown
  tls: TlsJson
  elapsed_ms: number
  timings: { resolve_ms: number; connect_ms: number; handshake_ms: number }
}

/**
 * A handshake that was completed without a body: the consumer passed every check that a delivery
 * makes, asked for our certificate, and did not refuse it there. Made by {@link Dispatcher.probe}.
 */
export class Probe {
  readonly #json: ProbeJson

  /** The consumer id of the endpoint. */
  readonly consumer: string
  /** The consumer, as its certificate shows it, with the certificate's dates. */
  readonly peer: PeerIdentity
  /** Which of the endpoint's pins matched; null where it has none. */
  readonly pin: PinSlot | null
  /** What the handshake negotiated. */
  readonly tls: TlsFacts
  /** The address and port that were connected to. */
  readonly address: string
  /** How long it took in all, in milliseconds. */
  readonly elapsedMs: number

  /** @internal */
  constructor(text: string) {
    const json = JSON.parse(text) as ProbeJson
    this.#json = json
    this.consumer = json.consumer
    this.peer = new PeerIdentity(json.peer)
    this.pin = json.pin
    this.tls = tlsFacts(json.tls)
    this.address = json.address
    this.elapsedMs = json.elapsed_ms
  }

  /**
   * The whole result in the form that every language shows: snake_case keys, milliseconds.
   *
   * @returns a fresh object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }
}
