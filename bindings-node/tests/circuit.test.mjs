// The circuit of an endpoint. The shared vectors have its transitions.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pins } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

test('a circuit is opened and reset', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  assert.deepEqual([endpoint.status().circuit, endpoint.status().circuitOpenUntil], ['closed', null])
  for (const wrong of [0, -1, NaN, Infinity, 86_400_001, '60', undefined, null, {}]) {
    assert.throws(() => endpoint.openCircuit(wrong), { kind: 'option_invalid' })
  }
  endpoint.openCircuit(60_000)
  const { circuit, circuitOpenUntil } = endpoint.status()
  assert.equal(circuit, 'open')
  assert.ok(circuitOpenUntil - Date.now() > 50_000)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (error) => {
    assert.deepEqual([error.kind, error.code, error.stage], ['circuit_open', 'WMTLS_CIRCUIT_OPEN', 'admit'])
    assert.ok(error.retryAfterMs > 50_000)
    return true
  })
  assert.equal(acme.connections, 0)
  endpoint.resetCircuit()
  assert.equal(endpoint.status().circuit, 'half_open')
  await dispatcher.deliver(endpoint, '{}')
  assert.equal(endpoint.status().circuit, 'closed')
})
