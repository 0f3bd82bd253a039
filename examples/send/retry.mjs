// Delivers until the consumer has the event, as RetryPolicy decides.
// Needs tls.crt, tls.key and ca.pem in this directory, WMTLS_URL and WMTLS_PIN.

import { setTimeout } from 'node:timers/promises'
import { Dispatcher, Identity, Pins, RetryPolicy, Trust, WebhookMtlsError } from 'webhook-mtls'

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'),
  trust: Trust.fromFiles('ca.pem'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
const pins = new Pins([process.env.WMTLS_PIN])
const acme = dispatcher.endpoint('acme', process.env.WMTLS_URL, { pins })
// The defaults take more than a day: 60 attempts, from 5 seconds to an hour apart.
const policy = new RetryPolicy({ attempts: 8, firstMs: 200 })

let receipt
let attempt = 1
while (receipt === undefined) {
  try {
    receipt = await dispatcher.deliver(acme, '{"event":"invoice.paid"}', { id: 'evt_1' })
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    const decision = policy.decide(error, { attempt })
    console.log(`attempt ${attempt}: ${error.kind}, sent ${error.sent}: ${decision.action}`)
    if (decision.action === 'retry') {
      await setTimeout(decision.delayMs) // a queue schedules the next attempt instead
      if (decision.counts) attempt += 1
    } else if (decision.action === 'park') {
      throw new Error(`hold the deliveries to ${error.consumer}: ${error.remedy}`)
    } else {
      throw new Error(`give up the event: ${decision.reason}`)
    }
  }
}
console.log(`delivered with attempt ${attempt}, answered with ${receipt.status}`)
await dispatcher.close()
