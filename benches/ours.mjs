// Our Node client: `flight` is 32 chains of promises; `many` and the fleet use deliverMany. The
// same program exists in Rust, C and Python.

import { Dispatcher, Identity, Pins, rememberSignatures, Trust } from 'webhook-mtls'
import { IN_FLIGHT, given, inFlight, measured, oneByOne, urls } from './measure.mjs'

const body = Buffer.alloc(1024, 'x')
const dispatcher = new Dispatcher({
  identity: Identity.fromFiles(given.file('tls.crt'), given.file('tls.key')),
  trust: Trust.fromFiles(given.file('ca.pem')),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] },
  maxConnections: 600,
})
const pins = new Pins([given.pin])
const endpoints = urls().map((url, at) =>
  dispatcher.endpoint(`bench-${at}`, url, { pins, concurrency: IN_FLIGHT }),
)
const endpoint = endpoints[0]
let next = 0

const deliver = async () => (await dispatcher.deliver(endpoint, body)).status === 200

function* deliveries(n) {
  for (let i = 0; i < n; i++) yield { endpoint: endpoints[next++ % endpoints.length], body }
}

async function many(n) {
  let errors = 0
  const outcomes = dispatcher.deliverMany(deliveries(n), { concurrency: IN_FLIGHT })
  for await (const { error } of outcomes) errors += error === undefined ? 0 : 1
  return errors
}

const one = (n) => oneByOne(n, deliver)
const modes = {
  warm: one,
  cold: one,
  cold_unremembered: one,
  flight: (n) => inFlight(n, deliver),
  many,
  fleet: many,
  again: many,
  idle: many,
}
rememberSignatures(given.mode !== 'cold_unremembered')
await measured('node', modes[given.mode])
await dispatcher.close()
