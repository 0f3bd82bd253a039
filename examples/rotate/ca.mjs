// Lets a consumer change its CA: the trust has two anchors meanwhile.
// Needs tls.crt, tls.key and ca.pem in this directory, the root of the consumer's new CA in
// new-ca.pem, WMTLS_URL and WMTLS_PIN of a consumer whose certificate is of the new CA.

import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  trust: Trust.fromFiles('ca.pem'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
const pins = new Pins([process.env.WMTLS_PIN])
const acme = dispatcher.endpoint('acme', process.env.WMTLS_URL, { pins })
try {
  await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_1' })
  throw new Error('the consumer still has a certificate of the former CA')
} catch (error) {
  if (!WebhookMtlsError.is(error)) throw error
  console.log(`${error.kind}, sent ${error.sent}: ${error.remedy}`)
}

// Both anchors, in one file that is replaced at once. Do this before the consumer changes.
writeFileSync('both.pem', readFileSync('ca.pem', 'utf8') + readFileSync('new-ca.pem', 'utf8'))
renameSync('both.pem', 'ca.pem')
await dispatcher.reload()

const { peer } = await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_1' })
console.log(`delivered, verified by ${peer.anchor}`)
for (const { what, name, fractionLeft } of dispatcher.expiries()) {
  console.log(`${what} ${name}: ${Math.round(fractionLeft * 100)}% of its lifetime left`)
}
await dispatcher.close()
