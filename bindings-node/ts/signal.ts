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

/**
 * @internal Connects the `signal` option, if set, to a new cancel token.
 *
 * @param run the signal of the run, whose owner cancels the token itself
 */
export function watchSignal(options: Options, run?: AbortSignal): WatchedSignal | undefined {
  const signal = signalOf(options)
  const first = signal ?? run
  if (first === undefined) return undefined
  const cancel = native.cancelToken()
  const detach = signal && onAbort(signal, () => native.cancel(cancel))
  return {
    cancel,
    cause: () => {
      const aborted = [signal, run].find((each) => each?.aborted)
      return aborted && { cause: aborted.reason }
    },
    detach: () => detach?.(),
  }
}

/** @internal Returns the `signal` option. */
export function signalOf(options: Options): AbortSignal | undefined {
  return options.optional('signal', abortSignal)
}

/**
 * The callbacks of each signal. A signal has one listener of ours, however many deliveries share it:
 * Node warns of a leak from the eleventh listener.
 */
const callbacks = new WeakMap<AbortSignal, { all: Set<() => void>; listener: () => void }>()

/** @internal Calls back when the signal is aborted, at once if it is. Returns how to stop that. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback()
    return () => {}
  }
  let shared = callbacks.get(signal)
  if (shared === undefined) {
    const all = new Set<() => void>()
    const listener = (): void => {
      for (const each of [...all]) each()
    }
    shared = { all, listener }
    callbacks.set(signal, shared)
    signal.addEventListener('abort', listener)
  }
  const { all, listener } = shared
  // A new function for each call, so that two calls with one callback stay apart.
  const entry = (): void => callback()
  all.add(entry)
  return () => {
    if (all.delete(entry) && all.size === 0) {
      signal.removeEventListener('abort', listener)
      callbacks.delete(signal)
    }
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
