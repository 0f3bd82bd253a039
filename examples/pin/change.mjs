// Shows the two halves of a change of key: the refusal of an unknown key, and an announced key.
// Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN: the pin that the
// consumer announced.

import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

const { WMTLS_URL: url, WMTLS_PIN: announced } = process.env
// The pin of the key that the consumer had before.
const former = 'sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  trust: Trust.fromFiles('ca.pem'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})

const strict = dispatcher.endpoint('acme', url, { pins: new Pins([former]) })
try {
  await dispatcher.deliver(strict, '{"event":"ping"}', { id: 'evt_1' })
  throw new Error('the consumer still has its former key')
} catch (error) {
  if (!WebhookMtlsError.is(error)) throw error
  console.log(`${error.kind}, sent ${error.sent}, retry ${error.retry}`)
  console.log(`expected ${error.context.expectedPins}`)
  console.log(`observed ${error.context.observedPin}`)
}

// Before the change: the announced key is accepted beside the former one.
const acme = dispatcher.endpoint('acme', url, { pins: new Pins([former], [announced]) })
const receipt = await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_1' })
console.log(`delivered, with the pin ${receipt.pin}`)
if (receipt.pin === 'next') {
  // The change has happened: the announced key is the current one from now on.
  dispatcher.endpoint('acme', url, { pins: new Pins([announced]) })
}
await dispatcher.close()
