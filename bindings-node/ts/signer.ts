// The signer of an identity whose key stays elsewhere.

import { types } from 'node:util'

import { keepCause } from './causes'
import { native, type NativeSign } from './native'
import type { SignatureScheme } from './enums'

/**
 * Signs a handshake with a key that this process does not hold, such as one in an HSM or a KMS.
 * docs/signer.md has the rules.
 *
 * It runs on the event loop, which goes on while its promise is pending: only its handshake waits.
 * Several calls may be pending at once. A call whose promise does not settle keeps its place among
 * those that `concurrency` allows.
 *
 * @param scheme the algorithm, the hash and the padding
 * @param message the bytes to sign, not hashed
 * @param digest the hash of the message, for RSA and ECDSA; else null
 * @param deadlineMs how long the handshake waits for the answer, in milliseconds
 * @returns the signature. For ECDSA it is DER, or r and s in a row. The library verifies it before it
 * leaves.
 */
export type Sign = (
  scheme: SignatureScheme,
  message: Uint8Array,
  digest: Uint8Array | null,
  deadlineMs: number,
) => Uint8Array | Promise<Uint8Array>

/** The limits of a signer. */
export interface SignerOptions {
  /** The most calls at once, 1 to 64; by default 8. Further handshakes wait. */
  concurrency?: number | undefined
  /** The schemes that the key's owner supports; by default all that fit the key. */
  schemes?: Iterable<SignatureScheme> | undefined
}

/** @internal Returns the function that the addon calls. */
export function nativeSign(sign: Sign): NativeSign {
  return (call, scheme, message, digest, deadlineMs) => {
    void answer(call, () => sign(scheme as SignatureScheme, message, digest ?? null, deadlineMs))
  }
}

async function answer(call: number, sign: () => Uint8Array | Promise<Uint8Array>): Promise<void> {
  try {
    const signature: unknown = await sign()
    if (!types.isUint8Array(signature)) throw new TypeError('a signer returns a Uint8Array')
    // A copy: another thread may change shared memory.
    native.signerAnswer(call, Uint8Array.from(signature), '')
  } catch (error) {
    keepCause(call, error)
    native.signerAnswer(call, undefined, nameOf(error))
  }
}

function nameOf(error: unknown): string {
  try {
    const name: unknown = types.isNativeError(error) ? error.name : typeof error
    return typeof name === 'string' && name !== '' ? name.slice(0, 1000) : 'Error'
  } catch {
    return 'Error'
  }
}
