// What dispatchers and verifiers count, as Node shows it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Authorization, metricsContentType, Verifier } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

/** Returns the positive values of a metric, or the counts of a histogram, by labels. */
const counted = (source, name) =>
  Object.fromEntries(
    source
      .metrics()
      [`webhook_mtls_${name}`].samples.map((sample) => [
        Object.values(sample.labels).join(' '),
        sample.value ?? sample.count,
      ])
      .filter(([, value]) => value > 0),
  )

const scene = async (t, options) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher(options)
  t.after(() => dispatcher.close())
  return { lab, acme, dispatcher, endpoint: dispatcher.endpoint('acme', acme.url, { pins: null }) }
}

test('each end of a delivery is counted once', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t, { metricsEndpoints: 1 })
  await dispatcher.deliver(endpoint, '{}')
  await dispatcher.deliver(endpoint, '{}')
  acme.respond(503)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'http_status' })
  acme.misbehave('expired')
  dispatcher.endpoint('acme', `${acme.url}/other`, { pins: null })
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'certificate_expired' })
  await assert.rejects(dispatcher.deliver(endpoint, '{}', { signal: AbortSignal.abort() }))
  // In the order of the labels: blame, kind, stage, class of the status.
  assert.deepEqual(counted(dispatcher, 'deliveries_total'), {
    '   2xx': 2,
    'theirs http_status response 5xx': 1,
    'theirs certificate_expired handshake ': 1,
    'caller canceled admit ': 1,
  })
  assert.deepEqual(counted(dispatcher, 'connection_reuse_total'), { '': 2 })
  assert.deepEqual(counted(dispatcher, 'handshakes_total'), {
    '  completed TLSv1.3': 1,
    ' certificate_expired failed TLSv1.3': 1,
  })
  assert.deepEqual(counted(dispatcher, 'endpoint_deliveries_total'), { 'acme succeeded': 2, 'acme failed': 3 })
  const { type, unit, samples } = dispatcher.metrics().webhook_mtls_phase_duration_seconds
  assert.deepEqual([type, unit, samples.length], ['histogram', 'seconds', 5])
  assert.equal(samples[0].buckets.length, 14)
})

test('one text shows a dispatcher and a verifier', async (t) => {
  const { lab, dispatcher, endpoint } = await scene(t)
  await dispatcher.deliver(endpoint, '{}')
  const verifier = new Verifier({ role: 'client', trust: lab.trust, authorization: Authorization.caMembers() })
  assert.throws(() => verifier.verify('no certificate'))
  verifier.verify(lab.authority.issue('acme').certPem)
  assert.deepEqual(counted(verifier, 'verifications_total'), {
    '  SUCCESS': 1,
    'pem_invalid unspecified certificate verification error FAILED': 1,
  })
  const text = dispatcher.metricsText({ others: [verifier] })
  assert.match(text, /^webhook_mtls_deliveries_total\{kind="",stage="",blame="",status_class="2xx"\} 1$/m)
  assert.match(text, /^webhook_mtls_verifications_total\{result="SUCCESS",reason="",kind=""\} 1$/m)
  assert.equal(text.match(/^# TYPE webhook_mtls_build_info /gm).length, 1)
  assert.ok(!text.includes('acme'), 'a consumer id is a label by choice')
  assert.match(verifier.metricsText({ format: 'openmetrics' }), /\n# EOF\n$/)
  assert.equal(metricsContentType('prometheus'), 'text/plain; version=0.0.4; charset=utf-8')
})

test('wrong arguments are refused', async (t) => {
  const { dispatcher } = await scene(t)
  const refused = { kind: 'option_invalid' }
  assert.throws(() => dispatcher.metricsText({ format: 'json' }), refused)
  assert.throws(() => dispatcher.metricsText({ others: dispatcher }), refused)
  assert.throws(() => dispatcher.metricsText({ others: [7] }), refused)
  assert.throws(() => dispatcher.metricsText({ other: [] }), refused)
  assert.throws(() => metricsContentType('json'), refused)
})

test('the log record of the longest answer is below 1 KiB', async (t) => {
  const { lab, acme, dispatcher } = await scene(t)
  const consumer = 'ä'.repeat(128)
  const url = `${acme.url}/${'p'.repeat(3000)}`
  const endpoint = dispatcher.endpoint(consumer, url, { pins: null })
  const receipt = await dispatcher.deliver(endpoint, '{}', { id: 'i'.repeat(255) })
  acme.misbehave('expired')
  const other = lab.dispatcher()
  t.after(() => other.close())
  const failing = other.endpoint(consumer, url, { pins: null })
  const error = await other.deliver(failing, '{}', { id: 'i'.repeat(255) }).catch((reason) => reason)
  const probe = await other.probe(failing)
  for (const [outcome, level] of [[receipt, 'info'], [error, 'warning'], [probe, 'info']]) {
    const record = outcome.toObject({ full: false })
    const line = JSON.stringify(record)
    assert.ok(line.length < 1024 && Buffer.byteLength(line) < 1024, line)
    assert.ok(!line.includes('ppp'), line)
    assert.equal(record.level, level)
    assert.ok(record.consumer.startsWith('ääää'))
    assert.deepEqual(outcome.toObject(), outcome.toJSON())
  }
})
