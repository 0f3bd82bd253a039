// Input of any size gets a typed error: too large input is refused by its length, before it is
// copied. A detached body is not an empty body.
// `cargo xtask test node --dev` leaves this file out: it is slow.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { Identity, Trust } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const PROGRAM = `
const { readFileSync } = require('node:fs')
const wm = require('webhook-mtls')
const { Lab, error } = require('webhook-mtls/testing')
const PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

async function main() {
  const lab = await Lab.start()
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', 'https://127.0.0.1:1/', { pins: null })
  const verifier = new wm.Verifier({ role: 'server', trust: lab.trust })
  const { cert, key } = lab.identityPem
  const own = { identity: lab.identity, trust: lab.trust, pins: null }
  const data = new Uint8Array(3 * 2 ** 30)
  const shared = new Uint8Array(new SharedArrayBuffer(2 ** 30))
  const text = 'x'.repeat(400_000_000)
  const wide = '\\u00e9'.repeat(250_000_000)
  // One piece each, instead of the rope that repeat makes.
  const flat = [text, wide].map((one) => one.charCodeAt(one.length - 1))
  const megabyte = Buffer.alloc(2 ** 20)
  const failure = { ...error('internal').toJSON(), message: text }
  // Started now, so that it needs no memory later.
  await dispatcher.deliver(endpoint, '').catch(() => {})
  if (process.argv[1] === 'measure') {
    return console.log(readFileSync('/proc/self/status', 'utf8').match(/VmSize:\\s+(\\d+)/)[1])
  }
  function* endless(value) { for (;;) yield value }
  const many = async (body) => {
    for await (const { error } of dispatcher.deliverMany([{ endpoint, body }])) throw error
  }
  for (const [name, use] of Object.entries({
    deliver: () => dispatcher.deliver(endpoint, data),
    deliver_text: () => dispatcher.deliver(endpoint, text),
    deliver_wide: () => dispatcher.deliver(endpoint, wide),
    deliver_shared: () => dispatcher.deliver(endpoint, shared),
    deliver_once: () => wm.deliver('https://a.example', data, own),
    deliver_many: () => many(data),
    deliver_many_text: () => many(wide),
    trust_anchors: () => wm.Trust.fromPem(data),
    trust_text: () => wm.Trust.fromPem(text),
    trust_exact: () => wm.Trust.exact(data),
    trust_crls: () => wm.Trust.fromPem(lab.trustPem, { crls: Array(1000).fill('x'.repeat(2 ** 20)) }),
    trust_distrusted: () => wm.Trust.fromPem(lab.trustPem, { distrusted: endless(PIN) }),
    identity_cert: () => wm.Identity.fromPem(text, key),
    identity_key: () => wm.Identity.fromPem(cert, data),
    identity_passphrase: () => wm.Identity.fromPem(cert, key, { passphrase: text }),
    identity_path: () => wm.Identity.fromFiles(text, 'tls.key'),
    pkcs12: () => wm.Identity.fromPkcs12(shared, ''),
    pin_of: () => wm.pinOf(text),
    pins: () => new wm.Pins(endless(PIN)),
    pin: () => new wm.Pins([text]),
    egress: () => new wm.Dispatcher({ egress: { preset: 'public', allow: endless('10.0.0.0/8') } }),
    secrets: () => new wm.StandardWebhooks(endless('whsec_MfKQ')),
    uris: () => wm.Authorization.sanUris(endless('spiffe://corp/a')),
    template: () => wm.TenantRule.sanUri(text),
    verify: () => verifier.verify(text),
    verify_many: () => verifier.verify(Array(200_000).fill(megabyte)),
    verify_name: () => verifier.verify('', { serverName: text }),
    consumer: () => dispatcher.endpoint(text, 'https://a.example', { pins: null }),
    url: () => dispatcher.endpoint('a', text, { pins: null }),
    id: () => dispatcher.deliver(endpoint, '', { id: text }),
    header: () => dispatcher.deliver(endpoint, '', { headers: { 'x-a': text } }),
    header_name: () => dispatcher.deliver(endpoint, '', { headers: { [text]: 'x' } }),
    option: () => new wm.Dispatcher({ [text]: 1 }),
    error: () => new wm.RetryPolicy().decide(failure, { attempt: 1 }),
  })) {
    process.stdout.write(name + ' ')
    try {
      await use()
      console.log('passed')
    } catch (error) {
      console.log(error.kind ?? error)
    }
  }
}
main().then(() => process.exit(0))
`

const EXPECTED = {
  deliver: 'body_too_large', deliver_text: 'body_too_large', deliver_wide: 'body_too_large',
  deliver_shared: 'body_too_large', deliver_once: 'body_too_large', deliver_many: 'body_too_large',
  deliver_many_text: 'body_too_large', trust_anchors: 'pem_invalid', trust_text: 'pem_invalid',
  trust_exact: 'pem_invalid',
  trust_crls: 'pem_invalid', trust_distrusted: 'pin_invalid', identity_cert: 'pem_invalid',
  identity_key: 'pem_invalid', identity_passphrase: 'option_invalid', identity_path: 'option_invalid',
  pkcs12: 'pem_invalid', pin_of: 'pem_invalid', pins: 'pin_invalid', pin: 'pin_invalid',
  egress: 'option_invalid', secrets: 'option_invalid', uris: 'option_invalid', template: 'option_invalid',
  verify: 'pem_invalid', verify_many: 'pem_invalid', verify_name: 'option_invalid',
  consumer: 'option_invalid', url: 'url_invalid', id: 'option_invalid', header: 'header_invalid',
  header_name: 'header_invalid', option: 'option_invalid', error: 'option_invalid',
}

// The limit beyond the child's memory after it has made the large inputs, in KiB.
const SPARE = 256 * 1024

test('large input is refused before it is copied', { skip: process.platform !== 'linux' }, () => {
  const run = (limit, how) => spawnSync('sh', ['-c', `ulimit -v ${limit}; exec "$0" "$@"`, process.execPath, '-e', PROGRAM, how],
    { encoding: 'utf8', timeout: 120_000 })
  const measured = run('unlimited', 'measure')
  assert.equal(measured.status, 0, measured.stderr)
  const child = run(Number(measured.stdout) + SPARE, 'run')
  assert.deepEqual([child.status, child.signal], [0, null], child.stdout.slice(-200) + child.stderr.slice(0, 2000))
  const kinds = Object.fromEntries(child.stdout.trim().split('\n').map((line) => line.split(' ')))
  assert.deepEqual(kinds, EXPECTED)
})

const gone = { kind: 'option_invalid', sent: 'nothing' }

/** Views whose bytes are not there, by how they lost them. */
function lost() {
  const transferred = new TextEncoder().encode('{"amount":100}')
  structuredClone(transferred.buffer, { transfer: [transferred.buffer] })
  const shrunk = new ArrayBuffer(100, { maxByteLength: 200 })
  const [within, tracking] = [new Uint8Array(shrunk, 50, 50), new Uint8Array(shrunk, 60)]
  shrunk.resize(55)
  class Lying extends Uint8Array {
    get length() {
      return 14
    }
  }
  const lying = new Lying(14)
  structuredClone(lying.buffer, { transfer: [lying.buffer] })
  return { transferred, within, tracking, lying }
}

test('detached bytes are not an empty body', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  for (const [how, body] of Object.entries(lost())) {
    await assert.rejects(dispatcher.deliver(endpoint, body), gone, how)
    const own = { identity: lab.identity, trust: lab.trust, pins: null }
    await assert.rejects(import('webhook-mtls').then(({ deliver }) => deliver(acme.url, body, own)), gone, how)
    assert.throws(() => Trust.fromPem(body), gone, how)
    assert.throws(() => Identity.fromPem(body, body), gone, how)
  }
  assert.equal(acme.connections, 0)
  // Those are there.
  for (const body of [new Uint8Array(0), '', new Uint8Array(new SharedArrayBuffer(3))]) {
    assert.equal((await dispatcher.deliver(endpoint, body)).status, 200)
  }
  assert.deepEqual(acme.received.map(({ body }) => body.length), [0, 0, 3])
})

test('a body transferred during preparation is not an empty body', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  const taking = (body) => ({
    aborted: false,
    addEventListener: () => void structuredClone(body.buffer, { transfer: [body.buffer] }),
    removeEventListener: () => {},
  })
  for (const send of [
    (body) => dispatcher.deliver(endpoint, body, { signal: taking(body) }),
    async (body) => {
      const rows = [{ endpoint, body, signal: taking(body) }]
      for await (const { error } of dispatcher.deliverMany(rows)) throw error
    },
  ]) {
    await assert.rejects(send(new TextEncoder().encode('{}')), gone)
  }
  assert.equal(acme.connections, 0)
})

test('a body transferred before deliverMany takes it is an outcome', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  const rows = ['one', 'two', 'three'].map((id) => ({ endpoint, id, body: new TextEncoder().encode(id) }))
  structuredClone(rows[1].body.buffer, { transfer: [rows[1].body.buffer] })
  const outcomes = {}
  for await (const { delivery, receipt, error } of dispatcher.deliverMany(rows)) {
    outcomes[delivery.id] = receipt?.status ?? error.kind
  }
  assert.deepEqual(outcomes, { one: 200, two: 'option_invalid', three: 200 })
  assert.deepEqual(acme.received.map(({ body }) => Buffer.from(body).toString()).sort(), ['one', 'three'])
})
