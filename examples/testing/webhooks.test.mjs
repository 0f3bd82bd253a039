// Tests code that sends webhooks against a consumer of the testing kit.
// Needs the packages webhook-mtls and webhook-mtls-testing. Run it with `node --test`.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { Pins, RetryPolicy, WebhookMtlsError } from 'webhook-mtls'
import { error, Lab } from 'webhook-mtls/testing'

// The code under test: sends an invoice, and returns what the queue is to do.
async function sendInvoice(dispatcher, endpoint, number) {
  try {
    await dispatcher.deliver(endpoint, '{"paid":true}', { id: `invoice_${number}` })
    return 'done'
  } catch (failure) {
    if (!WebhookMtlsError.is(failure)) throw failure
    return new RetryPolicy().decide(failure, { attempt: 1 }).action
  }
}

let lab, acme, dispatcher, endpoint

beforeEach(async () => {
  lab = await Lab.start() // a private CA, in this process
  acme = await lab.consumer('acme') // a server on 127.0.0.1 that requires our certificate
  dispatcher = lab.dispatcher() // has an identity of the lab, and trusts only its CA
  endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
})

afterEach(async () => {
  await dispatcher.close()
  await lab.close()
})

test('an invoice arrives', async () => {
  assert.equal(await sendInvoice(dispatcher, endpoint, 7), 'done')
  const [request] = acme.received
  assert.equal(request.id, 'invoice_7')
  assert.deepEqual(JSON.parse(Buffer.from(request.body)), { paid: true })
  assert.equal(request.tenant, 'dispatcher') // who we are, for the consumer
})

test('a busy consumer is called again', async () => {
  acme.respond(503, { retryAfter: 30 })
  assert.equal(await sendInvoice(dispatcher, endpoint, 7), 'retry')
})

test('a lost answer makes a duplicate with the same id', async () => {
  acme.misbehave('reset_after_body')
  assert.equal(await sendInvoice(dispatcher, endpoint, 7), 'retry')
  assert.equal(await sendInvoice(dispatcher, endpoint, 7), 'done')
  assert.deepEqual(acme.received.map((request) => request.id), ['invoice_7', 'invoice_7'])
})

test('an unknown key gets nothing', async () => {
  acme.renew({ newKey: true })
  assert.equal(await sendInvoice(dispatcher, endpoint, 7), 'park')
  assert.equal(acme.received.length, 0)
})

const verdicts = {
  client_certificate_rejected: 'park',
  circuit_open: 'retry',
  http_status: 'retry',
}
for (const [kind, action] of Object.entries(verdicts)) {
  test(`${kind}: ${action}, without a network`, () => {
    assert.equal(new RetryPolicy().decide(error(kind), { attempt: 1 }).action, action)
  })
}
