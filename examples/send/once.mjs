// Delivers one event over a connection of its own, for scripts.
// Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.

import { deliver, Identity, Pins, Trust } from 'webhook-mtls'

const receipt = await deliver(process.env.WMTLS_URL, '{"event":"ping"}', {
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  trust: Trust.fromFiles('ca.pem'),
  pins: new Pins([process.env.WMTLS_PIN]),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
console.log(`${receipt.status} from ${receipt.consumer}`)
