// Every name, kind and option of this package equals the core's table.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import * as esm from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const require = createRequire(import.meta.url)
const home = dirname(require.resolve('webhook-mtls'))
const core = JSON.parse(require(join(home, 'native.js')).native.tables())
const declared = (file) => readFileSync(join(home, file), 'utf8')

// An Ed25519 private key in PKCS#8, and the public key of RFC 8037.
const ED25519 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32)])
const ED25519_JWK = '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'

const union = (file, name) => {
  const [, body] = declared(file).match(new RegExp(`type ${name} = ([^;]*);`))
  return [...body.matchAll(/'([^']*)'/g)].map(([, word]) => word).sort()
}

test('kinds and words', () => {
  assert.deepEqual(union('enums.d.ts', 'KnownKind'), core.kinds.map(({ name }) => name).sort())
  for (const [type, key] of [
    ['Stage', 'stage'], ['Blame', 'blame'], ['Scope', 'scope'], ['Sent', 'sent'], ['Retry', 'retry'],
    ['Action', 'action'], ['CrlPolicy', 'crl_policy'], ['Evidence', 'evidence'], ['Dialect', 'dialect'], ['MinTls', 'min_tls'],
    ['Note', 'note'], ['PinSlot', 'pin'], ['Role', 'role'],
  ]) {
    assert.deepEqual(union('enums.d.ts', type), [...core.words[key]].sort())
  }
  assert.deepEqual(union('testing.d.ts', 'Misbehavior'), [...core.words.misbehavior].sort())
})

test('options', () => {
  const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const keys = (file, name) => {
    const [, body] = declared(file).match(new RegExp(`interface ${name} \\{([^}]*)\\}`))
    return [...body.matchAll(/^\s+(\w+)\??:/gm)].map(([, key]) => snake(key.replace(/Ms$/, ''))).sort()
  }
  const rows = (noun, ...more) => [...core.options.filter(({ of }) => of === noun).map(({ name }) => name), ...more].sort()
  assert.deepEqual(keys('dispatcher.d.ts', 'DispatcherOptions'), rows('dispatcher'))
  assert.deepEqual(keys('endpoint.d.ts', 'EndpointOptions'), rows('endpoint'))
  assert.deepEqual(keys('dispatcher.d.ts', 'DeliverOptions'), rows('deliver', 'signal'))
  assert.deepEqual(keys('dispatcher.d.ts', 'ProbeOptions'), rows('probe', 'signal'))
  assert.deepEqual(keys('dispatcher.d.ts', 'DiagnosisOptions'), rows('diagnosis', 'signal'))
  assert.deepEqual(keys('verifier.d.ts', 'VerifierOptions'), rows('verifier'))
  assert.deepEqual(keys('retry.d.ts', 'RetryPolicyOptions'), rows('retry_policy'))
  assert.deepEqual(keys('signing.d.ts', 'JwtBearerOptions'), rows('jwt_bearer'))
  assert.deepEqual(
    keys('webhook.d.ts', 'WebhookVerifierOptions'), rows('webhook_verifier', 'seen'),
  )
})

test('every option takes its type and refuses another', async () => {
  const lab = await Lab.start()
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const samples = {
    proxy: 'http://127.0.0.1:1', proxy_credentials: 'user:password', server_uri: 'spiffe://corp/a',
    content_type: 'text/plain',
  }
  const valid = ({ name, kind, words }) => {
    const word = core.words[words]?.at(-1)
    return {
      duration: 1500, integer: 2, number: 0.5, flag: true, text: word ?? samples[name] ?? 'a',
      pairs: word ? { 404: word } : { 'x-a': 'b' }, role: word, egress: word, identity: lab.identity,
      trust: lab.trust, pins: new esm.Pins([acme.pin]),
      signing: new esm.StandardWebhooks([`whsec_${'A'.repeat(32)}`]),
      json: { tier: 7 },
      secrets: { acme: [`whsec_${'A'.repeat(32)}`] },
      keys: new esm.JwtKeys(ED25519_JWK),
    }[kind]
  }
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  const take = {
    deliver: (given) => dispatcher.deliver(endpoint, '{}', given),
    probe: (given) => dispatcher.probe(endpoint, given),
    diagnosis: (given) => dispatcher.diagnose(endpoint, given),
    dispatcher: (given) => new esm.Dispatcher({ ...(('proxyCredentials' in given || 'proxyByName' in given) && { proxy: samples.proxy }), ...given }),
    endpoint: (given) => dispatcher.endpoint('b', acme.url, { pins: null, ...given }),
    verifier: (given) => new esm.Verifier({ role: 'server', trust: lab.trust, ...given }),
    retry_policy: (given) => new esm.RetryPolicy(given),
    jwt_bearer: (given) => esm.JwtBearer.fromPem(ED25519, given),
    webhook_verifier: (given) =>
      new esm.WebhookVerifier({ keys: new esm.JwtKeys(ED25519_JWK), ...given }),
  }
  let walked = 0
  for (const row of core.options.filter(({ of }) => of in take)) {
    const camel = row.name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
    const key = row.kind === 'duration' ? `${camel}Ms` : camel
    // A rule for tenants and an authorization are for clients only.
    if (valid(row) !== undefined) await take[row.of]({ [key]: valid(row) })
    await assert.rejects(async () => take[row.of]({ [key]: Symbol('other') }), (error) => {
      assert.equal(error.kind, 'option_invalid', row.name)
      assert.equal(error.context.option, row.name)
      return true
    })
    walked += 1
  }
  assert.equal(walked, core.options.length)
  await dispatcher.close()
  await lab.close()
})

test('require and import give the same classes', () => {
  const cjs = require('webhook-mtls')
  const interop = ['__esModule', 'default', 'module.exports']
  const names = (entry) => Object.keys(entry).filter((name) => !interop.includes(name)).sort()
  assert.deepEqual(names(cjs), names(esm))
  for (const name of names(cjs)) assert.equal(cjs[name], esm[name], name)
  const kit = require('webhook-mtls/testing')
  assert.equal(typeof kit.Lab.start, 'function')
})
