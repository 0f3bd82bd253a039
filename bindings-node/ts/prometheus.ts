// Metrics of a dispatcher in prom-client. Counters and histograms are fed when a delivery ends, and
// gauges are read at the scrape. In a cluster, each worker has its own, and the primary combines them.

import { Counter, Gauge, Histogram, register, type Registry } from 'prom-client'

import type { Dispatcher } from './dispatcher'
import { unwrap } from './error'
import { native, type Handle } from './native'
import { TELEMETRY, type DeliveryRecord, type Instrument } from './telemetry'

/** Where the metrics are registered. */
export interface PrometheusOptions {
  /** By default the global one of prom-client. */
  registry?: Registry | undefined
}

/**
 * Feeds metrics of all deliveries of a dispatcher that start after this call. `docs/metrics.md` lists
 * them.
 *
 * In a cluster, call it in each worker, and let the primary answer scrapes with `AggregatorRegistry`.
 * Counts and gauges are added there. Of expiries and remaining lifetimes, the least is taken. A worker
 * that ends takes its counts along, because prom-client keeps none of them.
 *
 * A second call for the same dispatcher and registry has no further effect. Several dispatchers may
 * share a registry: their values are combined.
 *
 * @param dispatcher the dispatcher; all ways to deliver with it are counted
 * @param options the registry
 * @throws if the registry has other metrics with these names
 */
export function instrument(dispatcher: Dispatcher, options: PrometheusOptions = {}): void {
  const registry = options.registry ?? (register as Registry)
  let feeder = feeders.get(registry)
  if (feeder === undefined) feeders.set(registry, (feeder = new Feeder(registry)))
  const telemetry = dispatcher[TELEMETRY]
  if (telemetry.has(feeder)) return
  telemetry.add(feeder, feeder)
  feeder.add(telemetry.dispatcher)
}

/** A row of the table of metrics. */
interface Row {
  name: string
  type: 'counter' | 'gauge' | 'histogram' | 'info'
  labels: string[]
  of: 'dispatcher' | 'verifier' | 'both' | 'process'
  combine: 'sum' | 'min' | 'max'
  buckets: number[] | null
  doc: string
}

interface Sample {
  labels: Record<string, string>
  value: number
}

type Families = Record<string, { samples: Sample[] }>

type Labels = Record<string, string>

const PREFIX = 'webhook_mtls_'

/** The counters that deliveries feed. */
const FED = new Set(
  ['deliveries_total', 'handshakes_total', 'connection_reuse_total'].map((name) => PREFIX + name),
)

/** The phases of an attempt, which are stages after the admission. */
const PHASES = ['resolve', 'connect', 'handshake', 'request', 'response']

const { metrics } = JSON.parse(native.tables()) as { metrics: Row[] }
const ROWS = new Map(metrics.filter(({ of }) => of !== 'verifier').map((row) => [row.name, row]))

const feeders = new WeakMap<Registry, Feeder>()

/** The metrics in one registry, and the dispatchers that feed them. */
class Feeder implements Instrument {
  readonly #dispatchers = new Set<WeakRef<Handle>>()
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #gauges = new Map<string, Gauge>()
  /** The counts that were added already. */
  readonly #counted = new Map<string, number>()

  constructor(registry: Registry) {
    // A scrape collects in the order of registration: the first metric brings all others up to date.
    const collect = (): void => this.#refresh()
    for (const { name, type, labels, doc, buckets, combine } of ROWS.values()) {
      const common = { name, help: doc, labelNames: labels, registers: [registry] }
      if (type === 'counter') {
        this.#counters.set(name, new Counter({ ...common, collect }))
      } else if (type === 'histogram') {
        this.#histograms.set(name, new Histogram({ ...common, buckets: buckets ?? [] }))
      } else {
        this.#gauges.set(name, new Gauge({ ...common, aggregator: combine, collect }))
      }
    }
  }

  add(dispatcher: Handle): void {
    this.#dispatchers.add(new WeakRef(dispatcher))
  }

  end(record: DeliveryRecord): void {
    const { kind, stage, blame, status } = record
    const ended = {
      kind: kind ?? '',
      stage: stage ?? '',
      blame: blame ?? '',
      status_class: status === null ? '' : `${Math.floor(status / 100)}xx`,
    }
    this.#inc('deliveries_total', ended)
    this.#observe('delivery_duration_seconds', ended, record.elapsed_ms)
    for (const attempt of record.attempt_list) {
      for (const phase of PHASES) {
        const took = attempt.stages_ms[phase]
        if (took !== undefined) this.#observe('phase_duration_seconds', { phase }, took)
      }
      if (attempt.reused) this.#inc('connection_reuse_total', {})
    }
    for (const handshake of record.handshake_list) {
      const { outcome, kind, alert, tls_version } = handshake
      const labels = {
        outcome,
        kind: kind ?? '',
        alert: alert ?? '',
        tls_version: tls_version ?? '',
      }
      this.#inc('handshakes_total', labels)
      if (outcome === 'abandoned') labels.kind = 'canceled'
      this.#observe('handshake_duration_seconds', labels, handshake.took_ms)
    }
  }

  #inc(name: string, facts: Labels): void {
    this.#counters.get(PREFIX + name)?.inc(chosen(PREFIX + name, facts))
  }

  #observe(name: string, facts: Labels, millis: number): void {
    this.#histograms.get(PREFIX + name)?.observe(chosen(PREFIX + name, facts), millis / 1000)
  }

  #isFresh = false

  /** Brings the gauges, and the counters that no delivery feeds, up to date, once per scrape. */
  #refresh(): void {
    if (this.#isFresh) return
    this.#isFresh = true
    setImmediate(() => (this.#isFresh = false))
    const living: Handle[] = []
    for (const reference of this.#dispatchers) {
      const dispatcher = reference.deref()
      if (dispatcher === undefined) this.#dispatchers.delete(reference)
      else living.push(dispatcher)
    }
    const families = JSON.parse(unwrap(native.mergedMetrics(living))) as Families
    for (const [name, counter] of this.#counters) {
      if (!FED.has(name)) this.#addCounts(name, counter, families[name]?.samples ?? [])
    }
    for (const [name, gauge] of this.#gauges) {
      // A certificate that was replaced is shown no more.
      gauge.reset()
      for (const { labels, value } of families[name]?.samples ?? []) gauge.set(labels, value)
    }
  }

  #addCounts(name: string, counter: Counter, samples: Sample[]): void {
    for (const { labels, value } of samples) {
      const key = JSON.stringify([name, labels])
      // The count falls if a dispatcher was collected as garbage.
      counter.inc(labels, Math.max(value - (this.#counted.get(key) ?? 0), 0))
      this.#counted.set(key, value)
    }
  }
}

/** Returns the labels of a metric. */
function chosen(name: string, facts: Labels): Labels {
  const labels = ROWS.get(name)?.labels ?? []
  return Object.fromEntries(labels.map((label) => [label, facts[label] ?? '']))
}
