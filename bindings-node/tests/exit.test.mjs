// The end of a process or a worker amid deliveries: its exit code, and not a word of a panic.
// `cargo xtask test node --dev` leaves this file out: it is slow.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Runs a program beside this file; resolves with its code and its output. */
function run(program, flags) {
  const file = fileURLToPath(new URL(`programs/${program}`, import.meta.url))
  return new Promise((resolve) => {
    const options = { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' }
    execFile(process.execPath, [file, ...flags], options, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, signal: error?.signal ?? null, stdout, stderr })
    })
  })
}

const ALL = ['deliver', 'deliverMany', 'oneShot', 'probe', 'reload', 'close', 'all']

for (const what of ALL) {
  test(`a process exits amid ${what}`, async () => {
    for (const how of ['exit', 'handler', ...(what === 'all' ? ['callback'] : [])]) {
      const end = await run('exit.cjs', [what, how])
      assert.deepEqual(end, { code: 7, signal: null, stdout: '', stderr: '' }, how)
    }
  })
}

for (const what of ['deliver', 'close', 'all']) {
  test(`an uncaught exception ends a process amid ${what}`, async () => {
    for (const how of ['throw', 'reject']) {
      const { code, signal, stderr } = await run('exit.cjs', [what, how])
      assert.deepEqual([code, signal], [1, null], stderr)
      assert.match(stderr, /Error: uncaught\n/, how)
      assert.doesNotMatch(stderr, /panicked|FATAL|native stack/i, how)
    }
  })
}

for (const what of ['deliver', 'deliverMany', 'oneShot', 'probe', 'reload', 'all']) {
  test(`a worker ends amid ${what}, and the process delivers on`, async () => {
    for (const how of ['terminate', ...(what === 'deliver' ? ['exit', 'throw'] : [])]) {
      const end = await run('worker.cjs', [what, how, 4])
      assert.deepEqual(end, { code: 0, signal: null, stdout: '200\n', stderr: '' }, how)
    }
  })
}
