// Spans and metrics of deliveries, as the SDK of OpenTelemetry exports them.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { test } from 'node:test'
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { Pins } from 'webhook-mtls'
import { instrument } from 'webhook-mtls/opentelemetry'
import { Lab } from 'webhook-mtls/testing'

// The smallest context manager: without one, no span is active.
const storage = new AsyncLocalStorage()
context.setGlobalContextManager({
  active: () => storage.getStore() ?? ROOT_CONTEXT,
  with: (value, call, self, ...values) => storage.run(value, () => call.apply(self, values)),
  bind: (_, target) => target,
  enable() {
    return this
  },
  disable() {
    return this
  },
})

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  const spans = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  t.after(() => meterProvider.shutdown())
  for (let call = 0; call < 2; call += 1) instrument(dispatcher, { tracerProvider, meterProvider })
  const take = () => {
    const taken = spans.getFinishedSpans()
    spans.reset()
    return taken
  }
  const points = async () => {
    exporter.reset()
    await reader.forceFlush()
    const [{ scopeMetrics }] = exporter.getMetrics()
    return Object.fromEntries(
      scopeMetrics[0].metrics.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints]),
    )
  }
  return { lab, acme, dispatcher, endpoint, tracerProvider, take, points }
}

const named = (spans, name) => {
  const found = spans.filter((span) => span.name === name)
  assert.equal(found.length, 1, name)
  return found[0]
}

const parentOf = (span) => {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

const sentBy = (request) => request.headers.traceparent

const millis = ([seconds, nanos]) => seconds * 1000 + nanos / 1e6

test('a delivery is a span with its attempt and its handshake', async (t) => {
  const { acme, dispatcher, endpoint, take } = await scene(t)
  await dispatcher.deliver(endpoint, '{}', { id: 'evt_1' })
  const spans = take()
  assert.deepEqual(spans.map(({ name }) => name).sort(), ['POST', 'TLS client handshake', 'attempt'])
  const [delivery, handshake] = [named(spans, 'POST'), named(spans, 'TLS client handshake')]
  const port = Number(new URL(acme.url).port)
  assert.equal(delivery.kind, SpanKind.CLIENT)
  assert.equal(delivery.status.code, SpanStatusCode.UNSET)
  assert.deepEqual(JSON.parse(JSON.stringify(delivery.attributes)), {
    'http.request.method': 'POST',
    'server.address': '127.0.0.1',
    'server.port': port,
    'network.peer.address': '127.0.0.1',
    'network.peer.port': port,
    'network.protocol.version': '1.1',
    'http.response.status_code': 200,
    'webhook_mtls.consumer': 'acme',
    'webhook_mtls.delivery_id': 'evt_1',
    'webhook_mtls.sent': 'all',
  })
  assert.deepEqual(JSON.parse(JSON.stringify(handshake.attributes)), {
    'server.address': '127.0.0.1',
    'tls.protocol.version': '1.3',
  })
  const attempt = named(spans, 'attempt')
  assert.deepEqual(JSON.parse(JSON.stringify(attempt.attributes)), {
    'network.peer.address': '127.0.0.1',
    'network.peer.port': port,
    'network.protocol.version': '1.1',
    'http.response.status_code': 200,
    'webhook_mtls.attempt': 1,
    'webhook_mtls.reused': false,
    'webhook_mtls.sent': 'all',
  })
  for (const child of [handshake, attempt]) {
    assert.equal(child.parentSpanContext.spanId, delivery.spanContext().spanId)
    // The clock of JavaScript and that of core differ by less than the resolution of the former.
    assert.ok(millis(delivery.startTime) - 2 <= millis(child.startTime))
    assert.ok(millis(child.startTime) < millis(child.endTime))
    assert.ok(millis(child.endTime) <= millis(delivery.endTime) + 2)
  }
  assert.equal(sentBy(acme.received.at(-1)), parentOf(delivery))
  await dispatcher.deliver(endpoint, '{}')
  assert.deepEqual(take().map(({ name }) => name).sort(), ['POST', 'attempt'])
})

test('the span of the caller is the parent, and its baggage stays here', async (t) => {
  const { acme, dispatcher, endpoint, tracerProvider, take } = await scene(t)
  const baggage = propagation.createBaggage({ account: { value: 'secret' } })
  const job = tracerProvider.getTracer('caller').startSpan('job')
  const around = propagation.setBaggage(trace.setSpan(context.active(), job), baggage)
  await context.with(around, () => dispatcher.deliver(endpoint, '{}'))
  const delivery = named(take(), 'POST')
  assert.equal(delivery.parentSpanContext.spanId, job.spanContext().spanId)
  const { headers } = acme.received.at(-1)
  assert.equal(headers.traceparent, parentOf(delivery))
  assert.ok(!('baggage' in headers) && !('tracestate' in headers))

  const theirs = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  await dispatcher.deliver(endpoint, '{}', { headers: { Traceparent: theirs } })
  assert.equal(sentBy(acme.received.at(-1)), theirs)
})

test('a failure has its kind', async (t) => {
  const { acme, dispatcher, endpoint, take, points } = await scene(t)
  acme.renew({ newKey: true })
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'pin_mismatch' })
  await assert.rejects(dispatcher.deliver(endpoint, '{}', { headers: { x: 'a\nb' } }))
  const spans = take()
  assert.equal(spans.length, 4)
  for (const span of spans) assert.equal(span.status.code, SpanStatusCode.ERROR)
  const kinds = spans.map(({ attributes }) => attributes['error.type'])
  assert.deepEqual(kinds, [...Array(3).fill('pin_mismatch'), 'header_invalid'])
  const [point] = (await points())['webhook_mtls.handshake.duration']
  assert.deepEqual(point.attributes, { 'error.type': 'pin_mismatch', 'tls.protocol.version': '1.3' })
})

test('every way to deliver is measured once', async (t) => {
  const { acme, dispatcher, endpoint, take, points } = await scene(t)
  await Promise.all(Array.from({ length: 5 }, () => dispatcher.deliver(endpoint, '{}')))
  const many = Array.from({ length: 5 }, () => ({ endpoint, body: '{}' }))
  for await (const { error } of dispatcher.deliverMany(many)) assert.equal(error, undefined)
  const deliveries = take().filter(({ name }) => name === 'POST')
  assert.deepEqual(acme.received.map(sentBy).sort(), deliveries.map(parentOf).sort())
  assert.equal(deliveries.length, 10)
  const found = await points()
  const [request] = found['http.client.request.duration']
  assert.equal(request.value.count, 10)
  assert.equal(request.attributes['http.response.status_code'], 200)
  assert.deepEqual(request.value.buckets.boundaries.slice(0, 3), [0.005, 0.01, 0.025])
  const [delivery] = found['webhook_mtls.delivery.duration']
  assert.equal(delivery.value.count, 10)
  assert.deepEqual(delivery.attributes, {})
})

test('a canceled delivery ends its span', async (t) => {
  const { acme, dispatcher, endpoint, take } = await scene(t)
  acme.misbehave('stall', 0)
  const abort = new AbortController()
  const delivered = dispatcher.deliver(endpoint, '{}', { signal: abort.signal })
  while (acme.received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  abort.abort()
  await assert.rejects(delivered, { kind: 'canceled' })
  assert.equal(named(take(), 'POST').attributes['error.type'], 'canceled')
})

test('without an SDK, a delivery carries the trace of the caller', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  instrument(dispatcher)
  await dispatcher.deliver(endpoint, '{}')
  assert.equal(sentBy(acme.received.at(-1)), undefined)
  const remote = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: TraceFlags.SAMPLED }
  const around = trace.setSpanContext(context.active(), remote)
  await context.with(around, () => dispatcher.deliver(endpoint, '{}'))
  assert.equal(sentBy(acme.received.at(-1)), `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`)
})
