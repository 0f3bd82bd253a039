// Verification of peers without a connection.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  Authorization, pinOf, Pins, rememberSignatures, TenantRule, Trust, Verifier, verifyPeer,
} from 'webhook-mtls'
import { Authority, Lab, signaturesChecked } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const chain = lab.identityPem.cert
  const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
  return { chain, tenant, trust: lab.trust }
}

test('a client is identified by its tenant, from PEM and from DER', async (t) => {
  const { chain, tenant, trust } = await scene(t)
  const verifier = new Verifier({ role: 'client', trust, tenant, pins: new Pins([pinOf(chain)]) })
  const blocks = chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)
  const ders = blocks.map((block) => new Uint8Array(new X509Certificate(block).raw))
  for (const given of [chain, Buffer.from(chain), ders, Buffer.concat(ders)]) {
    const peer = verifier.verify(given)
    assert.deepEqual(
      [peer.tenant, peer.spkiPin, peer.matchedPin, peer.evidence],
      ['dispatcher', pinOf(chain), pinOf(chain), 'asserted'],
    )
  }
  const leaf = new X509Certificate(blocks[0])
  const peer = verifier.verify(chain)
  assert.equal(peer.notAfter.getTime(), Date.parse(leaf.validTo))
  assert.equal(peer.fingerprint, leaf.fingerprint256.replaceAll(':', '').toLowerCase())
  assert.equal(peer.toJSON().not_after_ms, peer.notAfter.getTime())
  assert.equal(JSON.parse(JSON.stringify({ peer })).peer.spki_pin, peer.spkiPin)
})

test('CRLs may have more than one mebibyte', async (t) => {
  const authority = new Authority('large')
  const issued = authority.issue('acme')
  const { rootPem: anchors, intermediatePem: intermediates } = authority
  const crls = authority.crl().toString().repeat(3000) + authority.crl([issued])
  assert.ok(crls.length > 2 ** 20)
  const directory = await mkdtemp(join(tmpdir(), 'webhook-mtls-'))
  t.after(() => rm(directory, { recursive: true }))
  const at = (name) => join(directory, name)
  const files = { 'ca.pem': anchors, 'intermediates.pem': intermediates, 'crl.pem': crls }
  for (const [name, text] of Object.entries(files)) await writeFile(at(name), text)
  const read = Trust.fromFiles(at('ca.pem'), {
    intermediates: at('intermediates.pem'), crls: at('crl.pem'),
  })
  for (const trust of [read, Trust.fromPem(anchors, { intermediates, crls: [crls] })]) {
    assert.deepEqual(trust.notes, [])
    const options = { role: 'client', trust, authorization: Authorization.caMembers() }
    assert.throws(() => verifyPeer(issued.certPem, options), { kind: 'certificate_revoked' })
  }
  const tooLarge = Buffer.alloc(64 * 2 ** 20 + 1)
  assert.throws(() => Trust.fromPem(anchors, { crls: [tooLarge] }), { kind: 'pem_invalid' })
})

test('a CRL in the wrong file is a note and names the certificates', () => {
  const authority = new Authority('misplaced')
  const issued = authority.issue('acme')
  const trust = Trust.fromPem(authority.rootPem + authority.crl([issued]))
  assert.match(trust.notes[0], /revocation is not checked/)
  const options = { role: 'client', trust, authorization: Authorization.caMembers() }
  const peer = verifyPeer(issued.certPem, options)
  assert.deepEqual(peer.notes, ['revocation_unchecked'])
  assert.deepEqual(peer.revocationUnchecked, peer.path.slice(0, -1))
  assert.deepEqual(peer.toJSON().revocation_unchecked, peer.path.slice(0, -1))
})

test('signatures are cached unless the cache is off', async (t) => {
  const { chain, tenant, trust } = await scene(t)
  const verifier = new Verifier({ role: 'client', trust, tenant })
  const checked = () => {
    const before = signaturesChecked()
    verifier.verify(chain)
    return signaturesChecked() - before
  }
  rememberSignatures(false)
  const each = checked()
  assert.ok(each > 0)
  assert.equal(checked(), each)
  rememberSignatures(true)
  assert.equal(checked(), each)
  assert.equal(checked(), 0)
})

test('the verdict is for the given instant', async (t) => {
  const { chain, tenant, trust } = await scene(t)
  const stage = 'verify'
  const judge = (at) => () => verifyPeer(chain, { role: 'client', trust, tenant, at })
  assert.throws(judge(new Date('2001-01-01')), { kind: 'certificate_not_yet_valid', stage })
  assert.throws(judge(new Date('2100-01-01')), { kind: 'certificate_expired', stage })
  assert.throws(judge(new Date(Number.NaN)), { kind: 'option_invalid' })
  assert.throws(judge(Date.now()), { kind: 'option_invalid' })
  assert.equal(judge(undefined)().tenant, 'dispatcher')
})

test('a verifier for clients needs a rule', async (t) => {
  const { chain, trust } = await scene(t)
  assert.throws(() => new Verifier({ role: 'client', trust }), { kind: 'option_invalid' })
  const members = { role: 'client', trust, authorization: Authorization.caMembers() }
  assert.equal(verifyPeer(chain, members).evidence, 'asserted')
  const others = { ...members, authorization: Authorization.trustDomain('elsewhere.test') }
  assert.throws(() => verifyPeer(chain, others), { kind: 'not_authorized', stage: 'verify' })
  for (const more of [{ serverName: 'a.test' }, { colour: 'red' }]) {
    assert.throws(() => verifyPeer(chain, { ...members, ...more }), { kind: 'option_invalid' })
  }
})
