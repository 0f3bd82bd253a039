// The statuses of several processes as one. The shared vectors have the rules.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Identity, merge } from 'webhook-mtls'
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

test('an identity is retired if no process of the fleet needs it', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const [one, two] = [lab.dispatcher(), lab.dispatcher()]
  await two.deliver(two.endpoint('acme', acme.url, { pins: null }), '{}')
  const merged = () => merge([JSON.stringify(two.processStatus('two'))])
  const refused = (kind, context) => (error) => {
    assert.equal(error.kind, kind)
    for (const [key, value] of Object.entries(context)) assert.deepEqual(error.context[key], value)
    return true
  }
  const needed = { processes: ['two'], consumers: ['acme'] }
  for (const fleet of [merged(), JSON.stringify(merged())]) {
    assert.throws(
      () => one.retire(lab.identity, { force: true, fleet }), refused('identity_in_use', needed))
  }
  // This process alone has no endpoint that depends.
  assert.deepEqual(one.retire(lab.identity, { fleet: undefined }), [])

  const { certPem, keyPem } = lab.authority.issue('second')
  two.endpoint('acme', acme.url, { pins: null, identity: Identity.fromPem(certPem, keyPem) })
  const fleet = merged()
  assert.throws(() => one.retire(lab.identity, { fleet }), refused('identity_in_use', needed))
  assert.deepEqual(one.retire(lab.identity, { force: true, fleet }), ['acme'])
  fleet.processes[0].at_ms -= 600_000
  assert.throws(
    () => one.retire(lab.identity, { force: true, fleet }),
    refused('option_invalid', { option: 'fleet', cause: 'status_outdated', processes: ['two'] }))
  const cyclic = {}
  cyclic.processes = cyclic
  for (const wrong of [null, 1, '{', {}, [], Buffer.from('{}'), cyclic, { schema: 1n }]) {
    assert.throws(
      () => one.retire(lab.identity, { fleet: wrong }), refused('option_invalid', { option: 'fleet' }))
  }
})
