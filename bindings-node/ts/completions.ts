// What waits for what the core brings, by number. One call of the addon brings all that has ended.

import { native, type Handle, type Row } from './native'
import { Receipt } from './receipt'

/** @internal A receipt, or the JSON text of an error; null where there is only something to see. */
export type Completion = Receipt | string | null

const takers = new Map<number, (completion: Completion) => void>()
let numbers = 0

/** @internal A number under which something will be brought. */
export function number(): number {
  // Not before it is needed: it starts threads.
  if (numbers === 0) native.attach(settle)
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

/** @internal Hands over each outcome of a row with its number. */
export function read(row: Row, taker: (number: number, completion: Completion) => void): void {
  for (let at = 0; at < row.length; at += 3) {
    const outcome = row[at + 1] as Handle | string | null
    const isReceipt = outcome !== null && typeof outcome !== 'string'
    const completion = isReceipt ? new Receipt(outcome, row[at + 2] as number) : outcome
    taker(row[at] as number, completion)
  }
}

function settle(row: Row): void {
  read(row, (number, completion) => {
    const taker = takers.get(number)
    takers.delete(number)
    taker?.(completion)
  })
}
