// What waits for what the core brings, by number. One call of the addon brings all that has ended.

import { native, type Handle } from './native'
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

const takers = new Map<number, (completion: Completion) => void>()
let numbers = 0

/** @internal A number under which something will be brought. */
export function number(): number {
  // Not before it is needed: it starts threads.
  if (numbers === 0) native.attach(ledger, settle)
  return numbers++
}

/** @internal Hands what is brought next under a number to a taker. */
export function expect(number: number, taker: (completion: Completion) => void): void {
  takers.set(number, taker)
}

/** @internal Expects nothing more under a number. */
export function forget(number: number): void {
  takers.delete(number)
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
    const taker = takers.get(number)
    takers.delete(number)
    taker?.(completion)
  }
}
