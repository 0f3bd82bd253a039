/** @internal Things by numbers, which are given out again once they are free. */
export class Slab<T> {
  readonly #things: (T | undefined)[] = []
  readonly #free: number[] = []

  /** The number of a thing from now on. */
  insert(thing: T): number {
    const place = this.#free.pop()
    if (place === undefined) return this.#things.push(thing) - 1
    this.#things[place] = thing
    return place
  }

  /** The thing of a number, which is free then. */
  remove(place: number): T | undefined {
    const thing = this.#things[place]
    if (thing === undefined) return undefined
    this.#things[place] = undefined
    this.#free.push(place)
    return thing
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const thing of this.#things) if (thing !== undefined) yield thing
  }
}
