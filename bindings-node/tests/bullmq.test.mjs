// A real worker of BullMQ on a real Redis.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { test } from 'node:test'
import { Queue, Worker } from 'bullmq'
import { RetryPolicy, WebhookMtlsError } from 'webhook-mtls'
import {
  backoffStrategy,
  createProcessor,
  jobId,
  jobOptions,
  jobsOf,
  release,
  shutdown,
  workerOptions,
} from 'webhook-mtls/bullmq'
import { Lab } from 'webhook-mtls/testing'

const TIMEOUT = { timeout: 120_000 }

/** Ends what a test has started, the last first: clients of a Redis that is gone would wait for it. */
function ending(t) {
  const all = []
  t.after(async () => {
    for (const end of all.reverse()) await end()
  })
  return (end) => all.push(end)
}

/** Starts a Redis of the test's own; returns its socket. */
async function redis(atEnd) {
  const directory = await mkdtemp(join(tmpdir(), 'bullmq-'))
  const path = join(directory, 'redis.sock')
  const server = spawn(
    'redis-server',
    ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory],
    { stdio: 'ignore' },
  )
  atEnd(async () => {
    server.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  })
  await eventually('Redis accepts', () => {
    assert.equal(server.exitCode, null, 'Redis has ended')
    return new Promise((done) => {
      const probe = connect(path, () => {
        probe.destroy()
        done(true)
      })
      probe.on('error', () => done(false))
    })
  })
  return path
}

async function eventually(what, isSo) {
  const end = Date.now() + 100_000
  for (;;) {
    const state = await isSo()
    if (state) return state
    assert.ok(Date.now() < end, `not in time: ${what}`)
    await pause(20)
  }
}

/** A lab, a dispatcher, a queue, and what the callbacks were told. */
async function scene(t, more = {}) {
  const atEnd = ending(t)
  const path = await redis(atEnd)
  const connection = { path, maxRetriesPerRequest: null }
  const lab = await Lab.start()
  atEnd(() => lab.close())
  const dispatcher = lab.dispatcher()
  atEnd(() => dispatcher.close())
  const consumers = {}
  const told = { delivered: [], parked: [], dropped: [] }
  const queue = new Queue('hooks', { connection })
  atEnd(() => queue.close())
  const processor = createProcessor({
    dispatcher,
    endpoint: (name) => dispatcher.endpoint(name, consumers[name].url, { pins: null }),
    body: async (event) => `body of ${event}`,
    deliverOptions: ({ consumer }) => ({ headers: { 'x-consumer': consumer } }),
    policy: new RetryPolicy({ attempts: 2, firstMs: 20 }),
    onDelivered: (data, receipt) => told.delivered.push([data.consumer, data.event, receipt.status]),
    onPark: ({ data, error, attempt }) => told.parked.push([data.consumer, error.kind, attempt]),
    onDrop: ({ data, sent, attempt }) => {
      told.dropped.push([data.consumer, sent, attempt])
      throw new Error('a callback that fails changes nothing')
    },
    ...more,
  })
  const start = () => {
    const worker = new Worker('hooks', processor, { connection, ...workerOptions() })
    atEnd(() => worker.close())
    return worker
  }
  const consumer = async (name) => (consumers[name] = await lab.consumer(name))
  return { atEnd, lab, dispatcher, queue, told, start, consumer, connection }
}

const warnings = []
process.on('warning', (warning) => warnings.push(warning.message))

test('a worker settles each job as the policy decides', TIMEOUT, async (t) => {
  const { queue, told, start, consumer } = await scene(t)
  const [acme, busy, gone, unasked, weary] = await Promise.all(
    ['acme', 'busy', 'gone', 'unasked', 'weary'].map(consumer),
  )
  busy.respond(503)
  gone.respond(410, { times: 0 })
  unasked.misbehave('never_ask')
  weary.respond(503, { times: 2 })
  start()
  await queue.addBulk(jobsOf('evt:1', ['acme', 'busy', 'gone', 'unasked', 'weary', 'unknown']))
  await eventually('all are settled', () => told.delivered.length === 2 && told.dropped.length === 2)
  await eventually('one is parked', () => told.parked.length === 1)
  assert.deepEqual(told.delivered.sort(), [
    ['acme', 'evt:1', 200],
    ['busy', 'evt:1', 200],
  ])
  assert.deepEqual(told.parked, [['unasked', 'client_auth_not_requested', 1]])
  assert.deepEqual(told.dropped.sort(), [
    ['gone', 'all', 1],
    ['weary', 'all', 2],
  ])
  assert.deepEqual([acme.received[0].id, acme.received[0].headers['x-consumer']], ['evt:1', 'acme'])
  const failed = await eventually('three have failed', async () => {
    const jobs = await queue.getFailed()
    return jobs.length === 3 && jobs
  })
  const reasons = failed.map(({ failedReason }) => failedReason.split(': ').slice(0, 2).join(': '))
  assert.deepEqual(reasons.sort(), [
    'dead, sent all: http_status',
    'dead, sent all: http_status',
    'parked, sent nothing: client_auth_not_requested',
  ])
  assert.ok(warnings.includes('a callback that fails changes nothing'))
  // A row that is not there waits, and has lost no attempt.
  const [waiting] = await queue.getDelayed()
  assert.deepEqual([waiting.data.consumer, waiting.attemptsMade], ['unknown', 0])

  assert.equal(await release(queue, { consumer: 'acme' }), 0)
  assert.equal(await release(queue, { parkedForMs: 3_600_000 }), 0)
  assert.equal(await release(queue, { consumer: 'unasked' }), 1)
  await eventually('the released job is delivered', () => told.delivered.length === 3)
  assert.equal(unasked.received.length, 1, 'the parked attempt has sent nothing')
})

test('a circuit that is open costs no attempt', TIMEOUT, async (t) => {
  const { dispatcher, queue, told, start, consumer } = await scene(t)
  const acme = await consumer('acme')
  dispatcher.endpoint('acme', acme.url, { pins: null }).openCircuit(600_000)
  start()
  const job = await queue.add('deliver', { consumer: 'acme', event: 'evt_1' })
  await eventually('it is delayed', () => job.isDelayed())
  const [waiting] = await queue.getDelayed()
  assert.ok(waiting.delay > 500_000 && waiting.attemptsMade === 0, JSON.stringify(waiting))
  assert.deepEqual([told.parked, told.dropped, acme.received.length], [[], [], 0])
})

test('a job without our options is never given up by BullMQ', TIMEOUT, async (t) => {
  const { queue, told, start, consumer } = await scene(t)
  const acme = await consumer('acme')
  acme.respond(503)
  start()
  await queue.add('deliver', { consumer: 'acme', event: 'evt_1' })
  await eventually('it is delivered', () => told.delivered.length === 1)
  assert.equal(acme.received.length, 2)
})

for (const first of ['worker', 'dispatcher', 'shutdown']) {
  test(`no job is lost if they are closed in the order: ${first}`, TIMEOUT, async (t) => {
    const { dispatcher, queue, start, consumer } = await scene(t)
    const acme = await consumer('acme')
    acme.misbehave('stall', 0)
    const worker = start()
    await queue.addBulk(jobsOf('evt_1', ['acme']))
    await eventually('it is under way', () => acme.received.length === 1)
    if (first === 'worker') {
      const closed = worker.close()
      await dispatcher.close()
      await closed
    } else if (first === 'dispatcher') {
      await dispatcher.close()
      await worker.close()
    } else {
      await shutdown(worker, dispatcher, { drainMs: 0 })
    }
    const counts = await queue.getJobCounts()
    assert.deepEqual([counts.delayed, counts.failed, counts.active], [1, 0, 0], JSON.stringify(counts))
    const [waiting] = await queue.getDelayed()
    assert.equal(waiting.attemptsMade, 0)
  })
}

test('names of jobs are unambiguous, and BullMQ takes them', TIMEOUT, async (t) => {
  const { queue } = await scene(t)
  const pairs = [
    ['a/b', 'c'],
    ['b', 'c/a'],
    ['b:', 'c'],
    ['1', '2'],
    ['\ud800', 'é'],
  ]
  const names = pairs.map(([consumer, event]) => jobId({ consumer, event }))
  assert.equal(new Set(names).size, pairs.length)
  for (const [consumer, event] of pairs) {
    const data = { consumer, event }
    await queue.add('deliver', data, jobOptions(data))
    await queue.add('deliver', data, jobOptions(data))
  }
  assert.equal((await queue.getJobCounts()).waiting, pairs.length)
})

test('the delay of a foreign error is ours', () => {
  assert.equal(backoffStrategy(1, 'webhook-mtls', new Error('any')), 5000)
  assert.equal(WebhookMtlsError.is(new Error('any')), false)
})

test('the program of the page runs', TIMEOUT, async (t) => {
  const page = await readFile(new URL('../../docs/queues/bullmq.md', import.meta.url), 'utf8')
  const [module, producer] = [...page.matchAll(/```js\n([^]*?)```/g)].map(([, text]) => text)
  const { atEnd, lab, connection } = await scene(t)
  const acme = await lab.consumer('acme')
  const files = await mkdtemp(join(tmpdir(), 'page-'))
  t.after(() => rm(files, { recursive: true, force: true }))
  await lab.writeFiles(files)
  // The consumer and the broker of the test are on this machine, and packages are beside the test.
  const text = `${module}\n${producer}`
    .replace('https://hooks.acme.example/in', acme.url)
    .replaceAll("'tls.", `'${files}/tls.`)
    .replace("'ca.pem'", `'${files}/ca.pem'`)
    .replace("{ host: 'localhost' }", JSON.stringify(connection))
    .replace('new Dispatcher({', "new Dispatcher({ egress: { preset: 'public', allow: ['127.0.0.0/8'] },")
  const program = new URL(`page-${process.pid}.mjs`, import.meta.url)
  await writeFile(program, `${text}\nexport { queue, worker, dispatcher }`)
  t.after(() => rm(program, { force: true }))
  const { queue, worker, dispatcher } = await import(pathToFileURL(program.pathname).href)
  atEnd(() => queue.close())
  await eventually('it is delivered', () => acme.received.length === 1)
  await shutdown(worker, dispatcher)
  assert.equal(acme.received[0].id, 'evt_1')
})
