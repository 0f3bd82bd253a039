// Renews our certificate while a dispatcher runs, and retires the previous one.
// Needs tls.crt, tls.key and ca.pem in this directory, the renewed files tls.crt.new and
// tls.key.new, WMTLS_URL and WMTLS_PIN.

import { renameSync } from 'node:fs'
import { Dispatcher, Identity, Pins, Trust } from 'webhook-mtls'

const previous = Identity.fromFiles('tls.crt', 'tls.key')
const dispatcher = new Dispatcher({
  identity: previous,
  trust: Trust.fromFiles('ca.pem'),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] }, // a receiver on this machine
})
const pins = new Pins([process.env.WMTLS_PIN])
const acme = dispatcher.endpoint('acme', process.env.WMTLS_URL, { pins })
const state = () => dispatcher.rotationStatus().consumers.acme.state

await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_1' })
console.log(`before: ${state()}`)

// What cert-manager or a script of your CA does. A rename never shows half a file.
renameSync('tls.key.new', 'tls.key')
renameSync('tls.crt.new', 'tls.crt')
// Without this call, the dispatcher sees the files within the option `reloadMs`, 10 seconds.
for (const event of await dispatcher.reload()) console.log(event.name, event.fields.message)
console.log(`renewed: ${state()}`)

await dispatcher.deliver(acme, '{"event":"ping"}', { id: 'evt_2' })
console.log(`delivered: ${state()}`)
if (state() !== 'current') {
  throw new Error('the consumer does not accept the new certificate yet: keep the previous')
}
// Every consumer has accepted the new one. From now on the previous is never presented.
dispatcher.retire(previous)
await dispatcher.close()
