// How much a caller may give. The core has the numbers, and the errors of what is beyond them.

import { native } from './native'

/** @internal Arguments that have limits of their own. */
export type Sort = 'body' | 'material' | 'chain' | 'text' | 'error'

/** @internal In bytes, but for `entries`. */
export const LIMITS = (
  JSON.parse(native.tables()) as { limits: Record<Sort | 'entries' | 'list', number> }
).limits
