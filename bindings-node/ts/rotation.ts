import { unwrap } from './error'
import type { CallResult } from './native'
import type { PinSlot } from './enums'

/** The progress of an identity rotation, as one process observed it. */
export interface RotationStatus {
  /** The process id. */
  readonly process: number
  /** The progress by consumer id. */
  readonly consumers: Readonly<Record<string, ConsumerRotation>>
}

/** The progress of a rotation at one consumer. */
export interface ConsumerRotation {
  /** The identity that the consumer should accept, as the pin of its certificate. */
  readonly wanted: string
  /** The identity that it accepted last: its final response was no certificate error page. */
  readonly accepted: string | null
  /** When the consumer last accepted it. */
  readonly acceptedAt: Date | null
  /**
   * `current` if it is the wanted one, `previous` if it is older, `unknown` if none was observed.
   */
  readonly state: 'current' | 'previous' | 'unknown'
  /** The configured pin of the consumer that matched last. */
  readonly pin: string | null
  /** Whether that pin is current or announced. */
  readonly pinSlot: PinSlot | null
}

interface RotationJson {
  process: number
  consumers: Record<
    string,
    {
      wanted: string
      accepted: string | null
      accepted_at_ms: number | null
      state: ConsumerRotation['state']
      pin: string | null
      pin_slot: PinSlot | null
    }
  >
}

/** @internal */
export function rotationStatus(result: CallResult<string>): RotationStatus {
  const { process, consumers } = JSON.parse(unwrap(result)) as RotationJson
  const rotations = Object.entries(consumers).map(([consumer, rotation]) => {
    const { wanted, accepted, accepted_at_ms: at, state, pin, pin_slot: pinSlot } = rotation
    const acceptedAt = at === null ? null : new Date(at)
    return [consumer, { wanted, accepted, acceptedAt, state, pin, pinSlot }] as const
  })
  return { process, consumers: Object.fromEntries(rotations) }
}
