import { unwrap, errorText, wrongType } from './error'
import type { WebhookMtlsError } from './error'
import { Options } from './options'
import { native, type Handle } from './native'
import type { Action } from './enums'

/** The options of a retry policy. */
export interface RetryPolicyOptions {
  // generated: begin properties retry_policy
  /**
   * The most attempts, including the first. With the defaults, they take more than 24 hours. By
   * default 60.
   */
  attempts?: number | undefined
  /**
   * The wait after the first attempt, of which half is random. It doubles after each further
   * attempt. In milliseconds; by default 5000.
   */
  firstMs?: number | undefined
  /**
   * The longest wait, unless the consumer asks for a longer one. In milliseconds; by default
   * 3600000.
   */
  ceilingMs?: number | undefined
  /** A number that makes the random parts of the waits repeatable, for tests. */
  seed?: number | undefined
  // generated: end
}

/** The decision about one failure. */
export interface Decision {
  /** The action to take. */
  readonly action: Action
  /** The time to wait before it, in milliseconds. */
  readonly delayMs: number
  /**
   * Whether this attempt counts towards the maximum. An attempt that was never admitted, or waits
   * for a repair, does not.
   */
  readonly counts: boolean
  /** The reason, in a few words. */
  readonly reason: string
}

/** Decides what a queue should do with a failure. It has no state and no clock. */
export class RetryPolicy {
  readonly #handle: Handle

  /**
   * @param options all are optional
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options?: RetryPolicyOptions) {
    const settings = new Options(options, ['retry_policy']).settings('retry_policy')
    this.#handle = unwrap(native.retryPolicy(settings))
  }

  /**
   * Decides about a failure.
   *
   * @param error the failure; any value that {@link WebhookMtlsError.is} accepts
   * @param options `attempt`: the number of the failed attempt, from 1
   * @returns the decision
   * @throws {WebhookMtlsError} `option_invalid`
   */
  decide(error: WebhookMtlsError, options: { attempt: number }): Decision {
    const attempt = new Options(options, [], ['attempt']).value('attempt')
    if (typeof attempt !== 'number' || !Number.isInteger(attempt) || attempt < 1) {
      throw wrongType('attempt', 'a whole number from 1', attempt)
    }
    const capped = Math.min(attempt, 0xffff_ffff)
    const { delay_ms, ...rest } = JSON.parse(
      unwrap(native.retryDecide(this.#handle, errorText(error), capped)),
    ) as Omit<Decision, 'delayMs'> & { delay_ms: number }
    return { ...rest, delayMs: delay_ms }
  }
}
