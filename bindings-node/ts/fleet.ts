import { unwrap } from './error'
import { native, type CallResult } from './native'
import { jsonText, text, texts } from './options'

/**
 * The status of one process, which can be serialized as JSON. Its names are those of all languages;
 * `docs/fleet.schema.json` describes it.
 */
export interface ProcessStatus {
  readonly schema: 1
  /** The name of the process. */
  readonly process: string
  /** When it said so, in Unix milliseconds. */
  readonly at_ms: number
  /** By consumer id: what `rotationStatus` and `Endpoint.status` say. */
  readonly consumers: Readonly<Record<string, unknown>>
  /** What `expiries` says. */
  readonly expiries: readonly unknown[]
}

/** The statuses of several processes as one. `docs/fleet.schema.json` describes it. */
export interface FleetStatus {
  readonly schema: 1
  /** The processes, and when each said what it knows, in Unix milliseconds. */
  readonly processes: readonly { readonly process: string; readonly at_ms: number }[]
  /** By consumer id. */
  readonly consumers: Readonly<Record<string, FleetConsumer>>
  /** By the pin of each of our identities: who needs it. */
  readonly identities: Readonly<Record<string, FleetIdentity>>
  /** The earliest date of each item, the smallest share of a lifetime first. */
  readonly expiries: readonly FleetExpiry[]
}

/** The names of the processes that say something. */
type By<Said extends string = string> = Readonly<Partial<Record<Said, readonly string[]>>>

/** What the processes know of a consumer. */
export interface FleetConsumer {
  /**
   * `current` if all processes want the same identity and one has seen it accepted, `previous` if a
   * process needs another one, `unknown` if none was accepted.
   */
  readonly state: 'current' | 'previous' | 'unknown'
  readonly state_by: By<'current' | 'previous' | 'unknown'>
  /** By the pin of each identity that is wanted. */
  readonly wanted_by: By
  /** By the pin of each identity that was accepted last. */
  readonly accepted_by: By
  readonly accepted_at_ms: number | null
  /** By the pin of each key that the consumer presented last. */
  readonly pin_seen_by: By
  /** The configured pins that a process has never seen. */
  readonly pins_never_seen: readonly string[]
  /** The earliest end of a certificate that the consumer presented last. */
  readonly peer_not_after_ms: number | null
  /** The worst circuit. */
  readonly circuit: 'closed' | 'open' | 'half_open'
  readonly circuit_by: By<'closed' | 'open' | 'half_open'>
  readonly circuit_open_until_ms: number | null
  /** The processes that have no such endpoint. */
  readonly unknown_to: readonly string[]
}

/** Who needs one of our identities. `Dispatcher.retire` refuses to retire one that is needed. */
export interface FleetIdentity {
  /** The processes that present it. */
  readonly wanted_by: readonly string[]
  /** The consumers that accepted it last, as a process has seen it. */
  readonly accepted_by: readonly string[]
}

/** The earliest date of an item. */
export interface FleetExpiry {
  readonly what: 'identity' | 'anchor' | 'intermediate' | 'crl' | 'consumer'
  readonly name: string
  readonly not_after_ms: number
  readonly fraction_left: number
  /** The processes that have this date. */
  readonly by: readonly string[]
}

/** @internal */
export function processStatus(result: CallResult<string>): ProcessStatus {
  return JSON.parse(unwrap(result)) as ProcessStatus
}

/** @internal Returns the JSON text of a merged status: the object of `merge`, or its text from a store. */
export function mergedStatus(option: string, value: unknown): string {
  return typeof value === 'string' ? text(option, value, 'status') : jsonText(option, value, 'status')
}

/**
 * Merges the statuses of several processes, and says which process knows what.
 *
 * Where they disagree, the merged status has the identity that is still needed, the earlier date and
 * the worse circuit.
 *
 * @param statuses the JSON text of `Dispatcher.processStatus` of each process
 * @throws {WebhookMtlsError} `option_invalid` if there is no status, if one is not such a document, or
 * if two are of one process
 */
export function merge(statuses: Iterable<string>): FleetStatus {
  return JSON.parse(unwrap(native.merge(texts('statuses', statuses, 'status')))) as FleetStatus
}
