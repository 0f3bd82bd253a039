import { settled, wrongType } from './error'
import type { Options } from './given'
import { Identity } from './identity'
import { native, type EndpointGiven, type Handle } from './native'
import { Pins } from './pins'
import { StandardWebhooks } from './signing'
import { Trust } from './trust'
import type { MinTls, StatusRetry } from './words'

/** How an endpoint differs from its dispatcher. */
export interface EndpointOptions {
  /**
   * The keys the consumer may have. `null` is the decision to trust its CA alone; `undefined` is no
   * decision and refused.
   */
  pins: Pins | null
  /** Whom to believe about this consumer; by default the dispatcher's. */
  trust?: Trust
  /** Who to be to this consumer; by default the dispatcher's. */
  identity?: Identity
  /** The oldest TLS version accepted; by default `1.3`. */
  minTls?: MinTls
  /** The SAN URI that the consumer's certificate must carry, instead of the URL's host name. */
  serverUri?: string
  /**
   * Whether a body waits until the consumer has answered its head with 100 Continue, for a second
   * at most; by default false.
   */
  holdPayload?: boolean
  /** The secrets that sign each delivery; its `id` must then be said. By default none. */
  signing?: StandardWebhooks
  /** How many deliveries to this consumer may be under way at once; by default 8. */
  concurrency?: number
  /**
   * Whose endpoint this is; by default the consumer id. While others wait, the endpoints of one owner
   * hold at most a quarter of `maxConnections` and of the look-ups.
   */
  owner?: string
  /** As the dispatcher's, which holds for what is not named here. */
  statusRetry?: StatusRetry
}

/** What the deliveries of this process have shown of a consumer. */
export interface EndpointStatus {
  /** The pin of the key that the consumer showed last. */
  readonly pinSeen: string | null
  /** The configured pins that no delivery has matched so far. */
  readonly pinsNeverSeen: readonly string[]
  /** When the consumer's certificate, as last seen, expires. */
  readonly peerNotAfter: Date | null
  /** Which of our identities the consumer took last: the pin of its certificate. */
  readonly identityAccepted: string | null
}

/**
 * A consumer that can be delivered to, made by {@link Dispatcher.endpoint}. It stays the same
 * object while its values change.
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

  /** What deliveries have shown. */
  status(): EndpointStatus {
    const json = JSON.parse(settled(native.endpointStatus(this.#handle))) as {
      pin_seen: string | null
      pins_never_seen: string[]
      peer_not_after_ms: number | null
      identity_accepted: string | null
    }
    return {
      pinSeen: json.pin_seen,
      pinsNeverSeen: json.pins_never_seen,
      peerNotAfter: json.peer_not_after_ms === null ? null : new Date(json.peer_not_after_ms),
      identityAccepted: json.identity_accepted,
    }
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
export function endpointGiven(given: Options): EndpointGiven {
  const pins = given.value('pins')
  return {
    pinsSaid: pins !== undefined,
    pins: pins === undefined || pins === null ? undefined : Pins.handle('pins', pins),
    identity: given.optional('identity', Identity.handle),
    trust: given.optional('trust', Trust.handle),
    signing: given.optional('signing', StandardWebhooks.handle),
    settings: given.settings('endpoint'),
  }
}
