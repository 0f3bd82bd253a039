// Many deliveries at once, to the testing kit.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Pins, WebhookMtlsError } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  return { lab, acme, dispatcher, endpoint }
}

async function stalled(lab, dispatcher) {
  const slow = await lab.consumer('slow')
  slow.misbehave('stall', 0)
  return [slow, dispatcher.endpoint('slow', slow.url, { pins: null })]
}

const some = (endpoint, count) =>
  Array.from({ length: count }, (_, tag) => ({ endpoint, body: '{}', id: `evt_${tag}`, tag }))

async function* later(deliveries) {
  for (const delivery of deliveries) {
    await null
    yield delivery
  }
}

const all = async (outcomes) => {
  const seen = []
  for await (const outcome of outcomes) seen.push(outcome)
  return seen
}

const sources = { 'an iterable': (deliveries) => deliveries, 'an asynchronous iterable': later }

for (const [name, given] of Object.entries(sources)) {
  test(`each delivery of ${name} has one outcome`, async (t) => {
    const { acme, dispatcher, endpoint } = await scene(t)
    const outcomes = dispatcher.deliverMany(given(some(endpoint, 300)))
    const seen = await all(outcomes)
    const tags = seen.map(({ delivery }) => delivery.tag).sort((a, b) => a - b)
    assert.deepEqual(tags, Array.from({ length: 300 }, (_, tag) => tag))
    for (const { delivery, receipt, error } of seen) {
      assert.equal(error, undefined)
      assert.equal(receipt.id, delivery.id)
    }
    assert.equal(acme.received.length, 300)
    assert.deepEqual(outcomes.progress, { done: 300, failed: 0, inFlight: 0, waiting: 0 })
    assert.equal((await outcomes.next()).done, true)
  })

  test(`a failure in ${name} is an outcome`, async (t) => {
    const { acme, dispatcher, endpoint } = await scene(t)
    acme.respond(410)
    const bad = [
      { endpoint, body: '{}', headers: { host: 'elsewhere' } },
      { endpoint, body: '{}', colour: 'red' },
      { endpoint, body: 7 },
      { endpoint: 'acme', body: '{}' },
    ]
    const outcomes = dispatcher.deliverMany(given([...some(endpoint, 2), ...bad]), { concurrency: 1 })
    const errors = (await all(outcomes)).map(({ error }) => error).filter(Boolean)
    assert.ok(errors.every((error) => WebhookMtlsError.is(error)))
    assert.deepEqual(
      errors.map(({ kind }) => kind).sort(),
      ['header_invalid', 'http_status', 'option_invalid', 'option_invalid', 'option_invalid'],
    )
    assert.deepEqual([outcomes.progress.done, outcomes.progress.failed], [6, 5])
  })

  test(`an error thrown by ${name} comes after the outcomes`, async (t) => {
    const { acme, dispatcher, endpoint } = await scene(t)
    function* broken() {
      yield* some(endpoint, 3)
      throw new RangeError('the row is gone')
    }
    await assert.rejects(all(dispatcher.deliverMany(given(broken()))), /the row is gone/)
    assert.equal(acme.received.length, 3)
    await assert.rejects(all(dispatcher.deliverMany(given([null]))), { kind: 'option_invalid' })
  })

  test(`leaving a loop over ${name} cancels deliveries in flight`, async (t) => {
    const { lab, dispatcher, endpoint } = await scene(t)
    const [slow, other] = await stalled(lab, dispatcher)
    let closed = false
    function* fed() {
      try {
        yield* [...some(other, 5), ...some(endpoint, 1), ...some(endpoint, 200)]
      } finally {
        closed = true
      }
    }
    for await (const { receipt } of dispatcher.deliverMany(given(fed()), { concurrency: 8 })) {
      assert.ok(receipt)
      break
    }
    await dispatcher.close({ drainMs: 10_000 })
    assert.ok(slow.received.length <= 5)
    assert.ok(closed)
  })
}

test('a value that is not iterable, and a bad bound, reject', async (t) => {
  const { dispatcher } = await scene(t)
  for (const given of [undefined, null, 7, 'text', {}]) {
    await assert.rejects(all(dispatcher.deliverMany(given)), { kind: 'option_invalid' })
  }
  for (const concurrency of [0, -1, 1.5, NaN, '3']) {
    const outcomes = dispatcher.deliverMany([], { concurrency })
    await assert.rejects(all(outcomes), { kind: 'option_invalid' }, String(concurrency))
  }
  await assert.rejects(all(dispatcher.deliverMany([], { concurency: 3 })), { kind: 'option_invalid' })
  assert.deepEqual(await all(dispatcher.deliverMany([])), [])
})

test('deliveries are taken on demand', async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  let taken = 0
  function* counted() {
    for (const delivery of some(endpoint, 100)) {
      taken += 1
      yield delivery
    }
  }
  const outcomes = dispatcher.deliverMany(counted(), { concurrency: 4 })
  assert.equal(taken, 0)
  let given = 0
  for await (const { error } of outcomes) {
    assert.equal(error, undefined)
    given += 1
    assert.ok(taken <= given + 4 * 4, `${taken} taken, ${given} given`)
  }
  assert.equal(given, 100)
})

test('a slow consumer delays no other', async (t) => {
  const { lab, dispatcher, endpoint } = await scene(t)
  const [slow, other] = await stalled(lab, dispatcher)
  const outcomes = dispatcher.deliverMany([...some(other, 200), ...some(endpoint, 100)])
  for (let given = 0; given < 100; given += 1) {
    assert.equal((await outcomes.next()).value.delivery.endpoint, endpoint)
  }
  assert.deepEqual(outcomes.progress, { done: 100, failed: 0, inFlight: 8, waiting: 192 })
  await outcomes.return()
  assert.ok(slow.received.length <= 8)
})

test('a waiting run can be closed, and a signal cancels one delivery', async (t) => {
  const { lab, dispatcher } = await scene(t)
  const [, other] = await stalled(lab, dispatcher)
  const outcomes = dispatcher.deliverMany(some(other, 3))
  const waiting = outcomes.next()
  await outcomes.return()
  assert.equal((await waiting).done, true)
  const controller = new AbortController()
  const one = dispatcher.deliverMany([{ endpoint: other, body: '{}', signal: controller.signal }])
  const canceled = one.next()
  controller.abort(new Error('enough'))
  const { value } = await canceled
  assert.deepEqual([value.error.kind, value.error.cause.message], ['canceled', 'enough'])
})

test('concurrent calls of next get one outcome each', async (t) => {
  const { lab, dispatcher, endpoint } = await scene(t)
  const bad = { endpoint, body: 7, tag: 'bad' }
  const outcomes = dispatcher.deliverMany([...some(endpoint, 3), bad])
  const given = await Promise.all(Array.from({ length: 6 }, () => outcomes.next()))
  assert.deepEqual(given.map(({ done }) => done), [false, false, false, false, true, true])
  const tags = new Set(given.map(({ value }) => value?.delivery.tag))
  assert.deepEqual(tags, new Set([0, 1, 2, 'bad', undefined]))
  const [, other] = await stalled(lab, dispatcher)
  const waiting = dispatcher.deliverMany(some(other, 1))
  const asked = [waiting.next(), waiting.next(), waiting.return(), waiting.next()]
  assert.ok((await Promise.all(asked)).every(({ done }) => done))
})

test('the source of deliveries may call next and return itself', async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  const asked = []
  function* curious() {
    for (const delivery of some(endpoint, 4)) {
      asked.push(outcomes.next())
      yield delivery
    }
    asked.push(outcomes.return())
  }
  const outcomes = dispatcher.deliverMany(curious(), { concurrency: 1 })
  for await (const { error } of outcomes) assert.equal(error, undefined)
  const results = await Promise.all(asked)
  assert.ok(results.length > 0 && results.every(({ done, value }) => done || value.receipt))
})

test('an abandoned run is collected', async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  let outcomes = dispatcher.deliverMany(some(endpoint, 100), { concurrency: 4 })
  await outcomes.next()
  const forgotten = new WeakRef(outcomes)
  outcomes = undefined
  setFlagsFromString('--expose_gc')
  await new Promise(setImmediate)
  runInNewContext('gc')()
  assert.equal(forgotten.deref(), undefined)
})

test('a body is copied, so later changes have no effect', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const body = new Uint8Array(2)
  function* reused() {
    for (let n = 0; n < 50; n += 1) {
      body.set([48 + Math.floor(n / 10), 48 + (n % 10)])
      yield { endpoint, body, tag: n }
    }
  }
  await all(dispatcher.deliverMany(reused()))
  const bodies = acme.received.map((request) => Buffer.from(request.body).toString()).sort()
  assert.deepEqual(bodies, Array.from({ length: 50 }, (_, n) => String(n).padStart(2, '0')))
})
