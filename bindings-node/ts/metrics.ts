import { unwrap, wrongType } from './error'
import { Options, text } from './options'
import { native, type Handle } from './native'
import type { Dispatcher } from './dispatcher'
import type { MetricsFormat } from './enums'
import type { Verifier } from './verifier'

/** The metrics of a dispatcher or a verifier in this process, by name. `docs/metrics.md` lists them. */
export type Metrics = Readonly<Record<string, Metric>>

/** One metric, with what its table says about it. */
export interface Metric {
  readonly type: 'counter' | 'gauge' | 'histogram' | 'info'
  /** The unit, or an empty text. */
  readonly unit: string
  readonly help: string
  /** The names of its labels. */
  readonly labels: readonly string[]
  /** How the values of several processes are combined. */
  readonly combine: 'sum' | 'min' | 'max'
  readonly samples: readonly MetricSample[]
}

/** One value of a metric: `value`, or that of a histogram. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>
  readonly value?: number
  /** How many durations were counted. */
  readonly count?: number
  /** The sum of the durations in seconds. */
  readonly sum?: number
  /** Pairs of a bound in seconds, and the number of durations up to it. */
  readonly buckets?: readonly (readonly [number, number])[]
}

/** How to write metrics as text. */
export interface MetricsTextOptions {
  /** The format: `prometheus` (0.0.4) by default, or `openmetrics` (1.0). */
  format?: MetricsFormat | undefined
  /** Dispatchers and verifiers of this process whose metrics are added. */
  others?: Iterable<Dispatcher | Verifier> | undefined
}

/** @internal The method that returns a snapshot as an object of the core. */
export const METRICS = Symbol('metrics')

/** @internal */
export function metricsOf(metrics: Handle): Metrics {
  return JSON.parse(unwrap(native.metricsJson(metrics))) as Metrics
}

/** @internal */
export function metricsText(metrics: Handle, options?: MetricsTextOptions): string {
  const parsed = new Options(options, [], ['format', 'others'])
  const format = parsed.optional('format', text) ?? 'prometheus'
  const others = parsed.optional('others', handles) ?? []
  return unwrap(native.metricsText([metrics, ...others], format))
}

function handles(option: string, value: unknown): Handle[] {
  const expected = 'an iterable of Dispatcher and Verifier'
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    throw wrongType(option, expected, value)
  }
  return Array.from(value as Iterable<unknown>, (other) => {
    const read = (other as { [METRICS]?: unknown } | null | undefined)?.[METRICS]
    if (typeof read !== 'function') throw wrongType(option, expected, other)
    return (read as () => Handle).call(other)
  })
}

/**
 * Returns the value of the header `content-type` of a response with the text of metrics.
 *
 * @param format `prometheus` or `openmetrics`
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function metricsContentType(format: MetricsFormat): string {
  return unwrap(native.metricsContentType(text('format', format)))
}
