// Signed deliveries, verified with the official package for consumers and with Node's own crypto.

import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { StandardWebhooks, WebhookMtlsError } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const CURRENT = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const FORMER = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'
const SEED = Buffer.alloc(32, 7)
const ED25519 = `whsk_${SEED.toString('base64')}`
const BODY = '{"event":"order.created","name":"Zoë"}'

async function sent(t, secrets, options) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const signing = new StandardWebhooks(secrets)
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null, signing })
  await dispatcher.deliver(endpoint, BODY, options)
  return acme.received[0]
}

test('each secret of a rotation verifies with the official package', async (t) => {
  const { body, headers } = await sent(t, [CURRENT, FORMER], { id: 'evt_1' })
  const text = Buffer.from(body).toString()
  for (const secret of [CURRENT, FORMER]) {
    assert.equal(new Webhook(secret).verify(text, headers).event, 'order.created')
  }
  const another = new Webhook('whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')
  assert.throws(() => another.verify(text, headers), /No matching signature/)
})

test('an Ed25519 signature verifies with the public key', async (t) => {
  const { body, headers } = await sent(t, [ED25519], { id: 'evt_1' })
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED])
  const key = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
  const [scheme, signature] = headers['webhook-signature'].split(',')
  const message = Buffer.concat([Buffer.from(`evt_1.${headers['webhook-timestamp']}.`), body])
  assert.equal(scheme, 'v1a')
  assert.ok(verify(null, message, key, Buffer.from(signature, 'base64')))
})

test('a signed delivery needs an id', async (t) => {
  await assert.rejects(sent(t, [CURRENT]), (e) => {
    assert.deepEqual([e.kind, e.context.option, e.retry], ['option_invalid', 'id', 'never'])
    return WebhookMtlsError.is(e)
  })
})

test('a bad secret is reported by its position and never shown', () => {
  assert.throws(() => new StandardWebhooks([CURRENT, 'whsec_hunter2hunter2']), (e) => {
    assert.equal(e.context.position, 2)
    assert.ok(!`${e.stack} ${JSON.stringify(e)}`.includes('hunter2'))
    return e.kind === 'option_invalid'
  })
  for (const given of [CURRENT, null, 5, [5], []]) {
    assert.throws(() => new StandardWebhooks(given), { kind: 'option_invalid' })
  }
})
