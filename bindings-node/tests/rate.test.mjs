// The rate of an endpoint. No test waits for a token: the next one is due in a thousand seconds.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pins, RetryPolicy } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const SELDOM = 0.001
const A_DAY = 24 * 3_600_000

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const pins = new Pins([acme.pin])
  const limit = (rate) => dispatcher.endpoint('acme', acme.url, { pins, rate })
  return { acme, dispatcher, limit }
}

test('a rate out of range is refused', async (t) => {
  const { limit } = await scene(t)
  for (const wrong of [0, -1, NaN, Infinity, 1_000_001, '10', true]) {
    assert.throws(() => limit(wrong), (error) => {
      assert.deepEqual([error.kind, error.context.option], ['option_invalid', 'rate'])
      return true
    })
  }
})

test('a delivery that would start after its deadline is refused at once', async (t) => {
  const { acme, dispatcher, limit } = await scene(t)
  const endpoint = limit(SELDOM)
  await dispatcher.deliver(endpoint, '{}')
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (error) => {
    assert.deepEqual([error.kind, error.stage, error.sent], ['overloaded', 'admit', 'nothing'])
    assert.equal(error.context.cause, 'rate_awaited')
    assert.ok(error.retryAfterMs > 500_000 && error.retryAfterMs <= 1_000_000)
    const { action, delayMs, counts } = new RetryPolicy().decide(error, { attempt: 1 })
    assert.deepEqual([action, counts], ['retry', false])
    assert.ok(Math.abs(delayMs - error.retryAfterMs) < 10)
    return true
  })
  assert.equal(acme.received.length, 1)
})

test('a waiting delivery is canceled, or starts when the rate is raised', async (t) => {
  const { acme, dispatcher, limit } = await scene(t)
  const endpoint = limit(SELDOM)
  await dispatcher.deliver(endpoint, '{}')
  const controller = new AbortController()
  const canceled = dispatcher.deliver(endpoint, '{}', { timeoutMs: A_DAY, signal: controller.signal })
  const waiting = dispatcher.deliver(endpoint, '{}', { timeoutMs: A_DAY })
  controller.abort()
  await assert.rejects(canceled, { kind: 'canceled' })
  limit(1000)
  assert.equal((await waiting).status, 200)
  assert.equal(acme.received.length, 2)
})
