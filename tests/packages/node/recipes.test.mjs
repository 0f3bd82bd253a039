// The programs of the page of the package, as the page shows them.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ADDON, home, KIT, KIT_ADDON, ROOT, TOOLS } from './home.mjs'

let folder
let kit

/** Returns the module of a fenced program, by the name in the comment before it. */
async function recipe(name) {
  const page = await readFile(join(folder.path, 'node_modules', ROOT, 'README.md'), 'utf8')
  const found = page.match(new RegExp(`<!-- test: ${name} -->\n\`\`\`js\n([^]*?)\n\`\`\``))
  assert.ok(found, name)
  return import(pathToFileURL(await folder.write(`${name}.mjs`, found[1])).href)
}

before(async () => {
  folder = await home({ after: (end) => process.once('exit', end) }, [ROOT, ADDON, KIT, KIT_ADDON])
  for (const name of ['bullmq', 'express']) {
    await symlink(join(TOOLS, name), join(folder.path, 'node_modules', name))
  }
  const text = "export { Lab } from 'webhook-mtls/testing'"
  kit = await import(pathToFileURL(await folder.write('kit-of-the-test.mjs', text)).href)
})

async function scene(t) {
  const lab = await kit.Lab.start()
  t.after(() => lab.close())
  const consumer = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  return { lab, consumer, dispatcher }
}

test('the retry recipe delivers, waits, parks and gives up', async (t) => {
  const { consumer, dispatcher } = await scene(t)
  const { attempt } = await recipe('retry')
  const endpoint = dispatcher.endpoint('acme', consumer.url, { pins: null })
  const row = { id: 'evt_1', body: '{}', attempt: 1 }
  assert.deepEqual(await attempt(dispatcher, endpoint, row), { state: 'delivered' })
  consumer.respond(503)
  const waiting = await attempt(dispatcher, endpoint, row)
  assert.deepEqual([waiting.state, waiting.attempt], ['waiting', 2])
  assert.ok(waiting.dueAt > Date.now())
  consumer.respond(503)
  const last = await attempt(dispatcher, endpoint, { ...row, attempt: 8 })
  assert.equal(last.state, 'failed')
  const elsewhere = await dispatcher.endpoint('other', consumer.url, { pins: null })
  consumer.misbehave('never_ask')
  assert.equal((await attempt(dispatcher, elsewhere, row)).state, 'parked')
})

test('the BullMQ recipe obeys the policy', { timeout: 120_000 }, async (t) => {
  const { consumer, dispatcher } = await scene(t)
  const { startWorker } = await recipe('bullmq')
  const entrance = pathToFileURL(join(TOOLS, 'bullmq', 'dist', 'cjs', 'index.js'))
  const { Queue } = await import(entrance.href)
  const socket = join(folder.path, 'redis.sock')
  const flags = ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder.path]
  const redis = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  // `after` keeps the order of its calls, and BullMQ needs Redis to close.
  const open = []
  t.after(async () => {
    for (const each of open.reverse()) await each.close()
    redis.kill()
    if (redis.exitCode === null) await once(redis, 'exit')
  })
  await new Promise((resolve, reject) => {
    redis.stdout.on('data', (text) => /ready to accept connections/i.test(text) && resolve())
    redis.on('exit', (code) => reject(new Error(`redis-server ended with ${code}`)))
  })
  const connection = { path: socket, maxRetriesPerRequest: null }
  const queue = new Queue('webhooks', { connection })
  open.push(queue)
  const worker = startWorker(dispatcher, connection)
  open.push(worker)
  // The kit answers 503 once and asks for the shortest wait.
  consumer.respond(503, { retryAfter: 1 })
  const delayed = once(worker, 'completed')
  const data = { consumer: 'acme', url: consumer.url, pins: [consumer.pin], body: '{}' }
  await queue.add('event', data, { jobId: 'evt_1' })
  const [job, status] = await delayed
  assert.deepEqual([job.id, status, job.data.attempt], ['evt_1', 200, 2])
  assert.deepEqual(consumer.received.map(({ id }) => id), ['evt_1', 'evt_1'])
  consumer.respond(503)
  const failed = once(worker, 'failed')
  await queue.add('event', { ...data, attempt: 60 }, { jobId: 'evt_2' })
  const [dropped] = await failed
  assert.deepEqual([dropped.id, dropped.attemptsMade], ['evt_2', 1])
})

test('the Express recipe passes on verified events and refuses others', async (t) => {
  const { lab, dispatcher } = await scene(t)
  const { createServer } = await recipe('express')
  const { certPem: cert, keyPem: key } = lab.authority.issue('acme', { role: 'server' })
  const seen = []
  const template = 'spiffe://lab.test/tenant/{tenant}'
  const options = { cert, key, trust: lab.trust, template }
  const server = createServer(options, (...event) => seen.push(event))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const url = `https://127.0.0.1:${server.address().port}/webhooks`
  const endpoint = dispatcher.endpoint('express', url, { pins: null })
  const receipt = await dispatcher.deliver(endpoint, '{"event":"ping"}', { id: 'evt_1' })
  assert.equal(receipt.status, 204)
  assert.deepEqual(seen.map(([tenant, id, body]) => [tenant, id, String(body)]), [
    ['dispatcher', 'evt_1', '{"event":"ping"}'],
  ])
})

test('the recipe of the testing kit delivers', async () => {
  const { deliverToTheLab } = await recipe('kit')
  assert.equal(await deliverToTheLab(), 'evt_1')
})
