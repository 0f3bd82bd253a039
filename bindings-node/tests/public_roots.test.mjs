// No built-in root of Node passes as a private trust, and they load as a public one.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rootCertificates } from 'node:tls'
import { Trust } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

test('each built-in root alone, beside another, and all of them are refused', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const refused = { kind: 'public_root_in_trust' }
  assert.ok(rootCertificates.length >= 100)
  rootCertificates.forEach((root, at) => {
    assert.throws(() => Trust.fromPem(root), refused, root)
    const other = rootCertificates.at(at - 1)
    assert.throws(() => Trust.fromPem(`${other}\n${root}`), refused, root)
    assert.throws(() => Trust.fromPem(`${lab.trustPem}${root}`), refused, root)
  })
  assert.throws(() => Trust.fromPem(rootCertificates.join('\n')), refused)
})

test('the built-in roots load as a public trust', () => {
  const { notes } = Trust.dangerousPublic(rootCertificates.join('\n'))
  const skipped = notes.filter((note) => note.endsWith('it is skipped'))
  assert.ok(skipped.length <= rootCertificates.length / 20, skipped.join('\n'))
})
