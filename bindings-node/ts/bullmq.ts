// Deliveries through BullMQ: a processor, and what its queue and worker need. It imports nothing of
// BullMQ, which recognizes the errors below by their names.

import type { DeliverOptions, Dispatcher } from './dispatcher'
import type { Endpoint } from './endpoint'
import type { Sent } from './enums'
import { WebhookMtlsError } from './error'
import type { Body } from './options'
import type { Receipt } from './receipt'
import { RetryPolicy, type Decision } from './retry'

/** The data of a job: ids only, so that a job stays small. */
export interface DeliveryData {
  /** The consumer id. */
  consumer: string
  /** The event's id, which the consumer receives as `webhook-id` in each attempt. */
  event: string
}

/** A failed delivery, as the hooks get it. */
export interface Failed {
  /** The data of the job. */
  readonly data: DeliveryData
  /** The number of the failed attempt, from 1. */
  readonly attempt: number
  /** What the policy has decided. */
  readonly decision: Decision
  /** How much of the request was sent: unless it is `nothing`, the consumer may have the payload. */
  readonly sent: Sent
  /** The failure. */
  readonly error: WebhookMtlsError
}

/** The parts of the application that a processor calls. */
export interface ProcessorOptions {
  /** Delivers. */
  dispatcher: Dispatcher
  /** Returns the endpoint of a consumer, for instance from a row of a database. */
  endpoint: (consumer: string) => Endpoint | Promise<Endpoint>
  /** Returns the payload of an event. */
  body: (event: string) => Body | Promise<Body>
  /** Returns further options of the delivery, such as headers. */
  deliverOptions?: ((data: DeliveryData) => DeliverOptions | Promise<DeliverOptions>) | undefined
  /** Decides about failures; by default one with the default options. */
  policy?: RetryPolicy | undefined
  /** Called after the consumer has confirmed a delivery. */
  onDelivered?: ((data: DeliveryData, receipt: Receipt) => unknown) | undefined
  /** Called before a job is parked: a person must repair something, as the error's `remedy` says. */
  onPark?: ((failed: Failed) => unknown) | undefined
  /** Called before a job is given up. */
  onDrop?: ((failed: Failed) => unknown) | undefined
}

/** The parts of BullMQ's job that a processor uses. */
export interface DeliveryJob {
  readonly data: DeliveryData
  readonly attemptsMade: number
  readonly opts: { readonly attempts?: number | undefined; readonly backoff?: unknown }
  moveToDelayed(timestamp: number, token?: string): Promise<unknown>
}

/** The parts of a finished job that {@link release} uses. */
export interface FailedJob {
  readonly data: DeliveryData
  readonly failedReason?: string | null | undefined
  readonly finishedOn?: number | null | undefined
  isFailed(): Promise<boolean>
  retry(state: 'failed', options?: { resetAttemptsMade?: boolean }): Promise<unknown>
}

/** The parts of BullMQ's queue that {@link release} uses. */
export interface FailedQueue {
  getFailed(start?: number, end?: number): Promise<FailedJob[]>
}

/** The options of a job that {@link jobOptions} sets. */
export interface DeliveryJobOptions {
  jobId: string
  attempts: number
  backoff: { type: string }
  removeOnComplete: boolean
  removeOnFail: boolean
}

/** The type of our backoff, which {@link workerOptions} gives to the worker. */
const BACKOFF = 'webhook-mtls'

/** The policy counts attempts, and BullMQ must not give up before it. */
const ENDLESS = 1_000_000

/** The wait after the application has failed, in milliseconds. */
const PAUSE_MS = 5000

/** How a failure that ends the job begins. */
const PARKED = 'parked, sent '
const DROPPED = 'dead, sent '

/** The decisions about errors that BullMQ passes to the backoff strategy. */
const decisions = new WeakMap<object, Decision>()

/**
 * Creates the processor of a worker. It makes one attempt per job, and settles a failure as the policy
 * decides:
 *
 * - A retry that counts as an attempt fails the job, and {@link backoffStrategy} delays it.
 * - A retry that does not count (a circuit that is open, a full queue, a closed dispatcher, a failure of
 *   `endpoint` or `body`) moves the job to the delayed ones.
 * - A job that is parked or given up fails for good, after `onPark` or `onDrop`. Its `failedReason`
 *   begins with `parked` or `dead` and tells `sent`. {@link release} returns parked jobs to the queue.
 *
 * A callback that fails is a warning of the process, and changes nothing.
 *
 * @param options the dispatcher, and what the processor asks the application
 * @returns the processor; the result of a job is the status of the response
 */
export function createProcessor(
  options: ProcessorOptions,
): (job: DeliveryJob, token?: string, signal?: AbortSignal) => Promise<number> {
  const policy = options.policy ?? new RetryPolicy()
  return async (job, token, signal) => {
    const { data } = job
    let receipt: Receipt
    try {
      const endpoint = await options.endpoint(data.consumer)
      const body = await options.body(data.event)
      const more = await options.deliverOptions?.(data)
      const watched = signal === undefined ? {} : { signal }
      receipt = await options.dispatcher.deliver(endpoint, body, {
        id: data.event,
        ...more,
        ...watched,
      })
    } catch (error) {
      if (!WebhookMtlsError.is(error)) {
        warn(error)
        return delayed(job, PAUSE_MS, token)
      }
      return await settle(options, policy, job, error, token)
    }
    await told(options.onDelivered, data, receipt)
    return receipt.status
  }
}

/** Does what the policy decides about a failure. Always throws. */
async function settle(
  options: ProcessorOptions,
  policy: RetryPolicy,
  job: DeliveryJob,
  error: WebhookMtlsError,
  token: string | undefined,
): Promise<never> {
  const attempt = job.attemptsMade + 1
  const decision = policy.decide(error, { attempt })
  const failed = { data: job.data, attempt, decision, sent: error.sent, error }
  const attempts = job.opts.attempts ?? 1
  if (decision.action === 'park') {
    await told(options.onPark, failed)
    throw unrecoverable(PARKED, error)
  }
  const isLast = decision.counts && attempts > 1 && attempt >= attempts
  if (decision.action === 'drop' || isLast) {
    await told(options.onDrop, failed)
    throw unrecoverable(DROPPED, error)
  }
  // Without our backoff, BullMQ would try again at once; with one attempt, it would give up.
  const isOurs = (Object(job.opts.backoff) as { type?: unknown }).type === BACKOFF
  if (!decision.counts || !isOurs || attempts <= 1) {
    return await delayed(job, decision.delayMs, token)
  }
  decisions.set(error, decision)
  throw error
}

/** Delays a job at the cost of no attempt. Always throws what tells BullMQ so. */
async function delayed(job: DeliveryJob, ms: number, token: string | undefined): Promise<never> {
  await job.moveToDelayed(Date.now() + Math.ceil(ms), token)
  throw Object.assign(new Error('delayed'), { name: 'DelayedError' })
}

/** Returns an error with which BullMQ ends a job. Its message becomes the job's `failedReason`. */
function unrecoverable(verdict: string, cause: WebhookMtlsError): Error {
  const message = `${verdict}${cause.sent}: ${cause.kind}: ${cause.message}`
  return Object.assign(new Error(message, { cause }), { name: 'UnrecoverableError' })
}

/** Calls a callback of the application, and waits for it. */
async function told<T extends unknown[]>(
  callback: ((...values: T) => unknown) | undefined,
  ...values: T
): Promise<void> {
  try {
    await callback?.(...values)
  } catch (error) {
    warn(error)
  }
}

function warn(thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : String(thrown))
}

/**
 * Returns the time that BullMQ waits after a counted attempt of {@link createProcessor}'s processor.
 *
 * @param attemptsMade the number of the attempt
 * @param type the type of the job's backoff
 * @param error what the processor has thrown
 * @returns the delay of the policy, in milliseconds
 */
export function backoffStrategy(attemptsMade: number, type?: string, error?: Error): number {
  void attemptsMade
  void type
  return (error && decisions.get(error)?.delayMs) ?? PAUSE_MS
}

/**
 * Returns the name of a job: equal for all its attempts, and different for any other job. It has no
 * colon, which BullMQ refuses.
 *
 * @param data the consumer id and the event's id
 */
export function jobId({ consumer, event }: DeliveryData): string {
  return [event, consumer].map((id) => encodeURIComponent(id.toWellFormed())).join('/')
}

/**
 * Returns the options of a job. BullMQ ignores a job if one with its name is waiting, delayed, parked or
 * dead.
 *
 * @param data the consumer id and the event's id
 */
export function jobOptions(data: DeliveryData): DeliveryJobOptions {
  return {
    jobId: jobId(data),
    attempts: ENDLESS,
    backoff: { type: BACKOFF },
    removeOnComplete: true,
    removeOnFail: false,
  }
}

/**
 * Returns the jobs of one event for many consumers, as `Queue.addBulk` takes them.
 *
 * @param event the event's id
 * @param consumers the consumer ids
 */
export function jobsOf(
  event: string,
  consumers: Iterable<string>,
): { name: string; data: DeliveryData; opts: DeliveryJobOptions }[] {
  return Array.from(consumers, (consumer) => {
    const data = { consumer, event }
    return { name: 'deliver', data, opts: jobOptions(data) }
  })
}

/**
 * Returns the options that a worker needs for {@link createProcessor}'s processor.
 *
 * A job whose worker was killed is tried again, however often: by default, BullMQ fails it for good
 * after the second time.
 *
 * @param options `concurrency`: how many jobs run at once, by default 64. Those beyond the
 * `concurrency` of their endpoint wait in the dispatcher, and delay no other consumer.
 */
export function workerOptions(options: { concurrency?: number | undefined } = {}): {
  concurrency: number
  maxStalledCount: number
  settings: { backoffStrategy: typeof backoffStrategy }
} {
  const { concurrency = 64 } = options
  return { concurrency, maxStalledCount: ENDLESS, settings: { backoffStrategy } }
}

/**
 * Returns parked jobs to the queue. Their attempts begin anew.
 *
 * @param queue the queue
 * @param which `consumer`: only jobs of this consumer; `parkedForMs`: only jobs that have been parked
 * for this time
 * @returns how many jobs
 */
export async function release(
  queue: FailedQueue,
  which: { consumer?: string | undefined; parkedForMs?: number | undefined } = {},
): Promise<number> {
  const { consumer, parkedForMs = 0 } = which
  const until = Date.now() - parkedForMs
  const parked: FailedJob[] = []
  for (let start = 0; ; start += PAGE) {
    const page = await queue.getFailed(start, start + PAGE - 1)
    parked.push(
      ...page.filter(
        ({ data, failedReason, finishedOn }) =>
          failedReason?.startsWith(PARKED) === true &&
          (consumer === undefined || data.consumer === consumer) &&
          (finishedOn ?? 0) <= until,
      ),
    )
    if (page.length < PAGE) break
  }
  let released = 0
  for (const job of parked) {
    try {
      await job.retry('failed', { resetAttemptsMade: true })
      released += 1
    } catch (error) {
      // Another process has released it.
      if (await job.isFailed()) throw error
    }
  }
  return released
}

/** How many failed jobs are read at once. */
const PAGE = 1000

/**
 * Ends a worker and its dispatcher: the worker takes no further job, deliveries in flight may finish,
 * and the jobs of the others return to the queue at the cost of no attempt. The order of other calls of
 * `close` does not matter: a job that meets a closed dispatcher returns to the queue as well.
 *
 * @param worker the worker
 * @param dispatcher the dispatcher of its processor
 * @param options `drainMs`: the time to finish, in milliseconds; by default 30 s
 */
export async function shutdown(
  worker: { close(): Promise<unknown> },
  dispatcher: Dispatcher,
  options: { drainMs?: number | undefined } = {},
): Promise<void> {
  const closed = worker.close()
  await dispatcher.close({ drainMs: options.drainMs ?? 30_000 })
  await closed
}
