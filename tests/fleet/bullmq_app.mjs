// The fleet in BullMQ: `worker`, `produce START STOP`, `release CONSUMER`, or `sets`, which prints the failed jobs.

import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Queue, Worker } from 'bullmq'
import { Dispatcher, Identity, Pins, RetryPolicy, Trust } from 'webhook-mtls'
import { createProcessor, jobsOf, release, shutdown, workerOptions } from 'webhook-mtls/bullmq'

const { FLEET: directory, FLEET_REDIS: path } = process.env
const urls = JSON.parse(readFileSync(join(directory, 'urls.json'), 'utf8'))
const connection = { path, maxRetriesPerRequest: null }
const note = (...facts) => appendFileSync(join(directory, 'notes'), `${facts.join(' ')}\n`)

/** The policy, which notes each failure. */
class Policy extends RetryPolicy {
  decide(error, options) {
    note('failed', error.consumer, error.id, error.sent, error.kind)
    return super.decide(error, options)
  }
}

function work() {
  const dispatcher = new Dispatcher({
    identity: Identity.fromFiles(join(directory, 'tls.crt'), join(directory, 'tls.key')),
    trust: Trust.fromFiles(join(directory, 'ca.pem')),
    egress: { preset: 'public', allow: ['127.0.0.0/8'] },
    // Circuits would hold jobs back, for a time that depends on the machine.
    circuitFailures: 0,
    reloadMs: 200,
  })
  const processor = createProcessor({
    dispatcher,
    endpoint(consumer) {
      // The file changes meanwhile.
      const known = JSON.parse(readFileSync(join(directory, 'pins.json'), 'utf8'))[consumer]
      return dispatcher.endpoint(consumer, urls[consumer], { pins: known ? new Pins(known) : null })
    },
    body: (event) => JSON.stringify({ event }),
    deliverOptions({ consumer, event }) {
      note('started', consumer, event, process.pid)
      return {}
    },
    policy: new Policy({ attempts: 12, firstMs: 50 }),
    onDelivered: ({ consumer, event }) => note('delivered', consumer, event),
  })
  const times = { lockDuration: 4000, stalledInterval: 1000 }
  const worker = new Worker('hooks', processor, {
    connection,
    ...workerOptions({ concurrency: 4 }),
    ...times,
  })
  worker.on('error', (error) => console.log(error.message))
  process.once('SIGTERM', () => shutdown(worker, dispatcher))
}

const queue = () => new Queue('hooks', { connection })

const orders = {
  worker: work,
  async produce(start, stop) {
    const hooks = queue()
    for (let number = Number(start); number < Number(stop); number += 1) {
      await hooks.addBulk(jobsOf(`evt_${number}`, Object.keys(urls)))
      note('confirmed', `evt_${number}`)
    }
    await hooks.close()
  },
  async release(consumer) {
    const hooks = queue()
    await release(hooks, { consumer })
    await hooks.close()
  },
  async sets() {
    const hooks = queue()
    const failed = await hooks.getFailed(0, -1)
    const jobs = failed.map(({ data, failedReason }) => [data.consumer, data.event, failedReason])
    console.log(JSON.stringify({ failed: jobs }))
    await hooks.close()
  },
}

const [order, ...rest] = process.argv.slice(2)
await orders[order](...rest)
