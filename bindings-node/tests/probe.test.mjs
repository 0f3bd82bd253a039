// Probes: a handshake without a body.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pins, Probe } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  return { acme, dispatcher, endpoint }
}

test('a probe shows the consumer and sends nothing', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const probe = await dispatcher.probe(endpoint, { timeoutMs: 20_000 })
  assert.ok(probe instanceof Probe)
  assert.deepEqual([probe.consumer, probe.pin, probe.tls.version], ['acme', 'current', 'TLSv1.3'])
  assert.equal(probe.peer.spkiPin, acme.pin)
  assert.deepEqual(endpoint.status().peerNotAfter, probe.peer.notAfter)
  assert.ok(acme.url.includes(probe.address) && probe.elapsedMs > 0)
  assert.equal(probe.toJSON().peer.not_after_ms, probe.peer.notAfter.getTime())
  assert.equal(acme.received.length, 0)
})

test('a probe fails as a delivery would', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  for (const [how, kind] of [
    ['never_ask', 'client_auth_not_requested'],
    ['reject_certificate', 'client_certificate_rejected'],
    ['expired', 'certificate_expired'],
  ]) {
    acme.misbehave(how, 1)
    await assert.rejects(dispatcher.probe(endpoint), { kind, sent: 'nothing', consumer: 'acme' })
  }
  const signal = AbortSignal.abort()
  await assert.rejects(dispatcher.probe(endpoint, { signal }), { kind: 'canceled' })
  await assert.rejects(dispatcher.probe(endpoint, { timeoutMs: 0 }), { kind: 'option_invalid' })
  await assert.rejects(dispatcher.probe(endpoint, { timeout: 1 }), { kind: 'option_invalid' })
  await assert.rejects(dispatcher.probe('acme'), { kind: 'option_invalid' })
})

test('the CAs of the consumer explain a refusal', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const probe = await dispatcher.probe(endpoint)
  const [ours] = probe.tls.certificateAuthorities
  assert.ok(ours.startsWith('CN=lab ') && probe.tls.issuerListed)
  assert.match(probe.note, /comes with the first answer\.$/)
  acme.misbehave('reject_by_close')
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (error) => {
    assert.deepEqual([error.kind, error.sent], ['client_certificate_rejected', 'nothing'])
    const json = error.toJSON()
    assert.deepEqual([json.context.via, json.context.issuer_listed], ['close', false])
    const [other] = json.tls.certificate_authorities
    assert.ok(error.remedy.includes(other) && !error.message.includes(other))
    return true
  })
  const receipt = await dispatcher.deliver(endpoint, '{}')
  assert.deepEqual(receipt.tls.certificateAuthorities, [ours])
})
