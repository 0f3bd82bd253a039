// Traces and metrics of a dispatcher for OpenTelemetry. It needs the package @opentelemetry/api.

import {
  metrics,
  SpanKind,
  SpanStatusCode,
  trace,
  context,
  isSpanContextValid,
  type Attributes,
  type Histogram,
  type MeterProvider,
  type Span,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api'

import type { Dispatcher } from './dispatcher'
import { native } from './native'
import {
  TELEMETRY,
  type AttemptRecord,
  type DeliveryBegin,
  type DeliveryRecord,
  type EndClasses,
  type HandshakeRecord,
  type Instrument,
} from './telemetry'

/** Where spans and metrics go. */
export interface OpenTelemetryOptions {
  /** By default the global one. */
  tracerProvider?: TracerProvider | undefined
  /** By default the global one. */
  meterProvider?: MeterProvider | undefined
}

/**
 * Makes spans and metrics of all deliveries of a dispatcher that start after this call. A second call
 * for the same dispatcher replaces the first.
 *
 * A delivery is a span of kind CLIENT, a child of the caller's active span. Its `traceparent` is sent
 * with the request. Attempts and handshakes are spans below it, made from facts once the delivery has
 * ended. `docs/telemetry.md` lists names and attributes.
 *
 * @param dispatcher the dispatcher; all ways to deliver with it are instrumented
 * @param options the providers
 */
export function instrument(dispatcher: Dispatcher, options: OpenTelemetryOptions = {}): void {
  dispatcher[TELEMETRY].add('opentelemetry', new OpenTelemetry(options))
}

/** The boundaries that the semantic conventions advise for durations in seconds. */
const BOUNDARIES = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** The version of the semantic conventions that the names are from. */
const schemaUrl = 'https://opentelemetry.io/schemas/1.44.0'

/** The spans of deliveries that have not ended, and the instruments. */
class OpenTelemetry implements Instrument {
  readonly #tracer: Tracer
  readonly #spans = new Map<number, Span>()
  readonly #request: Histogram
  readonly #delivery: Histogram
  readonly #handshake: Histogram

  constructor({ tracerProvider, meterProvider }: OpenTelemetryOptions) {
    const version = native.addonVersion()
    this.#tracer = (tracerProvider ?? trace).getTracer('webhook-mtls', version, { schemaUrl })
    const meter = (meterProvider ?? metrics).getMeter('webhook-mtls', version, { schemaUrl })
    const duration = (name: string, description: string): Histogram =>
      meter.createHistogram(name, {
        unit: 's',
        description,
        advice: { explicitBucketBoundaries: BOUNDARIES },
      })
    this.#request = duration('http.client.request.duration', 'Duration of HTTP requests.')
    this.#delivery = duration('webhook_mtls.delivery.duration', 'Duration of deliveries.')
    this.#handshake = duration('webhook_mtls.handshake.duration', 'Duration of handshakes.')
  }

  begin(delivery: DeliveryBegin): void {
    const attributes = { ...server(delivery), 'webhook_mtls.consumer': delivery.consumer }
    const span = this.#tracer.startSpan('POST', { kind: SpanKind.CLIENT, attributes })
    this.#spans.set(delivery.number, span)
    const made = span.spanContext()
    // Baggage and tracestate stay here: the consumer is another company.
    if (isSpanContextValid(made)) {
      const flags = made.traceFlags.toString(16).padStart(2, '0')
      delivery.headers['traceparent'] = `00-${made.traceId}-${made.spanId}-${flags}`
    }
  }

  end(record: DeliveryRecord): void {
    const span = this.#spans.get(record.number)
    this.#spans.delete(record.number)
    if (span !== undefined) this.#endSpan(record, span)
    this.#measure(record)
  }

  #endSpan(record: DeliveryRecord, span: Span): void {
    const parent = trace.setSpan(context.active(), span)
    const began = record.began_at_ms
    const child = (
      name: string,
      facts: AttemptRecord | HandshakeRecord,
      attributes: Attributes,
    ): void => {
      const startTime = began + facts.began_ms
      const made = this.#tracer.startSpan(name, { startTime, attributes }, parent)
      setStatus(made, facts)
      made.end(startTime + facts.took_ms)
    }
    if (span.isRecording()) {
      for (const attempt of record.attempt_list) child('attempt', attempt, ofAttempt(attempt))
      for (const handshake of record.handshake_list) {
        child('TLS client handshake', handshake, {
          'server.address': record.server,
          ...ofHandshake(handshake),
          'webhook_mtls.alert': handshake.alert ?? undefined,
        })
      }
      span.setAttributes(ofDelivery(record))
      setStatus(span, record)
    }
    span.end(began + record.ended_ms)
  }

  #measure(record: DeliveryRecord): void {
    for (const attempt of record.attempt_list) {
      // An attempt that is repeated without a failure was no request.
      if (attempt.outcome !== 'succeeded' && attempt.outcome !== 'failed') continue
      this.#request.record(attempt.took_ms / 1000, known({ ...server(record), ...answer(attempt) }))
    }
    const ofEnd = {
      'error.type': errorType(record),
      'webhook_mtls.stage': record.stage ?? undefined,
      'webhook_mtls.blame': record.blame ?? undefined,
    }
    this.#delivery.record(record.elapsed_ms / 1000, known(ofEnd))
    for (const handshake of record.handshake_list) {
      this.#handshake.record(handshake.took_ms / 1000, known(ofHandshake(handshake)))
    }
  }
}

function server({ server, port }: DeliveryBegin | DeliveryRecord): Attributes {
  return { 'http.request.method': 'POST', 'server.address': server, 'server.port': port }
}

function answer(facts: AttemptRecord | DeliveryRecord): Attributes {
  return {
    'http.response.status_code': facts.status ?? undefined,
    'network.protocol.version': facts.status === null ? undefined : '1.1',
    'error.type': errorType(facts),
  }
}

function ofDelivery(record: DeliveryRecord): Attributes {
  return {
    ...peer(record.address),
    ...answer(record),
    'http.request.resend_count': record.attempts > 1 ? record.attempts - 1 : undefined,
    'webhook_mtls.delivery_id': record.id ?? undefined,
    'webhook_mtls.stage': record.stage ?? undefined,
    'webhook_mtls.blame': record.blame ?? undefined,
    'webhook_mtls.scope': record.scope ?? undefined,
    'webhook_mtls.retry': record.retry ?? undefined,
    'webhook_mtls.sent': record.sent,
  }
}

function ofAttempt(attempt: AttemptRecord): Attributes {
  return {
    ...peer(attempt.address),
    ...answer(attempt),
    'webhook_mtls.attempt': attempt.number,
    'webhook_mtls.reused': attempt.reused,
    'webhook_mtls.sent': attempt.sent,
    'webhook_mtls.repeat': attempt.repeat ?? undefined,
  }
}

function ofHandshake(handshake: HandshakeRecord): Attributes {
  return {
    'error.type': errorType(handshake),
    // As the semantic conventions write it, such as `1.3`.
    'tls.protocol.version': handshake.tls_version?.replace('TLSv', ''),
  }
}

function peer(address: string | null): Attributes {
  const colon = address?.lastIndexOf(':') ?? -1
  if (address === null || colon < 0) return {}
  return {
    'network.peer.address': address.slice(0, colon).replace(/^\[|\]$/g, ''),
    'network.peer.port': Number(address.slice(colon + 1)),
  }
}

/** Returns the kind of the failure; undefined for a success. */
function errorType(facts: EndClasses & { outcome: string }): string | undefined {
  return facts.outcome === 'abandoned' ? 'canceled' : (facts.kind ?? undefined)
}

function setStatus(span: Span, facts: EndClasses & { outcome: string }): void {
  const message = errorType(facts)
  if (message !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message })
}

/** Drops attributes without a value, which a metric must not have. */
function known(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined))
}
