// Errors keep their fields in every context, and asynchronous calls reject with them.

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { deliver, Dispatcher, Identity, RetryPolicy, WebhookMtlsError } from 'webhook-mtls'
import { error, Lab } from 'webhook-mtls/testing'

const require = createRequire(import.meta.url)

/** A second copy of the package, as with two versions of a dependency. */
function secondCopy() {
  const mine = Object.keys(require.cache).filter((path) => path.includes('webhook-mtls'))
  const kept = mine.map((path) => [path, require.cache[path]])
  for (const path of mine) delete require.cache[path]
  try {
    return { ...require('webhook-mtls'), kit: require('webhook-mtls/testing') }
  } finally {
    for (const [path, module] of kept) require.cache[path] = module
  }
}

test('an error of another copy is recognized', () => {
  const other = secondCopy()
  const theirs = other.kit.error('http_status', { sent: 'all', retryAfterMs: 9_000 })
  assert.notEqual(other.WebhookMtlsError, WebhookMtlsError)
  assert.ok(!(theirs instanceof WebhookMtlsError) && WebhookMtlsError.is(theirs))
  assert.equal(new RetryPolicy().decide(theirs, { attempt: 1 }).delayMs, 9_000)
})

test('a noun of another copy is refused', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const theirs = secondCopy().Identity.fromPem(lab.identityPem.cert, lab.identityPem.key)
  assert.throws(() => new Dispatcher({ identity: theirs }), { kind: 'option_invalid' })
  assert.throws(() => new Dispatcher({ identity: Object.create(Identity.prototype) }), {
    kind: 'option_invalid',
    context: { option: 'identity' },
  })
})

test('an error without its prototype is recognized', () => {
  const e = error('client_certificate_rejected', { consumer: 'acme', context: { via: 'alert' } })
  const bare = structuredClone({ ...e, message: e.message })
  assert.ok(!(bare instanceof Error) && WebhookMtlsError.is(bare))
  assert.equal(new RetryPolicy().decide(bare, { attempt: 1 }).action, 'park')
  assert.deepEqual(WebhookMtlsError.fromJSON(bare).toJSON(), e.toJSON())
})

test('other values are not recognized as errors', () => {
  for (const value of [null, undefined, 'WMTLS_INTERNAL', {}, new Error('x'), { kind: 'x' }]) {
    assert.equal(WebhookMtlsError.is(value), false)
  }
})

test('changing the result of toJSON does not change the error', () => {
  const e = error('pin_mismatch', { context: { expected_pins: ['a'] } })
  e.toJSON().context.expected_pins.push('b')
  assert.deepEqual(e.toJSON().context.expected_pins, ['a'])
  assert.deepEqual(e.context.expectedPins, ['a'])
})

test('public shows no address', () => {
  const e = error('connect_failed', { context: { address: '10.0.0.1:443' } })
  assert.equal(JSON.stringify(e.toJSON()).includes('10.0.0.1'), true)
  assert.equal(JSON.stringify(e.public()).includes('10.0.0.1'), false)
})

test('a constructed error accepts only known fields', () => {
  assert.throws(() => error('no_such_kind'), { kind: 'option_invalid' })
  assert.throws(() => error('internal', { colour: 'red' }), { kind: 'option_invalid' })
  assert.throws(() => error('internal', { sent: 'some' }), { kind: 'option_invalid' })
})

test('an option in the spelling of another language gets a hint', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const said = (key) => (e) => e.kind === 'option_invalid' && e.message.includes(key)
  assert.throws(() => new Dispatcher({ timeout: 5 }), said('timeoutMs'))
  assert.throws(() => new Dispatcher({ connect_timeout: 5 }), said('connectTimeoutMs'))
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', 'https://acme.example/', { pins: null })
  const delivery = dispatcher.deliver(endpoint, '{}', { content_type: 'text/plain' })
  await assert.rejects(delivery, said('contentType'))
})

test('asynchronous calls reject and never throw', async () => {
  const dispatcher = new Dispatcher()
  for (const run of [
    () => deliver(),
    () => deliver('https://acme.example/', '{}', { pins: null }),
    () => dispatcher.deliver(),
    () => dispatcher.close({ drainMs: -1 }),
    () => dispatcher.close({ drain: 1 }),
  ]) {
    const promise = run()
    assert.ok(promise instanceof Promise)
    await assert.rejects(promise, { kind: 'option_invalid' }, run.toString())
  }
})

test('the signal listener is removed, and the reason is the cause', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  const controller = new AbortController()
  const { signal } = controller
  await dispatcher.deliver(endpoint, '{}', { signal })
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  acme.misbehave('stall')
  const stalled = dispatcher.deliver(endpoint, '{}', { id: 'evt_1', signal })
  assert.equal(await acme.waitFor(2, { withinMs: 10_000 }), true)
  controller.abort(new Error('shutting down'))
  await assert.rejects(stalled, (error) => {
    assert.deepEqual([error.kind, error.cause.message], ['canceled', 'shutting down'])
    assert.deepEqual([error.id, error.attempts], ['evt_1', 1])
    assert.ok(error.elapsedMs > 0)
    return true
  })
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('closing without time to drain cancels', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  acme.misbehave('stall')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  const stalled = assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'canceled' })
  assert.equal(await acme.waitFor(1, { withinMs: 10_000 }), true)
  await dispatcher[Symbol.asyncDispose]()
  await stalled
})
