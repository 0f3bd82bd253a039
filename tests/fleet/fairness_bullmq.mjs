// The worker and the producer of the fairness measurement in BullMQ: `worker`, or `produce NAME SECONDS RATE ALL`.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import { Dispatcher, Identity, Trust } from 'webhook-mtls'
import { createProcessor, jobsOf, workerOptions } from 'webhook-mtls/bullmq'

const { FLEET: directory, FLEET_REDIS: path } = process.env
const urls = JSON.parse(readFileSync(join(directory, 'urls.json'), 'utf8'))
const connection = { path, maxRetriesPerRequest: null }

function work() {
  const dispatcher = new Dispatcher({
    identity: Identity.fromFiles(join(directory, 'tls.crt'), join(directory, 'tls.key')),
    trust: Trust.fromFiles(join(directory, 'ca.pem')),
    egress: { preset: 'public', allow: ['127.0.0.0/8'] },
  })
  const log = openSync(join(directory, 'delivered'), 'a')
  process.once('exit', () => closeSync(log))
  const processor = createProcessor({
    dispatcher,
    endpoint: (consumer) => dispatcher.endpoint(consumer, urls[consumer], { pins: null }),
    body: () => Buffer.alloc(1024, 'x'),
    onDelivered({ consumer, event }) {
      // The event's id ends with the time at which it was enqueued, in milliseconds.
      const took = Date.now() - Number(event.slice(event.lastIndexOf('-') + 1))
      writeSync(log, `${consumer} ${event} ${took}\n`)
    },
  })
  const worker = new Worker('fairness', processor, { connection, ...workerOptions() })
  worker.on('error', (error) => console.log(error.message))
}

/** A generator of the same numbers in each run. */
function* numbers(seed) {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    yield state
  }
}

async function produce(name, seconds, rate, all) {
  const queue = new Queue('fairness', { connection })
  const consumers = Object.keys(urls)
  const random = numbers(1)
  const start = performance.now()
  let sent = 0
  for (let number = 0; number < seconds * rate; number += 1) {
    await wait(Math.max(0, start + (number * 1000) / rate - performance.now()))
    const consumer = consumers[random.next().value % consumers.length]
    const isHealthy = consumer.startsWith('healthy')
    if (all === 'all' || isHealthy) {
      sent += isHealthy ? 1 : 0
      await queue.addBulk(jobsOf(`${name}-${number}-${Date.now()}`, [consumer]))
    }
  }
  await queue.close()
  console.log(sent)
}

const [order, ...rest] = process.argv.slice(2)
await { worker: work, produce }[order](...rest)
