// What a dispatcher holds at once: connections, and the bodies of a run.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Lab } from 'webhook-mtls/testing'

test('thrashed connections are an event', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const dispatcher = lab.dispatcher({ maxConnections: 2 })
  t.after(() => dispatcher.close())
  const endpoints = []
  for (const name of ['a', 'b', 'c']) {
    const { url } = await lab.consumer(name)
    endpoints.push(dispatcher.endpoint(name, url, { pins: null }))
  }
  const heard = once(dispatcher, 'event')
  for (let number = 0; number < 30; number += 1) {
    await dispatcher.deliver(endpoints[number % 3], '{}')
  }
  // A listener does not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  t.after(() => clearInterval(alive))
  const [{ name, fields }] = await heard
  assert.equal(name, 'connections_thrashed')
  assert.deepEqual([fields.closed, fields.max_connections], [16, 2])
  assert.match(fields.remedy, /^Raise maxConnections /)
})

test('the bodies of a run are bounded by their bytes', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  acme.misbehave('stall', 1_000_000)
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  // All but the first wait for a turn.
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null, concurrency: 1 })
  const size = 16 * 1024 * 1024
  const shared = new Uint8Array(size)
  // 256 MiB; equal bodies in a row are held once.
  for (const [body, expected] of [[() => new Uint8Array(size), 16], [() => shared, 60]]) {
    let taken = 0
    const deliveries = (function* () {
      while (taken < 60) {
        taken += 1
        const own = body()
        if (own !== shared) own[0] = taken
        yield { endpoint, body: own }
      }
    })()
    const run = dispatcher.deliverMany(deliveries, { concurrency: 100 })
    void run.next()
    assert.equal(taken, expected)
    assert.equal(run.progress.waiting, expected - 1)
    await run.return()
  }
})
