// The instruments of a dispatcher. The record of a delivery comes from core, and has the same names
// in every language.

import {
  hasLogSubscribers,
  hasSubscribers,
  publishBegin,
  publishEnd,
  publishLog,
} from './diagnostics'
import type { Endpoint } from './endpoint'
import { unwrap } from './error'
import { native, type Handle } from './native'

/** A delivery that begins. */
export interface DeliveryBegin {
  /** Different for each traced delivery of this thread. The record of the end has the same. */
  readonly number: number
  /** The consumer id. */
  readonly consumer: string
  /** The host of the URL. */
  readonly server: string
  /** The port of the URL. */
  readonly port: number
  /** Headers to add to the request. A header that the caller has set stays as it is. */
  readonly headers: Record<string, string>
}

/** How something ended: the classes of its error, or null each. */
export interface EndClasses {
  /** The kind of the failure; `canceled` if the caller dropped the delivery. */
  readonly kind: string | null
  /** The stage that failed. */
  readonly stage: string | null
  /** Whose fault it is. */
  readonly blame: string | null
  /** What the failure stops. */
  readonly scope: string | null
  /** Whether a retry helps. */
  readonly retry: string | null
  /** The TLS alert that the consumer sent. */
  readonly alert: string | null
}

/** One attempt. `began_ms` is the time since the delivery began. */
export interface AttemptRecord extends EndClasses {
  readonly number: number
  readonly began_ms: number
  readonly took_ms: number
  readonly address: string | null
  readonly reused: boolean
  readonly sent: 'nothing' | 'maybe' | 'all'
  readonly outcome: 'succeeded' | 'failed' | 'repeated' | 'abandoned'
  readonly status: number | null
  /** Why an attempt without a failure is repeated. */
  readonly repeat: 'settings_changed' | 'connection_closed' | 'hold_unsupported' | null
  /** The time at each stage. */
  readonly stages_ms: Readonly<Record<string, number>>
}

/** One handshake. `began_ms` is the time since the delivery began. */
export interface HandshakeRecord extends EndClasses {
  readonly began_ms: number
  readonly took_ms: number
  readonly address: string
  /** `rejected`: the consumer refused our certificate after the handshake. */
  readonly outcome: 'completed' | 'failed' | 'rejected' | 'abandoned'
  readonly tls_version: string | null
  readonly cipher_suite: string | null
  readonly key_exchange: string | null
}

/** A level, a message, and the fields of `docs/log.md`. */
export interface LogRecord {
  readonly level: 'info' | 'warning' | 'error'
  readonly message: string
  readonly [field: string]: unknown
}

/** A delivery that has ended. */
export interface DeliveryRecord extends EndClasses {
  readonly number: number
  readonly consumer: string
  readonly id: string | null
  readonly server: string
  readonly port: number
  /** In Unix milliseconds. */
  readonly began_at_ms: number
  /** The time from the beginning to the end, with a wait for a place in a run. */
  readonly ended_ms: number
  /** The duration that the receipt or the error has. */
  readonly elapsed_ms: number
  readonly outcome: 'succeeded' | 'failed' | 'abandoned'
  readonly sent: 'nothing' | 'maybe' | 'all'
  readonly attempts: number
  /** The HTTP status of the last attempt. */
  readonly status: number | null
  /** The address of the last attempt. */
  readonly address: string | null
  readonly reused: boolean
  readonly stages_ms: Readonly<Record<string, number>>
  readonly attempt_list: readonly AttemptRecord[]
  readonly handshake_list: readonly HandshakeRecord[]
  readonly log: LogRecord
}

/** @internal An instrument: the dispatcher calls it at the start and at the end of each delivery. */
export interface Instrument {
  begin?(delivery: DeliveryBegin): void
  end(record: DeliveryRecord): void
}

/** @internal The key of the property of a dispatcher that has its instruments. */
export const TELEMETRY = Symbol('telemetry')

let lastNumber = 0

/** @internal The instruments of one dispatcher. */
export class Telemetry {
  readonly dispatcher: Handle
  readonly #instruments = new Map<unknown, Instrument>()
  #queue: Handle | undefined
  /** The deliveries whose records have not been taken. */
  #open = 0
  #logsEvents = false

  constructor(dispatcher: Handle) {
    this.dispatcher = dispatcher
  }

  /** Adds an instrument. Another one with the same key is replaced, so none counts twice. */
  add(key: unknown, instrument: Instrument): void {
    this.#instruments.set(key, instrument)
  }

  has(key: unknown): boolean {
    return this.#instruments.has(key)
  }

  /** Tells the instruments that a delivery begins. Returns how to trace it. */
  begin(endpoint: Endpoint): Handle | undefined {
    if (this.#instruments.size === 0 && !hasSubscribers()) return undefined
    const { hostname, port } = new URL(endpoint.url)
    const delivery: DeliveryBegin = {
      number: (lastNumber = (lastNumber + 1) % 2 ** 32),
      consumer: endpoint.consumer,
      server: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 443 : Number(port),
      headers: {},
    }
    for (const instrument of this.#instruments.values()) {
      guarded(() => instrument.begin?.(delivery))
    }
    publishBegin(delivery)
    if (hasLogSubscribers() && !this.#logsEvents) this.#logEvents()
    this.#queue ??= native.traceQueue()
    this.#open += 1
    return native.traceRequest(this.#queue, delivery.number, Object.entries(delivery.headers))
  }

  /** Tells the instruments of the deliveries that have ended. */
  flush(): void {
    if (this.#open === 0 || this.#queue === undefined) return
    const records = JSON.parse(native.traceRecords(this.#queue)) as DeliveryRecord[]
    this.#open -= records.length
    for (const record of records) {
      for (const instrument of this.#instruments.values()) guarded(() => instrument.end(record))
      publishEnd(record)
      publishLog(record.log)
    }
  }

  #logEvents(): void {
    this.#logsEvents = true
    const publish = (json: string): void => publishLog(JSON.parse(json) as LogRecord)
    unwrap(native.dispatcherOnEventLog(this.dispatcher, publish))
  }
}

/** An exception of an instrument must not change the outcome of a delivery. */
function guarded(call: () => void): void {
  try {
    call()
  } catch (raised) {
    process.emitWarning(`an instrument of webhook-mtls threw: ${String(raised)}`)
  }
}
