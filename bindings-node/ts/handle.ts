// Recognizes objects of the core.

import { types } from 'node:util'

import type { Handle } from './native'

/** Returns whether a value is an object of the core. */
export function isHandle(value: unknown): value is Handle {
  // Deno has no isExternal. There, as in Node, an external has no prototype.
  if (typeof types.isExternal === 'function') return types.isExternal(value)
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null
}
