// Bad input gets a typed error: constructors throw it, promises reject with it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Dispatcher, Identity, pinOf, Pins, rememberSignatures, RetryPolicy, TenantRule, Trust, Verifier,
} from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const invalid = { code: 'WMTLS_OPTION_INVALID', stage: 'config', sent: 'nothing' }
const PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

test('wrong types', () => {
  for (const run of [
    () => Identity.fromFiles(1, 'key'), () => Identity.fromPem({}, ''), () => Identity.fromFiles('a', 'b', { pass: 'x' }),
    () => Trust.fromPem(null), () => Trust.fromPem('', { crls: 'text' }), () => new Pins(PIN.length), () => new Pins([1]),
    () => pinOf(undefined), () => new Dispatcher(5), () => new Dispatcher({ identity: {} }), () => new Dispatcher({ timeoutMs: '5' }),
    () => new Dispatcher({ egress: 5 }), () => new Dispatcher({ egress: { alow: [] } }), () => new Dispatcher({ noSuch: 1 }),
    () => new Dispatcher({ timeout: 5 }), () => new Dispatcher({ timeoutMs: Number.NaN }), () => new Dispatcher({ timeoutMs: -1 }),
    () => new Dispatcher({ timeoutMs: Infinity }), () => new RetryPolicy({ attempts: 0 }), () => new RetryPolicy({ attempts: 1.5 }),
    () => new RetryPolicy().decide(new Error('x'), { attempt: 1 }), () => TenantRule.sanUri(7), () => new Verifier({ role: 'client' }),
    () => new Verifier({ role: 'peer', trust: null }), () => new Pins(['\ud800']), () => new Identity(),
    () => new Trust(), () => rememberSignatures(1), () => rememberSignatures(),
  ]) {
    assert.throws(run, invalid, run.toString())
  }
})

test('an empty set of pins is refused', () => {
  assert.throws(() => new Pins([]), { kind: 'pin_invalid' })
})

test('endpoints and deliveries', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const make = (url, o) => () => dispatcher.endpoint('acme', url, o)
  assert.throws(make(acme.url, {}), invalid)
  assert.throws(make(acme.url, { pins: undefined }), invalid)
  assert.throws(make(acme.url, { pins: [PIN] }), invalid)
  assert.throws(make(acme.url, { pins: null, minTls: '1.1' }), invalid)
  assert.throws(make(acme.url, { pins: null, colour: 'red' }), invalid)
  for (const url of ['http://acme.example/', 'https://user:secret@acme.example/', 'acme', '']) {
    assert.throws(make(url, { pins: null }), (e) => e.kind === 'url_invalid' && !e.message.includes('secret'))
  }
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  for (const [body, o, kind] of [
    [5, {}, 'option_invalid'], [null, {}, 'option_invalid'], ['\ud800', {}, 'option_invalid'],
    ['{}', { headers: { 'x-a': 'b\r\nc: d' } }, 'header_invalid'], ['{}', { headers: { 'x\0': 'b' } }, 'header_invalid'],
    ['{}', { headers: { host: 'b' } }, 'header_invalid'], ['{}', { headers: { 'x-a': 5 } }, 'option_invalid'],
    ['{}', { id: '' }, 'header_invalid'], ['{}', { timeoutMs: 0 }, 'option_invalid'], ['{}', { signal: {} }, 'option_invalid'],
    ['{}', { retries: 3 }, 'option_invalid'], [Buffer.alloc(33 * 1024 * 1024), {}, 'body_too_large'],
  ]) {
    await assert.rejects(dispatcher.deliver(endpoint, body, o), { kind, sent: 'nothing' })
  }
  await assert.rejects(dispatcher.deliver({}, '{}'), invalid)
  await assert.rejects(dispatcher.deliver(endpoint, '{}', 5), invalid)
  assert.equal(acme.connections, 0)
})
