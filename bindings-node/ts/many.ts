import * as completions from './completions'
import type { DeliverOptions } from './dispatcher'
import { Endpoint } from './endpoint'
import { errorOf, unwrap, WebhookMtlsError, wrongType } from './error'
import { body as bodyOf, number, Options, type Body } from './options'
import { native, type Handle } from './native'
import { Receipt } from './receipt'
import { onAbort, signalOf, watchSignal, type WatchedSignal } from './signal'
import type { Telemetry } from './telemetry'
import { TicketTable } from './tickets'

/** The options of a run of `deliverMany`. */
export interface DeliverManyOptions {
  /** The maximum number of deliveries in flight. By default 64. */
  concurrency?: number | undefined
  /**
   * Ends the run when it is aborted: deliveries in flight are canceled, each with an outcome, and no
   * further ones are taken.
   */
  signal?: AbortSignal | undefined
}

/** One delivery of `deliverMany`: a body for an endpoint. */
export interface Delivery<T = unknown> extends DeliverOptions {
  /** An endpoint of the same dispatcher. */
  endpoint: Endpoint
  /** Text as UTF-8, or bytes. It is copied; consecutive equal bodies are copied once. */
  body: Body
  /** Any value, to recognize the delivery in its outcome. */
  tag?: T | undefined
}

/** The outcome of one delivery: its receipt or its error. */
export type Outcome<T = unknown> =
  | { readonly delivery: Delivery<T>; readonly receipt: Receipt; readonly error?: undefined }
  | {
      readonly delivery: Delivery<T>
      readonly receipt?: undefined
      readonly error: WebhookMtlsError
    }

/** The progress of a run. */
export interface Progress {
  /** The number of finished deliveries, including failed ones. */
  readonly done: number
  /** The number of failed deliveries. */
  readonly failed: number
  /** The number of deliveries in flight. */
  readonly inFlight: number
  /** The number of deliveries that wait for a permit of their consumer. */
  readonly waiting: number
}

/** A delivery that was submitted to core. */
interface Submitted<T> {
  delivery: Delivery<T>
  /** As they were when it was submitted. */
  consumer: string
  id: string | undefined
  watched: WatchedSignal | undefined
}

type Result<T> = IteratorResult<Outcome<T>, undefined>

/** The outcomes of {@link Dispatcher.deliverMany}, as they finish. */
export class Outcomes<T = unknown> implements AsyncIterableIterator<Outcome<T>> {
  readonly #start: () => Handle
  readonly #telemetry: Telemetry
  #source: Source<T> | undefined
  #run: Handle | undefined
  readonly #submitted = new TicketTable<Submitted<T>>()
  /** Received outcomes, and the number of those that were yielded. */
  #outcomes: Outcome<T>[] = []
  #yielded = 0
  /** The number of deliveries that failed before they reached core. */
  #invalid = 0
  #ticket = 0
  #isClosed = false
  #isFinished = false
  #isPolling = false
  /** Resolves when the last waiting call has its result; undefined if no call waits. */
  #lastWaiter: Promise<void> | undefined
  #wake: () => void = () => {}
  #signal: AbortSignal | undefined
  #detach: () => void = () => {}

  /** @internal */
  constructor(dispatcher: Handle, telemetry: Telemetry, deliveries: unknown, options: unknown) {
    this.#telemetry = telemetry
    // On the first call of next(), so that errors of the arguments reject its promise.
    this.#start = () => {
      const parsed = new Options(options, [], ['concurrency', 'signal'])
      const source = new Source<T>(deliveries)
      this.#ticket = completions.watchTicket()
      const concurrency = parsed.optional('concurrency', number)
      this.#run = unwrap(native.run(dispatcher, concurrency, this.#ticket))
      this.#source = source
      this.#signal = signalOf(parsed)
      if (this.#signal !== undefined) this.#detach = onAbort(this.#signal, () => this.#abort())
      return this.#run
    }
  }

  /** The progress of the run. */
  get progress(): Progress {
    if (this.#run === undefined) return { done: 0, failed: 0, inFlight: 0, waiting: 0 }
    const { done, failed, inFlight, waiting } = native.runProgress(this.#run)
    // Core does not count deliveries that failed before they reached it.
    const invalid = this.#invalid
    return { done: done + invalid, failed: failed + invalid, inFlight, waiting }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Returns a promise of the next outcome. */
  next(): Promise<Result<T>> {
    // Not a generator, which would need an extra microtask for an available outcome. The iterable
    // of deliveries may itself call next() during a poll.
    if (this.#lastWaiter !== undefined || this.#isPolling) return this.#wait(() => this.#poll())
    try {
      const result = this.#poll()
      return result === undefined ? this.#wait(() => this.#poll(), true) : Promise.resolve(result)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Cancels deliveries in flight and takes no further ones. */
  return(): Promise<Result<T>> {
    this.#isClosed = true
    if (this.#run !== undefined) native.runCancel(this.#run)
    this.#wake()
    return this.#wait(() => this.#end())
  }

  /**
   * Polls until there is a result, after all calls that already wait.
   *
   * @param hasPolled whether the caller has just polled without a result
   */
  async #wait(poll: () => Result<T> | undefined, hasPolled = false): Promise<Result<T>> {
    const before = this.#lastWaiter
    let release = (): void => {}
    const waiter = new Promise<void>((resolve) => {
      release = resolve
    })
    this.#lastWaiter = waiter
    try {
      let result: Result<T> | undefined
      if (before !== undefined || !hasPolled) {
        await before
        result = poll()
      }
      while (result === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
          // Registered only while a call waits, so that an abandoned run can be garbage-collected.
          completions.watch(this.#ticket, resolve)
        })
        result = poll()
      }
      return result
    } finally {
      if (this.#lastWaiter === waiter) this.#lastWaiter = undefined
      release()
    }
  }

  /** Returns the next outcome or the end; undefined if there is none yet. */
  #poll(): Result<T> | undefined {
    if (this.#isFinished) return this.#end()
    this.#isPolling = true
    try {
      const run = this.#run ?? this.#start()
      const source = this.#source as Source<T>
      if (!this.#isClosed) this.#take(source, run)
      if (this.#isClosed) return this.#end()
      if (this.#yielded === this.#outcomes.length) this.#receive(run)
      const outcome = this.#outcomes[this.#yielded]
      if (outcome !== undefined) {
        this.#yielded += 1
        return { done: false, value: outcome }
      }
      if (native.runWait(run) || !source.isDone) return undefined
      if (source.thrown !== undefined) throw source.thrown.value
      return this.#end()
    } catch (error) {
      this.#end()
      throw error
    } finally {
      this.#isPolling = false
    }
  }

  #receive(run: Handle): void {
    this.#yielded = 0
    const entries = completions.read(native.runTake(run))
    this.#telemetry.flush()
    this.#outcomes = entries.map(({ ticket, completion }) => {
      const { delivery, consumer, id, watched } = this.#submitted.remove(ticket) as Submitted<T>
      watched?.detach()
      return typeof completion === 'string'
        ? { delivery, error: errorOf(completion, watched?.cause()) }
        : { delivery, receipt: Receipt.named(completion as Receipt, consumer, id) }
    })
  }

  /** Takes no further deliveries, and cancels those in flight. Each still has an outcome. */
  #abort(): void {
    this.#source?.close()
    for (const { watched } of this.#submitted) if (watched) native.cancel(watched.cancel)
    this.#wake()
  }

  #end(): Result<T> {
    if (!this.#isFinished) {
      this.#isFinished = true
      this.#detach()
      if (this.#run !== undefined) native.runCancel(this.#run)
      completions.unwatch(this.#ticket)
      this.#telemetry.flush()
      for (const { watched } of this.#submitted) watched?.detach()
      this.#source?.close()
    }
    return { done: true, value: undefined }
  }

  /** Submits deliveries while core has room; from an asynchronous iterable one at a time. */
  #take(source: Source<T>, run: Handle): void {
    const { iterator, asyncIterator } = source
    let hasRoom = !source.isDone && native.runHasRoom(run)
    try {
      while (iterator !== undefined && hasRoom) {
        const { done, value } = iterator.next()
        if (done) source.isDone = true
        hasRoom = !done && this.#submit(run, value)
      }
    } catch (value) {
      source.fail(value)
    }
    if (asyncIterator !== undefined && hasRoom && !source.isPulling) {
      void this.#pull(source, asyncIterator, run)
    }
  }

  async #pull(
    source: Source<T>,
    iterator: AsyncIterator<Delivery<T>>,
    run: Handle,
  ): Promise<void> {
    source.isPulling = true
    try {
      const { done, value } = (await iterator.next()) ?? { done: true, value: undefined }
      if (done) source.isDone = true
      else this.#submit(run, value as Delivery<T>)
    } catch (value) {
      source.fail(value)
    }
    source.isPulling = false
    this.#take(source, run)
    this.#wake()
  }

  /** Submits one delivery; returns whether core has room for another. */
  #submit(run: Handle, delivery: Delivery<T>): boolean {
    if (typeof delivery !== 'object' || delivery === null) {
      throw wrongType('deliveries', 'an object each', delivery)
    }
    let watched: WatchedSignal | undefined
    try {
      const options = new Options(delivery, TARGETS, OTHER_KEYS, READ_HERE)
      const target = delivery.endpoint
      const endpoint = Endpoint.handle('endpoint', target)
      watched = watchSignal(options, this.#signal)
      const settings = options.settings('deliver')
      const body = bodyOf('body', delivery.body)
      const { consumer } = target
      const ticket = this.#submitted.insert({ delivery, consumer, id: options.id, watched })
      const trace = this.#telemetry.begin(target)
      const handles = [run, endpoint, body, settings, watched?.cancel, ticket, trace] as const
      const submitted = native.runSubmit(...handles)
      if (typeof submitted !== 'string') return submitted
      this.#submitted.remove(ticket)
      throw errorOf(submitted)
    } catch (error) {
      watched?.detach()
      if (!WebhookMtlsError.is(error)) throw error
      this.#invalid += 1
      this.#outcomes.push({ delivery, error })
      return native.runHasRoom(run)
    }
  }
}

const TARGETS = ['deliver'] as const
const OTHER_KEYS = ['signal']
const READ_HERE = ['endpoint', 'body', 'tag']

/** The iterable of deliveries. */
class Source<T> {
  readonly iterator: Iterator<Delivery<T>> | undefined
  readonly asyncIterator: AsyncIterator<Delivery<T>> | undefined
  isDone = false
  isPulling = false
  thrown: { value: unknown } | undefined

  constructor(deliveries: unknown) {
    type AnyIterable = AsyncIterable<Delivery<T>> & Iterable<Delivery<T>>
    const iterable = Object(deliveries) as Partial<AnyIterable>
    if (typeof iterable[Symbol.asyncIterator] === 'function') {
      this.asyncIterator = iterable[Symbol.asyncIterator]?.()
    } else if (typeof deliveries !== 'string' && typeof iterable[Symbol.iterator] === 'function') {
      this.iterator = iterable[Symbol.iterator]?.()
    } else {
      throw wrongType('deliveries', 'an iterable of deliveries', deliveries)
    }
  }

  /** Calls the iterator's `return()`, as leaving a loop over it does. */
  close(): void {
    if (this.isDone) return
    this.isDone = true
    try {
      this.iterator?.return?.()
      // Not awaited, because a stuck iterator must not delay the caller. Its error has no receiver.
      this.asyncIterator?.return?.().then(undefined, () => {})
    } catch {
      // As above.
    }
  }

  /** Ends the iteration with the error that it threw. */
  fail(value: unknown): void {
    this.isDone = true
    this.thrown = { value }
  }
}
