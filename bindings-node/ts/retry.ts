// What a queue should do with a failure. Pure: queues own time, the core owns the verdict.

import { take, type WebhookMtlsError, WebhookMtlsError as Failure } from './errors.js'
import { native } from './native.js'
import { handleOf, keep, options, seen, settings, wrongType } from './values.js'

/** A verdict on one failure. */
export interface Decision {
  /** Try again, hold until somebody has acted, or give up. */
  readonly action: 'retry' | 'park' | 'drop'
  /** How long to wait first, in milliseconds. */
  readonly delayMs: number
  /** Whether this attempt counts. */
  readonly counts: boolean
  /** Why, in a few words. */
  readonly reason: string
}

/** How often and how fast to try again. */
export class RetryPolicy {
  /**
   * @param o `attempts` in all; `firstMs`, the wait after the first, doubling; `ceilingMs`, the longest
   * @throws WebhookMtlsError `option_invalid`
   */
  constructor(o?: { attempts?: number; firstMs?: number; ceilingMs?: number }) {
    keep(this, take(native.retryPolicy(settings(options(o, 'options'), []))))
  }

  /**
   * Judges a failure.
   *
   * @param e the failure, also one rebuilt by `WebhookMtlsError.fromJSON`
   * @param o `attempt`: which attempt failed, from 1
   */
  decide(e: WebhookMtlsError, o: { attempt: number }): Decision {
    if (!Failure.is(e)) throw wrongType('error', 'a WebhookMtlsError', seen(e))
    const attempt = options(o, 'options')['attempt']
    const isCount = typeof attempt === 'number' && Number.isInteger(attempt) && attempt >= 1 && attempt < 2 ** 32
    if (!isCount) throw wrongType('attempt', 'a whole number from 1', seen(attempt))
    const text = take(native.retryDecide(handleOf(this), JSON.stringify(e.toJSON()), attempt))
    const { action, delay_ms, counts, reason } = JSON.parse(text) as {
      action: Decision['action']; delay_ms: number; counts: boolean; reason: string
    }
    return { action, delayMs: delay_ms, counts, reason }
  }
}
