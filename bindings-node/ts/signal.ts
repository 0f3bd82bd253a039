import { wrongType } from './error'
import type { Options } from './given'
import { native, type Handle } from './native'

/** @internal The AbortSignal of a delivery that has one, and what it cancels. */
export interface Watched {
  readonly cancel: Handle
  /** Why it was aborted, for the error that follows. */
  cause(): ErrorOptions | undefined
  /** Looks no longer at the signal, which may outlive the delivery. */
  leave(): void
}

/** @internal Cancels a delivery when its signal, if it has one, says so. */
export function watch(given: Options): Watched | undefined {
  const signal = given.optional('signal', abortSignal)
  if (signal === undefined) return undefined
  const cancel = native.cancelToken()
  const abort = (): void => native.cancel(cancel)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort)
  return {
    cancel,
    cause: () => (signal.aborted ? { cause: signal.reason } : undefined),
    leave: () => signal.removeEventListener('abort', abort),
  }
}

// By its shape: there are signals of other realms.
function abortSignal(option: string, value: unknown): AbortSignal {
  const shape = Object(value) as Partial<AbortSignal>
  if (typeof shape.aborted === 'boolean' && typeof shape.addEventListener === 'function') {
    return value as AbortSignal
  }
  throw wrongType(option, 'an AbortSignal', value)
}
