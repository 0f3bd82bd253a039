// What signers have thrown, for the errors that they cause.

// A delivery that ended first takes none, so only the last ones are kept.
const MOST = 64

const causes = new Map<number, unknown>()

/** @internal Keeps what the signer threw in the call with this number. */
export function keepCause(call: number, thrown: unknown): void {
  causes.set(call, thrown)
  const [oldest] = causes.keys()
  if (causes.size > MOST && oldest !== undefined) causes.delete(oldest)
}

/** @internal Returns what the signer threw in the call with this number, and forgets it. */
export function takeCause(call: number): ErrorOptions | undefined {
  if (!causes.has(call)) return undefined
  const cause = causes.get(call)
  causes.delete(call)
  return { cause }
}
