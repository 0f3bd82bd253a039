// An operation that is the only one of its process: nothing else starts its timers.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const program = `
import net from 'node:net'
import { once } from 'node:events'
import { deliver } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const lab = await Lab.start()
const silent = net.createServer((socket) => socket.on('error', () => {}))
await once(silent.listen(0, '127.0.0.1'), 'listening')
const url = 'https://127.0.0.1:' + silent.address().port + '/in'
const dispatcher = lab.dispatcher()
const endpoint = dispatcher.endpoint('silent', url, { pins: null })
const { identity, trust } = lab
const egress = { preset: 'public', allow: ['127.0.0.0/8'] }
const operations = {
  probe: () => dispatcher.probe(endpoint, { timeoutMs: 300 }),
  deliver: () => deliver(url, '{}', { pins: null, identity, trust, egress, timeoutMs: 300 }),
}
const error = await operations[process.argv.at(-1)]().catch((error) => error)
process.stdout.write(error.kind)
process.exit()
`

for (const operation of ['probe', 'deliver']) {
  test(`the deadline of a single ${operation} passes`, async () => {
    const run = promisify(execFile)
    const cwd = fileURLToPath(new URL('.', import.meta.url))
    const options = { cwd, timeout: 20_000 }
    const flags = ['--input-type=module', '--eval', program, '--', operation]
    const { stdout } = await run(process.execPath, flags, options)
    assert.equal(stdout, 'deadline_exceeded')
  })
}
