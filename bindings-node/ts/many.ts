import * as completions from './completions'
import type { DeliverOptions } from './dispatcher'
import { Endpoint } from './endpoint'
import { errorOf, settled, WebhookMtlsError, wrongType } from './error'
import { bytes, number, Options, type Body } from './given'
import { native, type Handle } from './native'
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

/** The outcomes of {@link Dispatcher.deliverMany}, as they finish. */
export class Outcomes<T = unknown> implements AsyncIterableIterator<Outcome<T>> {
  #run: Handle | undefined
  readonly #start: () => Source<T>
  readonly #outcomes: AsyncGenerator<Outcome<T>, undefined>
  readonly #under = new Map<number, Under<T>>()
  /** Deliveries that could not even be read. */
  readonly #faulty: Outcome<T>[] = []
  #unread = 0
  #tickets = 0
  #number = 0
  #closed = false
  #ring: () => void = () => {}

  /** @internal */
  constructor(dispatcher: Handle, deliveries: unknown, options: unknown) {
    // Whatever is wrong is told where outcomes are awaited.
    this.#start = () => {
      const given = new Options(options, [], ['concurrency'])
      const source = new Source<T>(deliveries)
      this.#number = completions.number()
      const concurrency = given.optional('concurrency', number)
      this.#run = settled(native.run(dispatcher, concurrency, this.#number))
      if (this.#closed) native.runCancel(this.#run)
      return source
    }
    this.#outcomes = this.#generate()
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
  next(): Promise<IteratorResult<Outcome<T>, undefined>> {
    return this.#outcomes.next()
  }

  /** Cancels what is under way, and takes no further deliveries. */
  return(): Promise<IteratorResult<Outcome<T>, undefined>> {
    this.#closed = true
    if (this.#run !== undefined) native.runCancel(this.#run)
    this.#ring()
    return this.#outcomes.return(undefined)
  }

  async *#generate(): AsyncGenerator<Outcome<T>, undefined> {
    const source = this.#start()
    const run = this.#run as Handle
    try {
      for (;;) {
        this.#take(source, run)
        const finished = this.#finished(run)
        for (const outcome of finished) {
          this.#take(source, run)
          yield outcome
          if (this.#closed) return undefined
        }
        const faulty = this.#faulty.shift()
        if (faulty !== undefined) yield faulty
        if (this.#closed) return undefined
        if (finished.length > 0 || faulty !== undefined) continue
        const rung = this.#rung()
        const isWaiting = native.runWait(run)
        if (source.isOver && !isWaiting) break
        await rung
      }
      if (source.thrown !== undefined) throw source.thrown.value
      return undefined
    } finally {
      native.runCancel(run)
      completions.forget(this.#number)
      for (const { watched } of this.#under.values()) watched?.leave()
      source.close()
    }
  }

  #finished(run: Handle): Outcome<T>[] {
    return completions.read(native.runTake(run)).map(({ number, completion }) => {
      const { delivery, watched } = this.#under.get(number) as Under<T>
      this.#under.delete(number)
      watched?.leave()
      return typeof completion === 'string'
        ? { delivery, error: errorOf(completion, watched?.cause()) }
        : { delivery, receipt: completion as Receipt }
    })
  }

  /** Takes deliveries as they are wanted. */
  #take(source: Source<T>, run: Handle): void {
    source.take(
      () => !this.#closed && native.runHasRoom(run),
      (delivery) => this.#submit(run, delivery),
      () => this.#ring(),
    )
  }

  /** Submits one; whether one more is wanted. */
  #submit(run: Handle, delivery: Delivery<T>): boolean {
    if (typeof delivery !== 'object' || delivery === null) {
      throw wrongType('deliveries', 'an object each', delivery)
    }
    let watched: Watched | undefined
    try {
      const given = new Options(delivery, ['deliver'], ['endpoint', 'body', 'tag', 'signal'])
      const endpoint = Endpoint.handle('endpoint', delivery.endpoint)
      const body = bytes('body', delivery.body)
      watched = watch(given)
      const ticket = this.#tickets++
      this.#under.set(ticket, { delivery, watched })
      const settings = given.settings('deliver')
      const wanted = native.runSubmit(run, endpoint, body, settings, watched?.cancel, ticket)
      if (typeof wanted !== 'string') return wanted
      this.#under.delete(ticket)
      throw errorOf(wanted)
    } catch (error) {
      watched?.leave()
      if (!WebhookMtlsError.is(error)) throw error
      this.#unread += 1
      this.#faulty.push({ delivery, error })
      return native.runHasRoom(run)
    }
  }

  /** Until there is something to look at: from the run, or from where deliveries come from. */
  #rung(): Promise<void> {
    completions.expect(this.#number, () => this.#ring())
    return new Promise<void>((resolve) => {
      this.#ring = resolve
    })
  }
}

/** Where deliveries come from. */
class Source<T> {
  readonly #now: Iterator<Delivery<T>> | undefined
  readonly #later: AsyncIterator<Delivery<T>> | undefined
  isOver = false
  isPulling = false
  thrown: { value: unknown } | undefined

  constructor(deliveries: unknown) {
    const shape = Object(deliveries) as Partial<AsyncIterable<Delivery<T>> & Iterable<Delivery<T>>>
    if (typeof shape[Symbol.asyncIterator] === 'function') {
      this.#later = shape[Symbol.asyncIterator]?.()
    } else if (typeof deliveries !== 'string' && typeof shape[Symbol.iterator] === 'function') {
      this.#now = shape[Symbol.iterator]?.()
    } else {
      throw wrongType('deliveries', 'an iterable of deliveries', deliveries)
    }
  }

  /** Takes as many as there is room for; from an asynchronous iterable, one after the other. */
  take(hasRoom: () => boolean, submit: (delivery: Delivery<T>) => boolean, ring: () => void): void {
    try {
      let isWanted = this.#now !== undefined && !this.isOver && hasRoom()
      while (this.#now !== undefined && isWanted) {
        const { done, value } = this.#now.next()
        if (done) this.isOver = true
        isWanted = !done && submit(value)
      }
    } catch (value) {
      this.#end(value)
    }
    if (this.#later === undefined || this.isOver || this.isPulling || !hasRoom()) return
    this.isPulling = true
    const next = async (): Promise<void> => {
      try {
        const { done, value } = (await this.#later?.next()) ?? { done: true, value: undefined }
        if (done) this.isOver = true
        else submit(value as Delivery<T>)
      } catch (value) {
        this.#end(value)
      }
      this.isPulling = false
      this.take(hasRoom, submit, ring)
      ring()
    }
    void next()
  }

  /** Lets the iterator clean up, as leaving a loop over it would. */
  close(): void {
    if (this.isOver) return
    this.isOver = true
    try {
      this.#now?.return?.()
      // Nobody is left to be told; an iterator that is stuck must not hold up who leaves.
      this.#later?.return?.().then(undefined, () => {})
    } catch {
      // As above.
    }
  }

  #end(value: unknown): void {
    this.isOver = true
    this.thrown = { value }
  }
}
