import { settled } from './error'
import type { Outcome } from './native'
import type { PinSlot } from './words'

/** How far a rotation has come, as one process has seen it. */
export interface RotationStatus {
  /** The process id. */
  readonly process: number
  /** By consumer id. */
  readonly consumers: Readonly<Record<string, ConsumerRotation>>
}

/** How far a rotation has come at one consumer. */
export interface ConsumerRotation {
  /** The identity that it should take: the pin of its certificate. */
  readonly wanted: string
  /** The one it took last: it gave a final answer that was no certificate page. */
  readonly accepted: string | null
  /** When that was last. */
  readonly acceptedAt: Date | null
  /** Whether that is the wanted one, one before it, or nothing was seen. */
  readonly state: 'current' | 'previous' | 'unknown'
  /** The consumer's pin that matched last. */
  readonly pin: string | null
  /** Whether that pin is in use now or was announced. */
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
export function rotationStatus(outcome: Outcome<string>): RotationStatus {
  const { process, consumers } = JSON.parse(settled(outcome)) as RotationJson
  const rotations = Object.entries(consumers).map(([consumer, rotation]) => {
    const { wanted, accepted, accepted_at_ms: at, state, pin, pin_slot: pinSlot } = rotation
    const acceptedAt = at === null ? null : new Date(at)
    return [consumer, { wanted, accepted, acceptedAt, state, pin, pinSlot }] as const
  })
  return { process, consumers: Object.fromEntries(rotations) }
}
