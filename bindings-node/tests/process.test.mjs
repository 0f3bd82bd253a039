// Processes, threads and files: what keeps a process alive, and how the package loads.
// `cargo xtask test node --dev` leaves this file out: it is slow.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { Lab } from 'webhook-mtls/testing'

const require = createRequire(import.meta.url)
const home = dirname(dirname(require.resolve('webhook-mtls')))

const DELIVERY = `
  const { Lab } = require('webhook-mtls/testing')
  const { parentPort } = require('node:worker_threads')
  const tell = parentPort ? (word) => parentPort.postMessage(word) : console.log
  Lab.start().then(async (lab) => {
    // Collecting the lab would close its receivers.
    globalThis.lab = lab
    const acme = await lab.consumer('acme')
    const dispatcher = lab.dispatcher()
    const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
    // Not awaited: the delivery itself must keep the loop alive until this has run.
    dispatcher.deliver(endpoint, '{}').then((receipt) => tell(receipt.status))
  })`

test('a delivery in flight keeps the process alive', () => {
  const child = spawnSync(process.execPath, ['-e', DELIVERY], { encoding: 'utf8', timeout: 30_000 })
  assert.deepEqual([child.status, child.stdout.trim()], [0, '200'], child.stderr)
})

test('a process may exit with a delivery in flight', () => {
  const program = `
    const { Lab } = require('webhook-mtls/testing')
    Lab.start().then(async (lab) => {
      const acme = await lab.consumer('acme')
      acme.misbehave('stall')
      const dispatcher = lab.dispatcher()
      dispatcher.deliver(dispatcher.endpoint('acme', acme.url, { pins: null }), '{}')
      if (await acme.waitFor(1, { withinMs: 10_000 })) process.exit(7)
    })`
  const child = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', timeout: 30_000 })
  assert.deepEqual([child.status, child.signal], [7, null], child.stderr)
})

test('workers and the main thread deliver concurrently', async (t) => {
  const workers = Array.from({ length: 3 }, () => new Worker(DELIVERY, { eval: true }))
  const answers = workers.map((worker) => once(worker, 'message'))
  const exits = workers.map((worker) => once(worker, 'exit'))
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
  assert.deepEqual((await Promise.all(answers)).flat(), [200, 200, 200])
  assert.deepEqual((await Promise.all(exits)).flat(), [0, 0, 0])
})

test('a package without its native part says where it looked', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'webhook-mtls-'))
  t.after(() => rmSync(directory, { recursive: true }))
  for (const part of ['dist', 'package.json']) {
    cpSync(join(home, part), join(directory, part), { recursive: true })
  }
  assert.throws(() => require(join(directory, 'dist', 'index.js')), (e) => {
    const local = `../native/webhook-mtls.${process.platform}-${process.arch}.node`
    assert.equal(e.code, 'WMTLS_ADDON_MISSING')
    assert.ok(e.context.tried[0].includes(local), e.context.tried[0])
    assert.ok(e.message.includes(process.versions.node) && e.cause instanceof Error)
    return true
  })
})
