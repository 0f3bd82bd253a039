import { unwrap, wrongType } from './error'
import type { Options } from './options'
import { Identity } from './identity'
import { native, type EndpointArguments, type Handle } from './native'
import { Pins } from './pins'
import { signingHandles, type Signing } from './signing'
import { Trust } from './trust'
import type { CircuitState, CrlPolicy, MinTls, StatusRetry } from './enums'

/** The options of an endpoint. */
export interface EndpointOptions {
  // generated: begin properties endpoint
  /**
   * The keys that the consumer may have. There is no default: to rely on the CA alone, say so
   * explicitly.
   */
  pins: Pins | null
  /** The identity to present to this consumer. By default the dispatcher's. */
  identity?: Identity | undefined
  /** The trust for this consumer's certificate. By default the dispatcher's. */
  trust?: Trust | undefined
  /**
   * The certificates of this consumer that a CRL must cover: if_present (none), require (all but
   * the anchor) or require_leaf. By default the dispatcher's.
   */
  crlPolicy?: CrlPolicy | undefined
  /** The oldest TLS version to accept: 1.3 or 1.2. By default `1.3`. */
  minTls?: MinTls | undefined
  /**
   * Whether to offer the key exchange X25519MLKEM768. Without it, the first message of the
   * handshake fits into one packet, for a firewall that drops or resets connections with a larger
   * one. By default true.
   */
  postQuantum?: boolean | undefined
  /**
   * The name that the handshake asks for (SNI) and that the consumer's certificate must contain:
   * a DNS name or an IP address. The URL's host is still looked up and connected to. By default
   * the URL's host.
   */
  serverName?: string | undefined
  /** The SAN URI that the consumer's certificate must contain, instead of the URL's host name. */
  serverUri?: string | undefined
  /**
   * Whether to hold the payload until the consumer answers the request head with 100 Continue,
   * for at most one second. By default false.
   */
  holdPayload?: boolean | undefined
  /**
   * How many bytes of a response's body receipts and errors show, at most 65536. By default 1024.
   */
  responseExcerpt?: number | undefined
  /**
   * How each delivery is signed: by the secrets of Standard Webhooks, which require an id, by a
   * token, or by both.
   */
  signing?: Signing | undefined
  /** The most deliveries to this consumer at once. By default 8. */
  concurrency?: number | undefined
  /**
   * The most deliveries to this consumer in a second, from this process: 0.001 to 1000000.
   * Further ones wait in line.
   */
  rate?: number | undefined
  /**
   * The customer that owns this endpoint. While others wait, the endpoints of one owner use at
   * most a quarter of maxConnections and of the DNS lookups. By default the consumer id.
   */
  owner?: string | undefined
  /**
   * The retry verdict for a status or status class of this consumer: later, after_repair or
   * never. A status that it does not name uses the dispatcher's verdict. By default the
   * dispatcher's.
   */
  statusRetry?: StatusRetry | undefined
  // generated: end
}

/** The facts about a consumer that this process has observed. */
export interface EndpointStatus {
  /** The pin of the key that the consumer presented last. */
  readonly pinSeen: string | null
  /** The configured pins that no delivery has matched so far. */
  readonly pinsNeverSeen: readonly string[]
  /** When the consumer's certificate, as last seen, expires. */
  readonly peerNotAfter: Date | null
  /** The identity that the consumer accepted last, as the pin of its certificate. */
  readonly identityAccepted: string | null
  /** Whether deliveries are admitted. */
  readonly circuit: CircuitState
  /** Until when the circuit is open, if it is. */
  readonly circuitOpenUntil: Date | null
}

/**
 * The endpoint of a consumer, created by {@link Dispatcher.endpoint}. It stays the same object when
 * its options change.
 */
export class Endpoint {
  readonly #handle: Handle
  /** The consumer id. */
  readonly consumer: string

  /** @internal */
  constructor(handle: Handle) {
    this.#handle = handle
    this.consumer = native.endpointConsumer(handle)
  }

  /** The URL in its canonical spelling. */
  get url(): string {
    return native.endpointUrl(this.#handle)
  }

  /** Returns the facts that deliveries and probes have observed. */
  status(): EndpointStatus {
    const json = JSON.parse(unwrap(native.endpointStatus(this.#handle))) as {
      pin_seen: string | null
      pins_never_seen: string[]
      peer_not_after_ms: number | null
      identity_accepted: string | null
      circuit: CircuitState
      circuit_open_until_ms: number | null
    }
    const openUntil = json.circuit_open_until_ms
    return {
      pinSeen: json.pin_seen,
      pinsNeverSeen: json.pins_never_seen,
      peerNotAfter: json.peer_not_after_ms === null ? null : new Date(json.peer_not_after_ms),
      identityAccepted: json.identity_accepted,
      circuit: json.circuit,
      circuitOpenUntil: openUntil === null ? null : new Date(openUntil),
    }
  }

  /**
   * Lets the next delivery try an endpoint whose circuit is open, at once, because something was
   * repaired. A changed option and {@link Dispatcher.reload} do the same.
   */
  resetCircuit(): void {
    native.endpointResetCircuit(this.#handle)
  }

  /**
   * Opens the circuit, because another process has found that the consumer fails. Afterwards one
   * delivery tries it. A circuit that is open for longer stays so. No event is emitted.
   *
   * @param durationMs for how long, in milliseconds: above zero, at most 24 hours
   * @throws `option_invalid` for another value
   */
  openCircuit(durationMs: number): void {
    if (typeof durationMs !== 'number') {
      throw wrongType('durationMs', 'a number of milliseconds', durationMs)
    }
    unwrap(native.endpointOpenCircuit(this.#handle, durationMs))
  }

  /** @internal */
  is(handle: Handle): boolean {
    return native.endpointIs(this.#handle, handle)
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'an Endpoint', value)
  }
}

/** @internal */
export function endpointArguments(options: Options): EndpointArguments {
  const pins = options.value('pins')
  const signing = options.optional('signing', signingHandles)
  return {
    pinsAreSet: pins !== undefined,
    pins: pins === undefined || pins === null ? undefined : Pins.handle('pins', pins),
    identity: options.optional('identity', Identity.handle),
    trust: options.optional('trust', Trust.handle),
    signing: signing?.signing,
    jwtBearer: signing?.jwtBearer,
    settings: options.settings('endpoint'),
  }
}
