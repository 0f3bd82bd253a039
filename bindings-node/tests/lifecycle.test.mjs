// A removal or a replacement takes effect when the call returns, also for waiting deliveries.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lab } from 'webhook-mtls/testing'

async function scene(t, options) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null, ...options })
  return { lab, acme, dispatcher, endpoint }
}

const ended = (promise) => promise.then((receipt) => receipt.status, (e) => [e.kind, e.sent])

test('a waiting delivery ends with its endpoint, and a sent one continues', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t, { concurrency: 1 })
  acme.misbehave('stall')
  const running = ended(dispatcher.deliver(endpoint, 'running', { timeoutMs: 3000 }))
  assert.ok(await acme.waitFor(1, { withinMs: 10_000 }))
  const waiting = Array.from({ length: 9 }, () => ended(dispatcher.deliver(endpoint, '{}')))
  assert.equal(dispatcher.remove('acme'), true)
  assert.deepEqual(new Set((await Promise.all(waiting)).map(String)), new Set(['handle_closed,nothing']))
  assert.deepEqual(await running, ['deadline_exceeded', 'all'])
  assert.equal(acme.received.length, 1)
  assert.equal(acme.connections, 1)
})

test('a delivery before its first byte uses new values', async (t) => {
  const { lab, acme, dispatcher, endpoint } = await scene(t)
  const other = await lab.consumer('other')
  // The upsert comes before the event loop has polled any socket.
  const moved = Array.from({ length: 3 }, () => dispatcher.deliver(endpoint, 'moved'))
  dispatcher.endpoint('acme', other.url, { pins: null })
  for (const receipt of await Promise.all(moved)) assert.equal(receipt.status, 200)
  assert.deepEqual([acme.received.length, other.received.length], [0, 3])
})

test('an error reports whether the payload left', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.respond(503)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (e) => {
    assert.deepEqual([e.sent, e.context.payloadSent], ['all', true])
    return true
  })
})
