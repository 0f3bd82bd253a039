// Identifies a consumer by its CA and a URI, not by its key, because its key changes often.
// Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_SERVER_URI.

import { Dispatcher, Identity, Trust } from 'webhook-mtls'

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
const acme = dispatcher.endpoint('acme', process.env.WMTLS_URL, {
  pins: null, // a decision: each renewal brings a new key
  trust: Trust.fromFiles('ca.pem'), // the consumer's CA, and no other
  serverUri: process.env.WMTLS_SERVER_URI, // such as spiffe://acme.example/webhooks
})
const { status, peer } = await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_1' })
console.log(`${status} from ${peer.sanUri} with the key ${peer.spkiPin}`)
await dispatcher.close()
