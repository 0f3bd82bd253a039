// Tokens and received webhooks, with jose and the official Standard Webhooks package as oracles.

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLocalJWKSet, decodeProtectedHeader, exportJWK, importPKCS8, jwtVerify, SignJWT, UnsecuredJWT } from 'jose'
import { Webhook } from 'standardwebhooks'
import {
  Identity, JwtBearer, JwtKeys, StandardWebhooks, TenantRule, Verifier, WebhookVerifier,
} from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const BODY = '{"event":"order.created","name":"Zoë"}'
const [ISSUER, AUDIENCE] = ['https://sender.example', 'https://hooks.acme.example']
const form = {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' },
}
const KEYS = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256', ...form }),
  EdDSA: generateKeyPairSync('ed25519', form),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048, ...form }),
}

/** Delivers one webhook and returns what the consumer received, and the peer that sent it. */
async function sent(t, signing) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const issued = lab.authority.issue('sender')
  const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
  const peer = new Verifier({ role: 'client', trust: lab.trust, tenant }).verify(issued.certPem)
  const acme = await lab.consumer('acme')
  const identity = Identity.fromPem(issued.certPem, issued.keyPem)
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null, identity, signing })
  await dispatcher.deliver(endpoint, BODY, { id: 'evt_1' })
  return { peer, ...acme.received[0] }
}

async function peerOf(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
  const verifier = new Verifier({ role: 'client', trust: lab.trust, tenant })
  return verifier.verify(lab.authority.issue('sender').certPem)
}

const refused = (kind, cause) => (error) => {
  assert.equal(error.kind, kind)
  if (cause) assert.equal(error.context.cause, cause)
  return true
}

for (const [algorithm, { privateKey, publicKey }] of Object.entries(KEYS)) {
  test(`jose accepts our tokens: ${algorithm}`, async (t) => {
    const token = JwtBearer.fromPem(privateKey, {
      issuer: ISSUER, audience: AUDIENCE, subject: 'sender', lifetimeMs: 120_000,
      claims: { tier: 7, name: 'Zoë' }, contentDigest: true,
    })
    assert.equal(token.algorithm, algorithm)
    const { headers, peer } = await sent(t, token)
    const [scheme, text] = headers.authorization.split(' ')
    assert.equal(scheme, 'Bearer')
    assert.deepEqual(decodeProtectedHeader(text), {
      alg: algorithm, kid: token.publicJwk.kid, typ: 'JWT',
    })
    const keys = createLocalJWKSet({ keys: [token.publicJwk] })
    const { payload } = await jwtVerify(text, keys, { issuer: ISSUER, audience: AUDIENCE })
    assert.equal(payload.exp - payload.iat, 120)
    assert.deepEqual([payload.tier, payload.name, payload.sub], [7, 'Zoë', 'sender'])
    assert.deepEqual(payload.cnf, { 'x5t#S256': peer.x5tS256 })
    assert.equal(payload.webhook_id, 'evt_1')
    assert.match(payload.content_digest, /^sha-256=:.+:$/)
  })

  test(`we accept the tokens of jose: ${algorithm}`, async (t) => {
    const peer = await peerOf(t)
    const key = await importPKCS8(privateKey, algorithm)
    const signed = (claims) => new SignJWT({
      cnf: { 'x5t#S256': peer.x5tS256 }, tenant: 'sender', ...claims,
    }).setProtectedHeader({ alg: algorithm, kid: 'theirs' }).setIssuedAt().setIssuer(ISSUER)
      .setAudience([AUDIENCE, 'another']).setExpirationTime('1m').sign(key)
    const jwk = await exportJWK(createPublicKey(publicKey))
    for (const keys of [
      new JwtKeys(publicKey, { keyId: 'theirs' }),
      new JwtKeys(JSON.stringify({ keys: [{ ...jwk, kid: 'theirs' }] })),
    ]) {
      assert.deepEqual(keys.keyIds, ['theirs'])
      const verifier = new WebhookVerifier({
        keys, audience: AUDIENCE, issuer: ISSUER, tenantClaim: 'tenant',
      })
      const verify = (text) =>
        verifier.verifyWebhook(peer, ['Authorization', `Bearer ${text}`], BODY)
      const webhook = await verify(await signed())
      assert.deepEqual(
        [webhook.algorithm, webhook.keyId, webhook.tenant], [algorithm, 'theirs', 'sender'],
      )
      await assert.rejects(
        verify(await signed({ tenant: 'globex' })), refused('tenant_refused', 'token_of_another_tenant'),
      )
      await assert.rejects(
        verify(await signed({ cnf: {} })), refused('token_invalid', 'token_unbound'),
      )
      const unsigned = new UnsecuredJWT({ tenant: 'sender' }).encode()
      await assert.rejects(verify(unsigned), refused('token_invalid', 'token_unsigned'))
    }
  })
}

test('the official package and we accept each other', async (t) => {
  const { body, headers, peer } = await sent(t, new StandardWebhooks([SECRET]))
  const official = new Webhook(SECRET)
  assert.equal(official.verify(Buffer.from(body).toString(), headers).name, 'Zoë')
  const verifier = new WebhookVerifier({ secrets: [SECRET] })
  const webhook = await verifier.verifyWebhook(peer, headers, body)
  assert.deepEqual([webhook.scheme, webhook.secret, webhook.id], ['v1', 1, 'evt_1'])
  const now = new Date()
  const theirs = {
    'Webhook-Id': 'msg_1', 'Webhook-Timestamp': String(Math.floor(now / 1000)),
    'Webhook-Signature': official.sign('msg_1', now, BODY),
  }
  const entries = Object.entries(theirs)
  for (const given of [theirs, entries, entries.flat(), new Headers(theirs)]) {
    assert.equal((await verifier.verifyWebhook(peer, given, BODY)).id, 'msg_1')
  }
  await assert.rejects(verifier.verifyWebhook(peer, theirs, '{}'), refused('signature_invalid'))
  const twice = { ...theirs, 'webhook-id': ['msg_1', 'msg_2'] }
  await assert.rejects(
    verifier.verifyWebhook(peer, twice, BODY), refused('signature_invalid', 'header_repeated'),
  )
})

test('a store may answer later, and marks duplicates', async (t) => {
  const { body, headers, peer } = await sent(t, new StandardWebhooks([SECRET]))
  const ids = new Map()
  const seen = ({ tenant, id, keepUntil }) => {
    const known = ids.has(`${tenant} ${id}`)
    ids.set(`${tenant} ${id}`, keepUntil)
    return known
  }
  const verifier = new WebhookVerifier({ secrets: [SECRET], seen: async (key) => seen(key) })
  await assert.rejects(verifier.verifyWebhook(peer, headers, '[]'))
  assert.equal(ids.size, 0)
  assert.equal((await verifier.verifyWebhook(peer, headers, body)).duplicate, false)
  assert.equal((await verifier.verifyWebhook(peer, headers, body)).duplicate, true)
  const sync = new WebhookVerifier({ secrets: [SECRET], seen })
  assert.equal((await sync.verifyWebhook(peer, headers, body)).duplicate, true)
  assert.ok(ids.get('sender evt_1') - Date.now() > 71 * 3_600_000)
  const away = new WebhookVerifier({ secrets: [SECRET], seen: () => { throw new Error('away') } })
  await assert.rejects(away.verifyWebhook(peer, headers, body), /away/)
  const vague = new WebhookVerifier({ secrets: [SECRET], seen: () => 1 })
  await assert.rejects(vague.verifyWebhook(peer, headers, body), refused('option_invalid'))
})

test('keys of a file are reloaded', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'webhook-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const [path, key] = [join(dir, 'keys.pem'), join(dir, 'token.key')]
  writeFileSync(path, KEYS.EdDSA.publicKey)
  writeFileSync(key, KEYS.ES256.privateKey)
  const { body, headers, peer } = await sent(t, JwtBearer.fromFile(key))
  const verifier = new WebhookVerifier({ keys: JwtKeys.fromFile(path) })
  await assert.rejects(
    verifier.verifyWebhook(peer, headers, body), refused('token_invalid', 'token_key_unknown'),
  )
  writeFileSync(path, KEYS.ES256.publicKey)
  assert.deepEqual(verifier.reload().map(({ name }) => name), ['rotated'])
  assert.equal((await verifier.verifyWebhook(peer, headers, body)).algorithm, 'ES256')
})

test('signing takes one or both', async (t) => {
  const token = JwtBearer.fromPem(KEYS.ES256.privateKey)
  const secrets = new StandardWebhooks([SECRET])
  const { body, headers, peer } = await sent(t, [token, secrets])
  const verifier = new WebhookVerifier({
    keys: { sender: new JwtKeys(JSON.stringify(token.publicJwk)) }, secrets: { sender: [SECRET] },
  })
  const webhook = await verifier.verifyWebhook(peer, headers, body)
  assert.deepEqual([webhook.scheme, webhook.algorithm], ['v1', 'ES256'])
  for (const signing of [[], [token, token], [secrets, 7], 'token', 7, null]) {
    await assert.rejects(sent(t, signing), (error) => {
      assert.deepEqual([error.kind, error.context.option], ['option_invalid', 'signing'])
      return true
    })
  }
})

test('arguments of another type are refused', async (t) => {
  const peer = await peerOf(t)
  const verifier = new WebhookVerifier({ secrets: [SECRET] })
  for (const headers of [7, null, ['a'], [['a', 7]], { a: 7 }]) {
    await assert.rejects(verifier.verifyWebhook(peer, headers, BODY), refused('option_invalid'))
  }
  const forged = { tenant: 'sender', x5tS256: 'a' }
  await assert.rejects(verifier.verifyWebhook(forged, {}, BODY), refused('option_invalid'))
  for (const options of [{}, { secrets: {} }, { keys: {} }, { secrets: [SECRET], seen: 7 }]) {
    assert.throws(() => new WebhookVerifier(options), refused('option_invalid'))
  }
  assert.throws(() => JwtBearer.fromPem(KEYS.ES256.publicKey), refused('pem_invalid'))
  assert.throws(() => new JwtKeys(KEYS.ES256.privateKey), refused('pem_invalid'))
})
