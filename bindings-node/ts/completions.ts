// What waits for what the core brings, by number. One call of the addon brings all that has ended.

import { native, type Handle } from './native'
import { Slab } from './slab'
import { Receipt } from './receipt'

/** @internal A receipt, or the JSON text of an error; null where there is only something to see. */
export type Completion = Receipt | string | null

/** @internal A completion and the number under which it was expected. */
export interface Entry {
  readonly number: number
  readonly completion: Completion
}

/**
 * What the addon has entered: for each a number, then a receipt's status or one of the words below,
 * then the receipt's place in its page.
 */
const ledger = new Float64Array(3 * 64)
const FAULT = 0
const STIRRED = -1

/** The page of the receipts that are entered. One at place 0 begins another. */
let page: Handle

type Taker = (completion: Receipt | string) => void

const takers = new Slab<Taker>()
const watchers = new Map<number, () => void>()
let isAttached = false
let numbers = 0

/** @internal The number under which a receipt or an error is brought, once, to be handed to a taker. */
export function expect(taker: Taker): number {
  attach()
  return takers.insert(taker)
}

/** @internal A number under which it is told that there is something to see. */
export function watched(): number {
  attach()
  return ++numbers
}

/** @internal Has it told to a watcher when there is something to see next. */
export function watch(number: number, watcher: () => void): void {
  watchers.set(number, watcher)
}

/** @internal Tells nothing more under a number of {@link watched}. */
export function forget(number: number): void {
  watchers.delete(number)
}

function attach(): void {
  // Not before it is needed: it starts threads.
  if (isAttached) return
  native.attach(ledger, settle)
  isAttached = true
}

/**
 * @internal So many entries of the ledger. All are read before anybody hears of one: whoever does
 * could have others entered.
 */
export function read(count: number): Entry[] {
  const entries: Entry[] = []
  for (let at = 0; at < 3 * count; at += 3) {
    const number = ledger[at] as number
    const completion = completionOf(ledger[at + 1] as number, ledger[at + 2] as number)
    entries.push({ number, completion })
  }
  return entries
}

function completionOf(word: number, place: number): Completion {
  if (word === STIRRED) return null
  if (word === FAULT) return native.brought() as string
  if (place === 0) page = native.brought() as Handle
  return new Receipt(page, place, word)
}

function settle(count: number): void {
  for (const { number, completion } of read(count)) {
    if (completion === null) {
      const watcher = watchers.get(number)
      watchers.delete(number)
      watcher?.()
      continue
    }
    takers.remove(number)?.(completion)
  }
}
