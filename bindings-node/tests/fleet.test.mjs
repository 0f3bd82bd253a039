// The statuses of several processes as one. The shared vectors have the rules.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { merge } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

test('the statuses of two processes are merged', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const [one, two] = [lab.dispatcher(), lab.dispatcher()]
  await one.deliver(one.endpoint('acme', acme.url, { pins: null }), '{}')
  two.endpoint('acme', acme.url, { pins: null }).openCircuit(600_000)
  const fleet = merge([one.processStatus('one'), two.processStatus('two')].map((it) => JSON.stringify(it)))
  const known = fleet.consumers.acme
  assert.deepEqual(fleet.processes.map((it) => it.process), ['one', 'two'])
  assert.equal(known.state, 'current')
  assert.deepEqual(known.state_by, { current: ['one'], unknown: ['two'] })
  assert.equal(known.circuit, 'open')
  assert.deepEqual(known.circuit_by, { open: ['two'], closed: ['one'] })
  assert.deepEqual(Object.values(fleet.identities), [{ wanted_by: ['one', 'two'], accepted_by: ['acme'] }])
})

test('what is no status is refused', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const dispatcher = lab.dispatcher()
  const refused = (option) => (error) => {
    assert.deepEqual([error.kind, error.context.option], ['option_invalid', option])
    return true
  }
  for (const name of ['', 'a\nb', 'x'.repeat(257), 1, undefined]) {
    assert.throws(() => dispatcher.processStatus(name), refused('process'))
  }
  const status = JSON.stringify(dispatcher.processStatus('one'))
  for (const wrong of [[], [status, status], ['{}'], status, [JSON.parse(status)], null]) {
    assert.throws(() => merge(wrong), refused('statuses'))
  }
  // 1000 endpoints take more than the limit of other texts.
  assert.deepEqual(merge([status + ' '.repeat(200_000)]).consumers, {})
})
