/** @internal Items by number. The number of a removed item is used again. */
export class TicketTable<T> {
  readonly #items: (T | undefined)[] = []
  readonly #free: number[] = []

  /** Stores an item and returns its number. */
  insert(item: T): number {
    const ticket = this.#free.pop()
    if (ticket === undefined) return this.#items.push(item) - 1
    this.#items[ticket] = item
    return ticket
  }

  /** Removes and returns the item of a number, which is free then. */
  remove(ticket: number): T | undefined {
    const item = this.#items[ticket]
    if (item === undefined) return undefined
    this.#items[ticket] = undefined
    this.#free.push(ticket)
    return item
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const item of this.#items) if (item !== undefined) yield item
  }
}
