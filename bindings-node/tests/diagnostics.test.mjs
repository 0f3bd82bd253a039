// The channels of `diagnostics_channel`.

import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { test } from 'node:test'
import { Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  return { acme, dispatcher, endpoint: dispatcher.endpoint('acme', acme.url, { pins: null }) }
}

function listen(t, name) {
  const messages = []
  const listener = (message) => messages.push(message)
  subscribe(name, listener)
  t.after(() => unsubscribe(name, listener))
  return messages
}

test('a subscriber sees how each delivery begins and ends', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  await dispatcher.deliver(endpoint, '{}')
  const [begun, ended] = ['start', 'end'].map((end) => listen(t, `webhook-mtls:delivery:${end}`))
  const trace = ({ headers }) => (headers['x-trace'] = 'ours')
  subscribe('webhook-mtls:delivery:start', trace)
  t.after(() => unsubscribe('webhook-mtls:delivery:start', trace))
  await dispatcher.deliver(endpoint, '{}', { id: 'evt_1' })
  acme.respond(503)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'http_status' })
  assert.deepEqual(
    ended.map(({ number, outcome, status, kind }) => [number, outcome, status, kind]),
    [
      [begun[0].number, 'succeeded', 200, null],
      [begun[1].number, 'failed', 503, 'http_status'],
    ],
  )
  const { consumer, server, port } = begun[0]
  const { hostname, port: expected } = new URL(acme.url)
  assert.deepEqual([consumer, server, String(port)], ['acme', hostname, expected])
  assert.equal(acme.received[1].headers['x-trace'], 'ours')
})

test('the log channel has short records of deliveries and events', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const records = listen(t, 'webhook-mtls:log')
  await dispatcher.deliver(endpoint, '{}', { id: 'evt_1' })
  assert.equal(records[0].level, 'info')
  assert.equal(records[0].message, 'delivered with status 200')
  assert.equal(records[0].consumer, 'acme')
  acme.misbehave('expired', 0)
  acme.renew({ newKey: false })
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'certificate_expired' })
  }
  while (!records.some(({ event }) => event === 'circuit_opened')) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  for (const record of records) assert.ok(Buffer.byteLength(JSON.stringify(record)) < 1024)
})

test('an instrument that throws changes no delivery', async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  const telemetry = Object.getOwnPropertySymbols(dispatcher)
    .map((key) => dispatcher[key])
    .find((value) => value?.constructor?.name === 'Telemetry')
  const fail = () => {
    throw new Error('no')
  }
  telemetry.add('failing', { begin: fail, end: fail })
  const warned = once(process, 'warning')
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
  assert.match((await warned)[0].message, /an instrument of webhook-mtls threw/)
})
