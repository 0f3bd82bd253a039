// Close in callbacks, listeners and iterables: no call waits for itself. Also processes that are
// started while the library's threads are busy.
//
// Node cannot fork without exec, so JavaScript never runs in a child with inherited locks. But
// libuv forks in order to exec, and the library's fork handlers run there.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Authorization, Dispatcher, Identity, Trust, Verifier } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const LONG = { timeout: 60_000 }

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  return { lab, acme, dispatcher, endpoint }
}

test('close in the callback of one delivery ends the others', LONG, async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.misbehave('stall', 1)
  const held = dispatcher.deliver(endpoint, '{}').catch((error) => error.kind)
  assert.ok(await acme.waitFor(1, { withinMs: 30_000 }))
  const closed = dispatcher.deliver(endpoint, '{}').then(() => dispatcher.close({ drainMs: 50 }))
  assert.equal(await held, 'canceled')
  await closed
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'handle_closed' })
})

test('an iterable of deliverMany closes its dispatcher', LONG, async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.misbehave('stall', 1)
  async function* deliveries() {
    yield { endpoint, body: '{}' }
    await acme.waitFor(1, { withinMs: 30_000 })
    await dispatcher.close({ drainMs: 50 })
    yield { endpoint, body: '{}' }
  }
  const kinds = []
  for await (const outcome of dispatcher.deliverMany(deliveries())) kinds.push(outcome.error?.kind)
  assert.deepEqual(kinds, ['canceled', 'handle_closed'])
})

test('a listener reloads and closes its dispatcher', LONG, async (t) => {
  const { lab } = await scene(t)
  const folder = mkdtempSync(join(tmpdir(), 'reentry-'))
  t.after(() => rmSync(folder, { recursive: true }))
  lab.writeFiles(folder)
  chmodSync(join(folder, 'tls.key'), 0o644)
  const identity = Identity.fromFiles(join(folder, 'tls.crt'), join(folder, 'tls.key'))
  const dispatcher = new Dispatcher({ identity, trust: lab.trust })
  const closed = new Promise((resolve, reject) => {
    dispatcher.on('event', async (event) => {
      try {
        assert.equal(event.name, 'key_readable')
        await dispatcher.reload()
        await dispatcher.close({ drainMs: 30_000 })
        resolve('closed')
      } catch (error) {
        reject(error)
      }
    })
  })
  // A listener does not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  await dispatcher.reload()
  assert.equal(await closed, 'closed')
  clearInterval(alive)
})

test('processes start during deliveries and verifications', LONG, async (t) => {
  const { lab, dispatcher, endpoint } = await scene(t)
  const folder = mkdtempSync(join(tmpdir(), 'reentry-'))
  t.after(() => rmSync(folder, { recursive: true }))
  lab.writeFiles(folder)
  const trust = Trust.fromFiles(join(folder, 'ca.pem'))
  const authorization = Authorization.caMembers()
  const verifier = new Verifier({ role: 'client', trust, authorization })
  const chain = lab.identityPem.cert
  let stop = false
  const busily = async (work) => {
    while (!stop) await work()
  }
  const busy = [
    busily(() => dispatcher.deliver(endpoint, '{}')),
    busily(() => dispatcher.reload()),
    busily(async () => {
      verifier.verify(chain)
      dispatcher.endpoint('other', 'https://127.0.0.1:9/', { pins: null })
      dispatcher.remove('other')
      await new Promise(setImmediate)
    }),
  ]
  for (let count = 0; count < 200; count++) {
    const [code] = await once(spawn('/bin/true'), 'exit')
    assert.equal(code, 0)
  }
  stop = true
  await Promise.all(busy)
})
