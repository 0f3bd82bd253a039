// Delivers a hundred events, eight at a time, and takes the outcomes as they come.
// Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.

import { Dispatcher, Identity, Pins, Trust } from 'webhook-mtls'

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  trust: Trust.fromFiles('ca.pem'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
const pins = new Pins([process.env.WMTLS_PIN])
const acme = dispatcher.endpoint('acme', process.env.WMTLS_URL, { pins })

// Yields each delivery when the run has room for it.
function* deliveries() {
  // The rows of a table, or the messages of a queue. An async generator works, too.
  for (let row = 0; row < 100; row += 1) {
    yield { endpoint: acme, body: '{"event":"invoice.paid"}', id: `evt_${row}`, tag: row }
  }
}

const delivered = []
const failed = new Map()
for await (const { delivery, error } of dispatcher.deliverMany(deliveries(), { concurrency: 8 })) {
  if (error === undefined) delivered.push(delivery.tag)
  else failed.set(delivery.tag, error) // for RetryPolicy
}
await dispatcher.close()
console.log(`${delivered.length} delivered, ${failed.size} failed`)
process.exitCode = failed.size === 0 ? 0 : 1
