import * as completions from './completions'
import type { DeliverOptions } from './dispatcher'
import { Endpoint } from './endpoint'
import { errorOf, settled, WebhookMtlsError, wrongType } from './error'
import { body as bodyOf, number, Options, type Body } from './given'
import { native, type Handle } from './native'
import { Slab } from './slab'
import type { Receipt } from './receipt'
import { watch, type Watched } from './signal'

/** One body for one endpoint, to be delivered with others. */
export interface Delivery<T = unknown> extends DeliverOptions {
  /** An endpoint of the dispatcher that delivers it. */
  endpoint: Endpoint
  /** Text as UTF-8, or bytes. Copied when it is taken; a body that repeats is held once. */
  body: Body
  /** Anything of yours, to know the delivery again. */
  tag?: T
}

/** What became of one delivery of many. */
export type Outcome<T = unknown> =
  | { readonly delivery: Delivery<T>; readonly receipt: Receipt; readonly error?: undefined }
  | { readonly delivery: Delivery<T>; readonly receipt?: undefined; readonly error: WebhookMtlsError }

/** How far a run has come. */
export interface Progress {
  /** How many deliveries have ended, those that failed included. */
  readonly done: number
  /** How many have failed. */
  readonly failed: number
  /** How many are under way. */
  readonly inFlight: number
  /** How many wait for a turn of their consumer. */
  readonly waiting: number
}

/** A delivery that core has taken. */
interface Under<T> {
  delivery: Delivery<T>
  watched: Watched | undefined
}

type Result<T> = IteratorResult<Outcome<T>, undefined>

/** The outcomes of {@link Dispatcher.deliverMany}, as they finish. */
export class Outcomes<T = unknown> implements AsyncIterableIterator<Outcome<T>> {
  readonly #begin: () => Handle
  #source: Source<T> | undefined
  #run: Handle | undefined
  readonly #under = new Slab<Under<T>>()
  /** Outcomes that have arrived, and how many of them were given. */
  #arrived: Outcome<T>[] = []
  #given = 0
  /** Deliveries that could not even be read. */
  #unread = 0
  #number = 0
  #isClosed = false
  #isOver = false
  #isLooking = false
  /** Kept when the last who had to wait has what it asked for; undefined if nobody waits. */
  #line: Promise<void> | undefined
  #ring: () => void = () => {}

  /** @internal */
  constructor(dispatcher: Handle, deliveries: unknown, options: unknown) {
    // Whatever is wrong is told where outcomes are awaited.
    this.#begin = () => {
      const given = new Options(options, [], ['concurrency'])
      const source = new Source<T>(deliveries)
      this.#number = completions.watched()
      const concurrency = given.optional('concurrency', number)
      this.#run = settled(native.run(dispatcher, concurrency, this.#number))
      this.#source = source
      return this.#run
    }
  }

  /** How far the run has come. */
  get progress(): Progress {
    if (this.#run === undefined) return { done: 0, failed: 0, inFlight: 0, waiting: 0 }
    const { done, failed, inFlight, waiting } = native.runProgress(this.#run)
    // What core never saw has failed all the same.
    const more = this.#unread
    return { done: done + more, failed: failed + more, inFlight, waiting }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The next outcome. */
  next(): Promise<Result<T>> {
    // No generator, in which what has arrived takes a turn of its own to be given. Where deliveries
    // come from may ask as well, amid a look.
    if (this.#line !== undefined || this.#isLooking) return this.#wait(() => this.#look())
    try {
      const result = this.#look()
      return result === undefined ? this.#wait(() => this.#look(), true) : Promise.resolve(result)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Cancels what is under way, and takes no further deliveries. */
  return(): Promise<Result<T>> {
    this.#isClosed = true
    if (this.#run !== undefined) native.runCancel(this.#run)
    this.#ring()
    return this.#wait(() => this.#end())
  }

  /**
   * Looks, after those who wait already, until there is something to give.
   *
   * @param hasLooked whether there was nothing just now
   */
  async #wait(look: () => Result<T> | undefined, hasLooked = false): Promise<Result<T>> {
    const before = this.#line
    let leave = (): void => {}
    const line = new Promise<void>((resolve) => {
      leave = resolve
    })
    this.#line = line
    try {
      let result: Result<T> | undefined
      if (before !== undefined || !hasLooked) {
        await before
        result = look()
      }
      while (result === undefined) {
        await new Promise<void>((resolve) => {
          this.#ring = resolve
          // Not for longer: a run that is forgotten between two outcomes must be collected.
          completions.watch(this.#number, resolve)
        })
        result = look()
      }
      return result
    } finally {
      if (this.#line === line) this.#line = undefined
      leave()
    }
  }

  /** The next outcome or the end; undefined where there is nothing to give yet. */
  #look(): Result<T> | undefined {
    if (this.#isOver) return this.#end()
    this.#isLooking = true
    try {
      const run = this.#run ?? this.#begin()
      const source = this.#source as Source<T>
      if (!this.#isClosed) this.#take(source, run)
      if (this.#isClosed) return this.#end()
      if (this.#given === this.#arrived.length) this.#receive(run)
      const outcome = this.#arrived[this.#given]
      if (outcome !== undefined) {
        this.#given += 1
        return { done: false, value: outcome }
      }
      if (native.runWait(run) || !source.isOver) return undefined
      if (source.thrown !== undefined) throw source.thrown.value
      return this.#end()
    } catch (error) {
      this.#end()
      throw error
    } finally {
      this.#isLooking = false
    }
  }

  #receive(run: Handle): void {
    this.#given = 0
    this.#arrived = completions.read(native.runTake(run)).map(({ number, completion }) => {
      const { delivery, watched } = this.#under.remove(number) as Under<T>
      watched?.leave()
      return typeof completion === 'string'
        ? { delivery, error: errorOf(completion, watched?.cause()) }
        : { delivery, receipt: completion as Receipt }
    })
  }

  #end(): Result<T> {
    if (!this.#isOver) {
      this.#isOver = true
      if (this.#run !== undefined) native.runCancel(this.#run)
      completions.forget(this.#number)
      for (const { watched } of this.#under) watched?.leave()
      this.#source?.close()
    }
    return { done: true, value: undefined }
  }

  /** Takes deliveries as they are wanted; from an asynchronous iterable, one after the other. */
  #take(source: Source<T>, run: Handle): void {
    const { now, later } = source
    let isWanted = !source.isOver && native.runHasRoom(run)
    try {
      while (now !== undefined && isWanted) {
        const { done, value } = now.next()
        if (done) source.isOver = true
        isWanted = !done && this.#submit(run, value)
      }
    } catch (value) {
      source.end(value)
    }
    if (later !== undefined && isWanted && !source.isPulling) void this.#pull(source, later, run)
  }

  async #pull(source: Source<T>, later: AsyncIterator<Delivery<T>>, run: Handle): Promise<void> {
    source.isPulling = true
    try {
      const { done, value } = (await later.next()) ?? { done: true, value: undefined }
      if (done) source.isOver = true
      else this.#submit(run, value as Delivery<T>)
    } catch (value) {
      source.end(value)
    }
    source.isPulling = false
    this.#take(source, run)
    this.#ring()
  }

  /** Submits one; whether one more is wanted. */
  #submit(run: Handle, delivery: Delivery<T>): boolean {
    if (typeof delivery !== 'object' || delivery === null) {
      throw wrongType('deliveries', 'an object each', delivery)
    }
    let watched: Watched | undefined
    try {
      const given = new Options(delivery, NOUNS, OTHERS, READ_HERE)
      const endpoint = Endpoint.handle('endpoint', delivery.endpoint)
      watched = watch(given)
      const settings = given.settings('deliver')
      const body = bodyOf('body', delivery.body)
      const ticket = this.#under.insert({ delivery, watched })
      const wanted = native.runSubmit(run, endpoint, body, settings, watched?.cancel, ticket)
      if (typeof wanted !== 'string') return wanted
      this.#under.remove(ticket)
      throw errorOf(wanted)
    } catch (error) {
      watched?.leave()
      if (!WebhookMtlsError.is(error)) throw error
      this.#unread += 1
      this.#arrived.push({ delivery, error })
      return native.runHasRoom(run)
    }
  }
}

const NOUNS = ['deliver'] as const
const OTHERS = ['signal']
const READ_HERE = ['endpoint', 'body', 'tag']

/** Where deliveries come from. */
class Source<T> {
  readonly now: Iterator<Delivery<T>> | undefined
  readonly later: AsyncIterator<Delivery<T>> | undefined
  isOver = false
  isPulling = false
  thrown: { value: unknown } | undefined

  constructor(deliveries: unknown) {
    const shape = Object(deliveries) as Partial<AsyncIterable<Delivery<T>> & Iterable<Delivery<T>>>
    if (typeof shape[Symbol.asyncIterator] === 'function') {
      this.later = shape[Symbol.asyncIterator]?.()
    } else if (typeof deliveries !== 'string' && typeof shape[Symbol.iterator] === 'function') {
      this.now = shape[Symbol.iterator]?.()
    } else {
      throw wrongType('deliveries', 'an iterable of deliveries', deliveries)
    }
  }

  /** Lets the iterator clean up, as leaving a loop over it would. */
  close(): void {
    if (this.isOver) return
    this.isOver = true
    try {
      this.now?.return?.()
      // Nobody is left to be told; an iterator that is stuck must not hold up who leaves.
      this.later?.return?.().then(undefined, () => {})
    } catch {
      // As above.
    }
  }

  /** Ends it by what it threw. */
  end(value: unknown): void {
    this.isOver = true
    this.thrown = { value }
  }
}
