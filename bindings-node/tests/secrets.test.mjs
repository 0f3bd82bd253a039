// A secret in a wrong argument is never shown: not in an error, not in a created object, not on the
// terminal. The test finds functions by introspection, and a new function must be added below.
// `cargo xtask test node --dev` leaves this file out: it is slow.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import * as main from 'webhook-mtls'
import * as testing from 'webhook-mtls/testing'

const PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
const NOWHERE = 'https://127.0.0.1:1/'

const secretsOf = (lab) => {
  const key = lab.identityPem.key
  const bodyOf = (pem) => pem.split('\n').slice(1, -2).join('')
  const body = bodyOf(key)
  const partsOf = (text) => Array.from({ length: Math.floor(text.length / 4) - 2 }, (_, at) => text.slice(4 * at, 4 * at + 8))
  // All keys of a kind have the same bytes in some places. A part of the secret is one whose letters
  // another key mostly does not have there; else a new key of the kit would show it by chance.
  const others = partsOf(bodyOf(lab.authority.issue('another').keyPem))
  const letters = partsOf(body).filter((part, at) =>
    Array.from(part).filter((letter, place) => letter === others[at]?.[place]).length < 4)
  return [
    ['PEM', key, letters],
    ['one line', body, letters],
    ['passphrase', 'correct horse battery staple', ['battery']],
    ['hex', '5ec2e70f'.repeat(8), ['5ec2e70f']],
    ['signing secret', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', ['MfKQ9r8G']],
    ['token', 'Bearer mF_9.B5f-4.1JqMmF_9.B5f-4.1JqM', ['mF_9.B5f']],
    ['userinfo', `https://user:${'hunter2/'.repeat(40)}@acme.example/in`, ['hunter2']],
  ]
}

/** How each function is called soundly: its object, and its arguments. */
const callsOf = async (lab, acme) => {
  const dispatcher = lab.dispatcher()
  const reachable = dispatcher.endpoint('reachable', acme.url, { pins: null })
  const probe = await dispatcher.probe(reachable)
  const endpoint = dispatcher.endpoint('acme', NOWHERE, { pins: null })
  const server = { role: 'server', trust: lab.trust }
  const verifier = new main.Verifier(server)
  const issued = acme.issued
  const clients = new main.Verifier({ role: 'client', trust: lab.trust, tenant: main.TenantRule.subjectCn() })
  const token = main.JwtBearer.fromPem(lab.identityPem.key)
  const receiver = new main.WebhookVerifier({ keys: new main.JwtKeys(JSON.stringify(token.publicJwk)) })
  const peer = clients.verify(lab.identityPem.cert)
  const hop = main.Hop.unix('edge')
  return {
    deliver: [undefined, NOWHERE, '', { identity: lab.identity, trust: lab.trust, pins: null }],
    pinOf: [undefined, ''],
    metricsContentType: [undefined, 'prometheus'],
    rememberSignatures: [undefined, true],
    verifyPeer: [undefined, '', server],
    'new Dispatcher': [undefined, {}],
    'Dispatcher.endpoint': [dispatcher, 'acme', NOWHERE, { pins: null }],
    'Dispatcher.remove': [dispatcher, 'nobody'],
    'Dispatcher.deliver': [dispatcher, endpoint, '', {}],
    'Dispatcher.probe': [dispatcher, endpoint, {}],
    'Dispatcher.diagnose': [dispatcher, endpoint, {}],
    'Probe.toObject': [probe, {}],
    'Dispatcher.reload': [dispatcher],
    'Dispatcher.expiries': [dispatcher],
    'Dispatcher.rotationStatus': [dispatcher],
    'Dispatcher.processStatus': [dispatcher, 'web-1'],
    merge: [undefined, [JSON.stringify(dispatcher.processStatus('web-1'))]],
    'Dispatcher.metrics': [dispatcher],
    'Dispatcher.metricsText': [dispatcher, { format: 'prometheus', others: [verifier] }],
    'Dispatcher.retire': [dispatcher, lab.identity, {}],
    'Dispatcher.on': [dispatcher, 'event', () => {}],
    'Dispatcher.deliverMany': [dispatcher, [{ endpoint, body: '' }], {}],
    // Valid arguments would close it.
    'Dispatcher.close': [dispatcher, { drainMs: -1 }],
    'new WebhookMtlsError': [undefined, {}],
    'static WebhookMtlsError.is': [undefined, {}],
    'static WebhookMtlsError.fromJSON': [undefined, {}],
    'WebhookMtlsError.toJSON': [testing.error('internal')],
    'WebhookMtlsError.toObject': [testing.error('internal'), {}],
    'WebhookMtlsError.public': [testing.error('internal')],
    'new Identity': [undefined, {}],
    'static Identity.fromFiles': [undefined, '/dev/null', '/dev/null', {}],
    'static Identity.fromPem': [undefined, '', '', {}],
    'static Identity.fromPkcs12': [undefined, Buffer.alloc(0), ''],
    'static Identity.fromSigner': [undefined, '', () => Buffer.alloc(0), {}],
    'static Identity.fromSignerFile': [undefined, '/dev/null', () => Buffer.alloc(0), {}],
    'new Pins': [undefined, [PIN], []],
    'static Pins.fromFile': [undefined, '/dev/null'],
    'new RetryPolicy': [undefined, {}],
    'RetryPolicy.decide': [new main.RetryPolicy(), testing.error('internal'), { attempt: 1 }],
    'new StandardWebhooks': [undefined, []],
    'static JwtBearer.fromPem': [undefined, lab.identityPem.key, {}],
    'static JwtBearer.fromFile': [undefined, '/dev/null', {}],
    'new JwtKeys': [undefined, JSON.stringify(token.publicJwk), {}],
    'static JwtKeys.fromFile': [undefined, '/dev/null', {}],
    'new WebhookVerifier': [undefined, {}],
    'WebhookVerifier.verifyWebhook': [receiver, peer, [], '', {}],
    'WebhookVerifier.reload': [receiver],
    'WebhookVerifier.on': [receiver, 'event', () => {}],
    'static Hop.address': [undefined, 'edge', '10.0.0.7'],
    'static Hop.secret': [undefined, 'edge', { header: 'x-hop', value: '' }],
    'static Hop.certificate': [undefined, 'edge', new main.Pins([PIN])],
    'static Hop.unix': [undefined, 'edge'],
    'new Trust': [undefined, {}],
    'static Trust.fromFiles': [undefined, '/dev/null', {}],
    'static Trust.fromPem': [undefined, lab.trustPem, {}],
    'static Trust.dangerousPublic': [undefined, lab.trustPem, {}],
    'static Trust.exact': [undefined, lab.trustPem],
    'static Trust.exactFromFile': [undefined, '/dev/null'],
    'static Authorization.sanUris': [undefined, []],
    'static Authorization.trustDomain': [undefined, 'corp'],
    'static Authorization.caMembers': [undefined],
    'static TenantRule.sanUri': [undefined, ''],
    'static TenantRule.sanDnsSuffix': [undefined, ''],
    'static TenantRule.subjectCn': [undefined],
    'new Verifier': [undefined, server],
    'Verifier.verify': [verifier, '', { serverName: 'acme.example' }],
    'Verifier.verifySocket': [verifier, {}, {}],
    'Verifier.verifyForwarded': [clients, [], { dialect: 'rfc9440', hop, remote: 'unix' }],
    'Verifier.checkForwarding': [clients, 'rfc9440', hop],
    'Verifier.countRefusedRequest': [verifier, 'evidence_missing'],
    'Verifier.reload': [verifier],
    'Verifier.expiries': [verifier],
    'Verifier.metrics': [verifier],
    'Verifier.metricsText': [verifier, { format: 'prometheus', others: [dispatcher] }],
    'Verifier.on': [verifier, 'event', () => {}],
    // The testing kit returns the consumer's name unchanged.
    error: [undefined, 'internal', {}],
    setClock: [undefined, 0],
    signaturesChecked: [undefined],
    'static Lab.start': [undefined],
    'Lab.consumer': [lab],
    'Lab.dispatcher': [lab, {}],
    'Lab.nginx': [lab, '127.0.0.1:1'],
    'Lab.writeFiles': [lab, '/dev/null'],
    'Lab.close': [null],
    'new Authority': [undefined],
    'Authority.issue': [lab.authority, 'acme', {}],
    'Authority.crl': [lab.authority, []],
    'Issued.forwarded': [issued, 'rfc9440', {}],
    'Nginx.close': [null],
    'Consumer.waitFor': [acme, 0, { withinMs: 0 }],
    'Consumer.respond': [acme, 200, {}],
    'Consumer.misbehave': [acme, 'stall', 1],
    'Consumer.behave': [acme],
    'Consumer.renew': [acme, {}],
    'Consumer.show': [acme, issued],
    'Consumer.certify': [acme, lab.authority],
    'Consumer.accept': [acme, lab.authority],
    'Consumer.acceptOnly': [acme, lab.authority],
  }
}

// Words and digits can be a name there; what can be nothing but a secret is refused.
const NAMES = new Set([
  'Dispatcher.endpoint 0', 'static Authorization.trustDomain 0', 'static Hop.address 0', 'static Hop.secret 0',
  'static Hop.certificate 0', 'static Hop.unix 0', 'Dispatcher.processStatus 0',
])
// No constructor of the public: made by functions, and they ask for what only those have.
const MADE = new Set([
  'TenantRule', 'Authorization', 'Probe', 'Report', 'Consumer', 'Issued', 'Lab', 'Hop', 'JwtBearer',
  'Nginx',
])
const INTERNAL = new Set(['length', 'name', 'prototype', 'of', 'handle', 'constructor', 'is', 'toJSON', 'toString'])

function functionsOf(module) {
  const found = new Map()
  for (const [name, value] of Object.entries(module)) {
    if (typeof value !== 'function') continue
    const isClass = /^class\b/.test(Function.prototype.toString.call(value))
    if (!isClass) {
      found.set(name, (_, ...given) => value(...given))
      continue
    }
    if (!MADE.has(name)) found.set(`new ${name}`, (_, ...given) => new value(...given))
    for (const key of Object.getOwnPropertyNames(value)) {
      if (!INTERNAL.has(key)) found.set(`static ${name}.${key}`, (_, ...given) => value[key](...given))
    }
    for (const [key, { value: method }] of Object.entries(Object.getOwnPropertyDescriptors(value.prototype))) {
      if (INTERNAL.has(key) || typeof method !== 'function') continue
      found.set(`${name}.${key}`, (self, ...given) => method.apply(self, given))
    }
  }
  return found
}

/** In every shape in which an argument takes text or bytes. */
function shapes(secret, keys) {
  const bytes = Buffer.from(secret)
  const plain = [secret, bytes, [secret], [bytes], { [secret]: 'x' }, { 'x-a': secret }, { 404: secret }]
  return { plain, keyed: keys.flatMap((key) => plain.map((value) => ({ [key]: value }))) }
}

async function shownBy(call, self, given) {
  const shown = (value) => [inspect(value, { depth: 20, showHidden: true }), json(value), text(value)]
  try {
    let made = call(self, ...given)
    if (typeof made?.next === 'function') {
      const outcomes = []
      for await (const { error } of made) outcomes.push(error)
      made = outcomes
    }
    return shown(await made)
  } catch (error) {
    const more = main.WebhookMtlsError.is(error) ? [json(error.public()), json(error.context)] : []
    return [...shown(error), error.message, error.stack, ...more].map(String)
  }
}

const text = (value) => {
  try {
    return String(value)
  } catch {
    return ''
  }
}

const json = (value) => {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return ''
  }
}

async function tryAll() {
  const require = createRequire(import.meta.url)
  const home = dirname(require.resolve('webhook-mtls'))
  const { options } = JSON.parse(require(join(home, 'native.js')).native.tables())
  const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase())
  const keys = [
    ...new Set(options.map(({ name, kind }) => camel(name) + (kind === 'duration' ? 'Ms' : ''))),
    'passphrase', 'intermediates', 'crls', 'distrusted', 'serverName', 'at', 'signal', 'force', 'fleet',
    'preset', 'allow', 'deny', 'nat64', 'attempt', 'noSuch',
  ]
  const lab = await testing.Lab.start()
  const acme = await lab.consumer('acme')
  const calls = await callsOf(lab, acme)
  const functions = new Map([...functionsOf(main), ...functionsOf(testing)])
  const leaks = []
  let tried = 0
  for (const [what, secret, parts] of secretsOf(lab)) {
    const { plain, keyed } = shapes(secret, keys)
    for (const [name, call] of functions) {
      assert.ok(name in calls, `enter ${name} among the calls`)
      const [self, ...sound] = calls[name]
      if (self === null) continue
      for (const [position, one] of sound.entries()) {
        if (NAMES.has(`${name} ${position}`) && (what === 'passphrase' || what === 'hex')) continue
        const isOptions = typeof one === 'object' && Object.getPrototypeOf(one) === Object.prototype
        const values = isOptions ? [...plain, ...keyed.map((value) => ({ ...one, ...value }))] : plain
        for (const value of values) {
          const shown = await shownBy(call, self, sound.with(position, value))
          tried += 1
          const leak = shown.find((text) => parts.some((part) => text.includes(part)))
          if (leak !== undefined) leaks.push(`${name}, argument ${position}: ${what}`)
        }
      }
    }
  }
  await lab.close()
  return { tried, leaks: [...new Set(leaks)] }
}

if (process.env.WEBHOOK_MTLS_TRY_SECRETS === undefined) {
  test('a secret in a wrong argument is never shown', (t) => {
    // This function writes its argument to files.
    const cwd = mkdtempSync(join(tmpdir(), 'webhook-mtls-'))
    t.after(() => rmSync(cwd, { recursive: true }))
    const env = { ...process.env, WEBHOOK_MTLS_TRY_SECRETS: '1' }
    const file = fileURLToPath(import.meta.url)
    // Half a minute is normal. The limit only ends a process that would hang.
    const child = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 600_000, cwd, env })
    assert.deepEqual([child.status, child.stderr], [0, ''])
    const { tried, leaks } = JSON.parse(child.stdout)
    assert.deepEqual(leaks, [])
    assert.ok(tried > 5000, `${tried}`)
  })
} else {
  console.log(JSON.stringify(await tryAll()))
  process.exit(0)
}
