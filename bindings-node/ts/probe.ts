import { fullOrLogRecord } from './error'
import { PeerIdentity } from './peer'
import { tlsFacts, type TlsFacts, type TlsJson } from './receipt'
import type { PinSlot } from './enums'

interface ProbeJson {
  consumer: string
  url: string
  address: string
  pin: PinSlot | null
  peer: unknown
  tls: TlsJson
  note: string | null
  elapsed_ms: number
  timings: { resolve_ms: number; connect_ms: number; handshake_ms: number }
}

/**
 * A completed handshake without a request. The consumer passed every check of a delivery, requested
 * our certificate, and did not refuse it in the handshake. Created by {@link Dispatcher.probe}.
 */
export class Probe {
  readonly #json: ProbeJson

  /** The consumer id of the endpoint. */
  readonly consumer: string
  /** The identity of the consumer, from its certificate. */
  readonly peer: PeerIdentity
  /** Which of the endpoint's pins matched; null if it has none. */
  readonly pin: PinSlot | null
  /** The parameters that the handshake negotiated. */
  readonly tls: TlsFacts
  /**
   * What the handshake does not show about our certificate, and the CAs that the consumer accepts if
   * they do not include ours; null if there is nothing to say.
   */
  readonly note: string | null
  /** The consumer's address and port. */
  readonly address: string
  /** The total duration in milliseconds. */
  readonly elapsedMs: number

  /** @internal */
  constructor(text: string) {
    const json = JSON.parse(text) as ProbeJson
    this.#json = json
    this.consumer = json.consumer
    this.peer = new PeerIdentity(json.peer)
    this.pin = json.pin
    this.tls = tlsFacts(json.tls)
    this.note = json.note
    this.address = json.address
    this.elapsedMs = json.elapsed_ms
  }

  /**
   * Returns the result in the JSON form of every language: snake_case keys, milliseconds.
   *
   * @returns a new object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
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
}
