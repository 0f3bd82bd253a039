// The worker of the shop: delivers events to its consumers, retries, parks and gives up.

import { Worker } from 'bullmq'
import { Dispatcher, Identity, Pins, Trust } from 'webhook-mtls'
import { createProcessor, release, shutdown, workerOptions } from 'webhook-mtls/bullmq'
import { close, connection, consumer, event, note, queue } from './shop.mjs'

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles('tls.crt', 'tls.key'), // watched, and renewed together
  trust: Trust.fromFiles('ca.pem'),
  // A private network of consumers, such as 127.0.0.0/8. By default, only public addresses pass.
  egress: { preset: 'public', allow: (process.env.WMTLS_ALLOW ?? '').split(' ').filter(Boolean) },
})

const processor = createProcessor({
  dispatcher,
  endpoint(name) {
    const { url, pins, nextPins = [] } = consumer(name)
    return dispatcher.endpoint(name, url, { pins: new Pins(pins, nextPins) })
  },
  body: event,
  onDelivered: (job, { status, tls }) => note(job, `delivered: ${status} over ${tls.version}`),
  onPark: ({ data, error }) => note(data, `parked: ${error.kind}. ${error.remedy}`),
  onDrop: ({ data, sent, decision }) => note(data, `given up: ${decision.reason}, sent ${sent}`),
})
const worker = new Worker('hooks', processor, { connection, ...workerOptions() })
worker.on('error', (error) => console.error(error.message))

// Parked jobs are tried again after an hour, also without a repair.
const sweeper = setInterval(() => release(queue, { parkedForMs: 3_600_000 }), 60_000)

await worker.waitUntilReady()
console.log('the worker is ready')

process.once('SIGTERM', async () => {
  clearInterval(sweeper)
  await shutdown(worker, dispatcher)
  await close()
})
