// Metrics of deliveries in prom-client.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AggregatorRegistry, Registry } from 'prom-client'
import { Pins } from 'webhook-mtls'
import { instrument } from 'webhook-mtls/prometheus'
import { Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  const registry = new Registry()
  for (let call = 0; call < 2; call += 1) instrument(dispatcher, { registry })
  return { lab, acme, dispatcher, endpoint, registry }
}

async function value(registry, name, labels = {}) {
  const metric = await registry.getSingleMetric(`webhook_mtls_${name}`).get()
  const found = metric.values.filter(
    ({ labels: has, metricName }) =>
      (metricName === undefined || !metricName.endsWith('_bucket')) &&
      !metricName?.endsWith('_sum') &&
      Object.entries(labels).every(([label, value]) => has[label] === value),
  )
  assert.equal(found.length, 1, `${name}: ${JSON.stringify(metric.values)}`)
  return found[0].value
}

test('deliveries, handshakes, phases and reuse are counted', async (t) => {
  const { lab, acme, dispatcher, endpoint, registry } = await scene(t)
  await dispatcher.deliver(endpoint, '{}')
  const many = Array.from({ length: 4 }, () => ({ endpoint, body: '{}' }))
  for await (const { error } of dispatcher.deliverMany(many)) assert.equal(error, undefined)
  acme.respond(503)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'http_status' })
  const refusing = await lab.consumer('refusing')
  refusing.misbehave('reject_certificate', 0)
  const refused = dispatcher.endpoint('refusing', refusing.url, { pins: null })
  await assert.rejects(dispatcher.deliver(refused, '{}'), { kind: 'client_certificate_rejected' })

  const count = (name, labels) => value(registry, name, labels)
  assert.equal(await count('deliveries_total', { kind: '', status_class: '2xx' }), 5)
  assert.equal(await count('deliveries_total', { kind: 'http_status', status_class: '5xx' }), 1)
  assert.equal(await count('delivery_duration_seconds', { kind: '' }), 5)
  assert.equal(await count('phase_duration_seconds', { phase: 'request' }), 7)
  const completed = await count('handshakes_total', { outcome: 'completed' })
  assert.equal(completed + (await count('connection_reuse_total')), 6)
  assert.equal(await count('handshakes_total', { outcome: 'rejected' }), 1)
  assert.equal(await count('endpoints'), 2)
  assert.equal(await count('connections', { state: 'active' }), 0)
  const left = { owner: 'identity', name: 'CN=dispatcher' }
  assert.ok((await count('certificate_lifetime_left_ratio', left)) > 0)

  for (let attempt = 0; attempt < 4; attempt += 1) {
    await assert.rejects(dispatcher.deliver(refused, '{}'))
  }
  assert.equal(await count('circuits_open'), 1)
  assert.equal(await count('events_total', { event: 'circuit_opened' }), 1)
  assert.equal(await count('events_total', { event: 'circuit_opened' }), 1)
})

test('the values of a cluster are combined as the table says', async (t) => {
  const registries = []
  for (let worker = 0; worker < 2; worker += 1) {
    const { dispatcher, endpoint, registry } = await scene(t)
    await dispatcher.deliver(endpoint, '{}')
    registries.push(registry)
  }
  const all = await Promise.all(registries.map((registry) => registry.getMetricsAsJSON()))
  const merged = AggregatorRegistry.aggregate(structuredClone(all))
  assert.equal(await value(merged, 'deliveries_total', { kind: '' }), 2)
  assert.equal(await value(merged, 'endpoints'), 2)
  const left = await Promise.all(
    registries.map((registry) =>
      value(registry, 'certificate_lifetime_left_ratio', { owner: 'identity', name: 'CN=dispatcher' }),
    ),
  )
  const least = await value(merged, 'certificate_lifetime_left_ratio', { owner: 'identity', name: 'CN=dispatcher' })
  assert.equal(least, Math.min(...left))
})
