import { wrongType } from './error'
import type { Options } from './options'
import { native, type Handle } from './native'

/** @internal The AbortSignal of a delivery, and the native token that it cancels. */
export interface WatchedSignal {
  readonly cancel: Handle
  /** Returns the abort reason as the cause of the delivery's error. */
  cause(): ErrorOptions | undefined
  /** Removes the listener. The signal may outlive the delivery. */
  detach(): void
}

/** @internal Connects the `signal` option, if set, to a new cancel token. */
export function watchSignal(options: Options): WatchedSignal | undefined {
  const signal = options.optional('signal', abortSignal)
  if (signal === undefined) return undefined
  const cancel = native.cancelToken()
  const abort = (): void => native.cancel(cancel)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort)
  return {
    cancel,
    cause: () => (signal.aborted ? { cause: signal.reason } : undefined),
    detach: () => signal.removeEventListener('abort', abort),
  }
}

// By its properties, because a signal of another realm is not an instance of this realm's class.
function abortSignal(option: string, value: unknown): AbortSignal {
  const shape = Object(value) as Partial<AbortSignal>
  if (typeof shape.aborted === 'boolean' && typeof shape.addEventListener === 'function') {
    return value as AbortSignal
  }
  throw wrongType(option, 'an AbortSignal', value)
}
