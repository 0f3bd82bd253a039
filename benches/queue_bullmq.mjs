// Measures the CPU time of a delivery through BullMQ, beside a job that does nothing.
//
//     node queue_bullmq.mjs N URL DIRECTORY   (with tls.crt, tls.key and ca.pem)
//
// One process adds the jobs before it measures, and then works them off with 16 at once. The CPU time is that of
// the process, as the kernel counts it. All processors send 1 KiB to one nginx, over connections that stay open.
// Redis is on a Unix socket, without a disk. Prints one JSON line: the median microseconds of a delivery of each
// kind. It needs webhook-mtls, bullmq and undici beside it, and a receiver such as receiver.py.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import { Pool } from 'undici'
import { Dispatcher, Identity, Trust } from 'webhook-mtls'
import { createProcessor, jobsOf, workerOptions } from 'webhook-mtls/bullmq'

const ROUNDS = 5
const AT_ONCE = 16
const [count, url, material] = process.argv.slice(2)
const file = (name) => join(material, name)
const body = Buffer.alloc(1024, 'x')

async function redis(directory) {
  const path = join(directory, 'redis.sock')
  const words = ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory]
  const server = spawn('redis-server', words, { stdio: 'ignore' })
  const answers = () =>
    new Promise((resolve) => {
      const probe = createConnection(path)
      probe.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
  while (!(await answers())) await wait(20)
  return { path, server }
}

const dispatcher = new Dispatcher({
  identity: Identity.fromFiles(file('tls.crt'), file('tls.key')),
  trust: Trust.fromFiles(file('ca.pem')),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] },
})
const endpoint = (consumer) =>
  dispatcher.endpoint(consumer, url, { pins: null, concurrency: AT_ONCE })

const { origin, pathname } = new URL(url)
const pool = new Pool(origin, {
  connections: AT_ONCE,
  pipelining: 1,
  connect: {
    cert: readFileSync(file('tls.crt')),
    key: readFileSync(file('tls.key')),
    ca: readFileSync(file('ca.pem')),
  },
})

/** What each kind does with a job. */
const kinds = {
  empty: async () => {},
  '`createProcessor`': createProcessor({ dispatcher, endpoint, body: () => body }),
  '`dispatcher.deliver`, in a processor of your own': async ({ data }) => {
    await dispatcher.deliver(endpoint(data.consumer), body, { id: data.event })
  },
  'undici, a pool for each process': async ({ data }) => {
    const headers = { 'content-type': 'application/json', 'webhook-id': data.event }
    const answer = await pool.request({ method: 'POST', path: pathname, headers, body })
    await answer.body.dump()
    if (answer.statusCode >= 300) throw new Error(`${answer.statusCode}`)
  },
}

/** Works off jobs of one kind, and returns the CPU time of each in microseconds. */
async function measured(connection, kind, jobs, round) {
  const name = `${Object.keys(kinds).indexOf(kind)}-${round}`
  const queue = new Queue(name, { connection })
  const events = Array.from({ length: jobs }, (_, at) => `evt_${at}`)
  await queue.addBulk(events.flatMap((event) => jobsOf(event, ['acme'])))
  let left = jobs
  const worker = new Worker(name, kinds[kind], {
    connection,
    ...workerOptions({ concurrency: AT_ONCE }),
    autorun: false,
  })
  const done = new Promise((resolve, reject) => {
    worker.on('completed', () => {
      left -= 1
      if (!left) resolve()
    })
    worker.on('failed', (_, error) => reject(error))
    worker.on('error', reject)
  })
  await worker.waitUntilReady()
  const before = process.cpuUsage()
  worker.run().catch(() => {})
  await done
  const used = process.cpuUsage(before)
  await worker.close()
  await queue.close()
  return (used.user + used.system) / jobs
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

const directory = mkdtempSync(join(tmpdir(), 'queue-'))
const { path, server } = await redis(directory)
try {
  const connection = { path, maxRetriesPerRequest: null }
  const seen = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]))
  // The first rounds warm up.
  for (let round = -2; round < ROUNDS; round += 1) {
    for (const kind of Object.keys(kinds)) {
      const cost = await measured(connection, kind, Number(count), round)
      if (round >= 0) seen[kind].push(cost)
    }
  }
  const costs = Object.entries(seen).map(([kind, each]) => [kind, Math.round(median(each))])
  console.log(JSON.stringify({ costs: Object.fromEntries(costs), rounds: seen }))
} finally {
  server.kill()
  await pool.close()
  await dispatcher.close()
  rmSync(directory, { recursive: true, force: true })
}
