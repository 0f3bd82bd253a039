// Signals, events and URLs as other libraries of Node take them.

import assert from 'node:assert/strict'
import { on, once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import vm from 'node:vm'
import { Trust, Verifier } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  return { lab, acme, dispatcher, endpoint }
}

test('deliveries share a signal without a warning', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const warnings = []
  const warn = (warning) => warnings.push(warning)
  process.on('warning', warn)
  t.after(() => process.off('warning', warn))
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 50 }, () => dispatcher.deliver(endpoint, '{}', { signal })))
  // A listener of one's own shows that none of ours stayed.
  const aborting = new AbortController()
  acme.misbehave('stall', 30)
  const stalled = Array.from({ length: 30 }, () =>
    dispatcher.deliver(endpoint, '{}', { signal: aborting.signal }).catch((error) => error))
  aborting.abort(new Error('stopped'))
  for (const error of await Promise.all(stalled)) {
    assert.equal(error.kind, 'canceled')
    assert.equal(error.cause.message, 'stopped')
  }
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(warnings, [])
})

test('the signal of a run cancels it, with an outcome for each delivery in flight', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.misbehave('stall', 100)
  const aborting = new AbortController()
  let taken = 0
  const deliveries = (function* () {
    for (;;) {
      taken += 1
      yield { endpoint, body: '{}', tag: taken }
    }
  })()
  const run = dispatcher.deliverMany(deliveries, { concurrency: 4, signal: aborting.signal })
  const outcomes = []
  const read = (async () => {
    for await (const outcome of run) outcomes.push(outcome)
  })()
  assert.ok(await acme.waitFor(4, { withinMs: 20_000 }))
  aborting.abort(new Error('enough'))
  await read
  assert.equal(outcomes.length, taken)
  for (const { error } of outcomes) {
    assert.equal(error.kind, 'canceled')
    assert.equal(error.cause.message, 'enough')
  }
  const before = AbortSignal.abort(new Error('before'))
  for await (const outcome of dispatcher.deliverMany([{ endpoint, body: '{}' }], { signal: before })) {
    assert.fail(`an aborted run delivered: ${outcome}`)
  }
})

test('listeners of events are added, removed and awaited', async (t) => {
  const { lab } = await scene(t)
  const directory = await mkdtemp(join(tmpdir(), 'wmtls-events-'))
  t.after(() => rm(directory, { recursive: true }))
  const file = join(directory, 'ca.pem')
  await writeFile(file, lab.trustPem)
  const verifier = new Verifier({ role: 'server', trust: Trust.fromFiles(file), reloadMs: 0 })
  const seen = []
  const listener = ({ name }) => seen.push(name)
  for (const emitter of [lab.dispatcher(), verifier]) {
    assert.equal(emitter.on('event', listener), emitter)
    assert.equal(emitter.once('event', listener), emitter)
    assert.equal(emitter.off('event', listener).removeListener('event', listener), emitter)
    for (const [name, callback] of [['evnt', listener], ['event', 'no function']]) {
      assert.throws(() => emitter.on(name, callback), { kind: 'option_invalid' })
      assert.throws(() => emitter.once(name, callback), { kind: 'option_invalid' })
    }
  }
  let called = 0
  verifier.once('event', () => { called += 1 })
  // A listener does not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  t.after(() => clearInterval(alive))
  const next = once(verifier, 'event')
  const each = on(verifier, 'event')[Symbol.asyncIterator]()
  await writeFile(file, 'no certificate')
  assert.deepEqual(verifier.reload().map(({ name }) => name), ['rotation_failed'])
  const [event] = await next
  assert.equal(event.name, 'rotation_failed')
  assert.deepEqual((await each.next()).value, [event])
  await each.return()
  const again = once(verifier, 'event')
  verifier.reload()
  await again
  assert.equal(called, 1)
  assert.deepEqual(seen, [])
})

test('a URL object is its text', async (t) => {
  const { lab, acme, dispatcher } = await scene(t)
  const other = vm.runInNewContext('URL', { URL })
  for (const url of [new URL(acme.url), new other(acme.url)]) {
    const endpoint = dispatcher.endpoint('b', url, { pins: null })
    assert.equal(endpoint.url, acme.url)
  }
  assert.throws(() => dispatcher.endpoint('b', { href: acme.url }, { pins: null }), {
    kind: 'option_invalid',
  })
})
