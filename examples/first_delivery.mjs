// Delivers one webhook over mutual TLS. Run it in the directory of tls.crt, tls.key and ca.pem.

import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

const url = process.env.WMTLS_URL // https://hooks.acme.example/in
const pin = process.env.WMTLS_PIN // sha256/…, the consumer's key

let dispatcher
try {
  dispatcher = new Dispatcher({
    identity: Identity.fromFiles('tls.crt', 'tls.key'),
    trust: Trust.fromFiles('ca.pem'),
    // Allows a receiver on this machine. By default only public addresses are allowed.
    egress: { preset: 'public', allow: ['127.0.0.0/8'] },
  })
  const acme = dispatcher.endpoint('acme', url, { pins: new Pins([pin]) })
  const receipt = await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_1' })
  console.log(`${receipt.status} from ${receipt.peer.subject}`)
} catch (error) {
  if (!WebhookMtlsError.is(error)) throw error
  const { kind, message, blame, sent, retry, remedy } = error
  console.error(`${kind}: ${message}\nblame: ${blame}, sent: ${sent}, retry: ${retry}\n${remedy}`)
  process.exitCode = 1
} finally {
  await dispatcher?.close()
}
