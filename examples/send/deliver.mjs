// Delivers one event and reads its receipt, or its error.
// Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.

import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  trust: Trust.fromFiles('ca.pem'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
const pins = new Pins([process.env.WMTLS_PIN])
const acme = dispatcher.endpoint('acme', process.env.WMTLS_URL, { pins })

try {
  const { id, status, elapsedMs, peer, tls, pin, attempts, response } = await dispatcher.deliver(
    acme,
    JSON.stringify({ event: 'invoice.paid' }),
    { id: 'evt_1', headers: { 'x-event': 'invoice.paid' }, timeoutMs: 10_000 },
  )
  console.log(`${id} was answered with ${status} in ${elapsedMs} ms`)
  console.log(`by ${peer.subject} over ${tls.version} with the pin ${pin}`)
  console.log(`attempts: ${attempts} response: ${Buffer.from(response.excerpt)}`)
} catch (error) {
  if (!WebhookMtlsError.is(error)) throw error
  console.error(`${error.kind}: ${error.message}\n${error.remedy}\n${error.help}`)
  if (error.sent === 'nothing') console.error('the consumer does not have the event')
  else console.error('the consumer may have the event: send it again with the same id')
  process.exitCode = 1
} finally {
  await dispatcher.close()
}
