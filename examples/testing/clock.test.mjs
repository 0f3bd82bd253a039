// Tests what happens when certificates grow old. Run it with `node --test`.

import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { Pins } from 'webhook-mtls'
import { Lab, setClock } from 'webhook-mtls/testing'

const HOUR = 3_600_000

// Moves the clock of the library; Date stays.
const advance = (hours) => setClock(new Date(Date.now() + hours * HOUR))
afterEach(() => setClock(null))

test('certificates grow old', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const acme = await lab.consumer('acme') // certificates of a lab are valid for a day
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  await dispatcher.deliver(endpoint, '{}')

  advance(22)
  const events = await dispatcher.reload()
  const old = events.filter(({ name }) => name === 'expiry').map(({ fields }) => fields.what)
  assert.ok(old.includes('identity') && old.includes('consumer'))
  assert.ok(dispatcher.expiries()[0].fractionLeft < 0.1)

  advance(48)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), {
    code: 'WMTLS_CLIENT_CERTIFICATE_UNUSABLE', // ours has expired
    blame: 'ours',
  })
})
