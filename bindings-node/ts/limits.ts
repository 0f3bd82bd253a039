// Size limits of arguments. The core defines the numbers and the errors.

import { native } from './native'

/** @internal Sorts of arguments, each with its own limit. */
export type Sort = 'body' | 'material' | 'crls' | 'chain' | 'text' | 'error' | 'status'

/** @internal Limits in bytes, except `entries`, which is a count. */
export const LIMITS = (
  JSON.parse(native.tables()) as { limits: Record<Sort | 'entries' | 'list', number> }
).limits
