// Receipts and errors as other code copies them: a spread, structuredClone, a message to a worker,
// JSON.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { deliver, RetryPolicy, WebhookMtlsError } from 'webhook-mtls'
import { error as errorOfKind, Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  return { lab, acme, dispatcher, endpoint }
}

/** Sends a value through a port, as to a worker. */
function posted(value) {
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(value)
  const { message } = receiveMessageOnPort(port2)
  port1.close()
  return message
}

const COPIES = { spread: (value) => ({ ...value }), structuredClone, posted }

const FIELDS = [
  'status', 'consumer', 'id', 'pin', 'attempts', 'elapsedMs', 'holdHonored', 'peer', 'tls',
  'connection', 'timings', 'response',
]

test('a copy of a receipt has all of its fields', async (t) => {
  const { lab, acme, dispatcher, endpoint } = await scene(t)
  const { identity, trust } = lab
  const options = { identity, trust, egress: { preset: 'public', allow: ['127.0.0.0/8'] } }
  const run = dispatcher.deliverMany([{ endpoint, body: '{}', id: 'many' }])
  const receipts = {
    single: await dispatcher.deliver(endpoint, '{}', { timeoutMs: 20_000, id: 'single' }),
    many: (await run.next()).value.receipt,
    once: await deliver(acme.url, '{}', { pins: null, id: 'once', ...options }),
    nameless: await dispatcher.deliver(endpoint, '{}'),
  }
  for (const [name, receipt] of Object.entries(receipts)) {
    const { consumer, id, status, attempts, elapsed_ms, pin, hold_honored } = receipt.toJSON()
    // The values that come beside the JSON are those of the JSON.
    assert.deepEqual(
      { consumer, id, status, attempts, elapsed_ms, pin, hold_honored },
      {
        consumer: receipt.consumer, id: receipt.id ?? null, status: 200, attempts: receipt.attempts,
        elapsed_ms: receipt.elapsedMs, pin: receipt.pin, hold_honored: receipt.holdHonored,
      },
    )
    assert.equal(receipt.id, name === 'nameless' ? undefined : name)
    for (const copy of Object.values(COPIES)) {
      const copied = copy(receipt)
      assert.deepEqual(Object.keys(copied).sort(), [...FIELDS].sort())
      for (const field of FIELDS) {
        assert.deepEqual(plain(copied[field]), plain(receipt[field]), `${name}: ${field}`)
      }
    }
  }
})

/** A value without the classes of its objects. */
function plain(value) {
  if (ArrayBuffer.isView(value)) return [...value]
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
}

test('a copy of a response holds no bytes of others', async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  const { response } = await dispatcher.deliver(endpoint, '{}')
  assert.ok(response.excerpt.length > 0)
  assert.equal(structuredClone(response.excerpt).buffer.byteLength, response.excerpt.length)
})

test('is() holds for a copy of an error, which then has all of its fields', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.respond(503, { retryAfter: 7 })
  const failed = await dispatcher.deliver(endpoint, '{}', { id: 'evt' }).catch((error) => error)
  assert.equal(failed.kind, 'http_status')
  for (const error of [failed, errorOfKind('pin_mismatch'), errorOfKind('internal')]) {
    for (const [name, copy] of Object.entries(COPIES)) {
      const copied = copy(error)
      assert.ok(WebhookMtlsError.is(copied), name)
      assert.equal(copied.message, error.message)
      for (const field of Object.keys(error)) {
        assert.deepEqual(plain(copied[field]), plain(error[field]), `${name}: ${field}`)
      }
      const policy = new RetryPolicy()
      assert.equal(policy.decide(copy(error), { attempt: 1 }).action, policy.decide(error, { attempt: 1 }).action)
      const again = WebhookMtlsError.fromJSON(copy(error))
      if (name === 'spread') assert.equal(again.kind, error.kind)
      else assert.deepEqual(again.toJSON(), error.toJSON())
    }
    // The cause repeats the fields for a clone, and is not shown twice.
    assert.equal(inspect(error).split(error.remedy).length, 2)
    assert.deepEqual(JSON.parse(JSON.stringify(error)), error.toJSON())
  }
})

test('is() takes no other error for one of ours', () => {
  const error = errorOfKind('pin_mismatch')
  const others = [
    new Error('wrapped', { cause: error }),
    new Error('wrapped', { cause: error.toJSON() }),
    new Error('x', { cause: { kind: 'pin_mismatch' } }),
    new Error('x', { cause: { ...error.toJSON(), message: undefined, kind: 7 } }),
    new Error('x', { cause: 'y'.repeat(100) }),
    new Error('x', { cause: [1] }),
    Object.freeze(structuredClone(error)),
    { message: 'x', cause: null },
  ]
  for (const other of others) assert.equal(WebhookMtlsError.is(other), false, inspect(other))
})

test('the reason of an abort stays the cause', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.misbehave('stall')
  const aborting = new AbortController()
  const delivery = dispatcher.deliver(endpoint, '{}', { signal: aborting.signal })
  const reason = new Error('stopped')
  aborting.abort(reason)
  await assert.rejects(delivery, (error) => error.kind === 'canceled' && error.cause === reason)
})
