import { settled, textOf, wrongType } from './error'
import type { WebhookMtlsError } from './error'
import { Options } from './given'
import { native, type Handle } from './native'
import type { Action } from './words'

/** How often and how fast to try again. */
export interface RetryPolicyOptions {
  /** How many attempts are made in all; by default 8. */
  attempts?: number
  /** The wait after the first attempt, in milliseconds; it doubles with each further one. */
  firstMs?: number
  /** The longest wait, in milliseconds, unless the consumer asks for a longer one. */
  ceilingMs?: number
}

/** A verdict on one failure. */
export interface Decision {
  /** What to do. */
  readonly action: Action
  /** How long to wait first, in milliseconds. */
  readonly delayMs: number
  /** Whether this attempt counts. One that was never admitted, or waits for a repair, does not. */
  readonly counts: boolean
  /** Why, in a few words. */
  readonly reason: string
}

/** What a queue should do with a failure. Pure: queues own time, this owns the verdict. */
export class RetryPolicy {
  readonly #handle: Handle

  /**
   * @param options all may be left out
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options?: RetryPolicyOptions) {
    const given = new Options(options, ['retry_policy'])
    this.#handle = settled(native.retryPolicy(given.settings('retry_policy')))
  }

  /**
   * Judges a failure.
   *
   * @param error the failure, or one that {@link WebhookMtlsError.is} takes for it
   * @param options `attempt`: which attempt failed, from 1
   * @throws {WebhookMtlsError} `option_invalid`
   */
  decide(error: WebhookMtlsError, options: { attempt: number }): Decision {
    const attempt = new Options(options, [], ['attempt']).value('attempt')
    if (typeof attempt !== 'number' || !Number.isInteger(attempt) || attempt < 1) {
      throw wrongType('attempt', 'a whole number from 1', attempt)
    }
    const most = Math.min(attempt, 0xffff_ffff)
    const { delay_ms, ...rest } = JSON.parse(
      settled(native.retryDecide(this.#handle, textOf(error), most)),
    ) as Omit<Decision, 'delayMs'> & { delay_ms: number }
    return { ...rest, delayMs: delay_ms }
  }
}
