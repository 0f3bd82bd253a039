// Other releases of Node, other runtimes, and the test runners that applications use. `cargo xtask
// test node` installs them from tests/runtimes, on Linux with x86-64.
// `cargo xtask test node --dev` leaves this file out: it is slow.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const home = process.env.WMTLS_RUNTIMES
const isThere = process.platform === 'linux' && process.arch === 'x64'
const options = { skip: isThere ? false : 'npm has these runtimes for Linux on x86-64' }
const tool = (...path) => join(home, 'node_modules', ...path)
const tests = dirname(fileURLToPath(import.meta.url))
const packages = dirname(dirname(dirname(createRequire(import.meta.url).resolve('webhook-mtls'))))

/** Runs a program until it ends by itself; resolves with its code and its output. */
function run(program, flags, cwd) {
  return new Promise((resolve) => {
    const limits = { cwd, encoding: 'utf8', timeout: 240_000, killSignal: 'SIGKILL' }
    // A test runner must not report to the one that runs this file.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    execFile(program, flags, { ...limits, env }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, signal: error?.signal ?? null, stdout, stderr })
    })
  })
}

/** Makes the directory of an application that has installed the package. */
function application(t, programs) {
  const directory = mkdtempSync(join(tmpdir(), 'wmtls-runtime-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  for (const program of programs) cpSync(join(tests, 'programs', program), join(directory, program))
  const dependencies = { 'webhook-mtls': '0.1.0' }
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true, dependencies }))
  symlinkSync(packages, join(directory, 'node_modules'))
  return directory
}

test('the runtimes are installed', options, () => {
  assert.ok(home, 'run this file with cargo xtask test node')
})

const FILES = ['clones', 'connections', 'deliver', 'exit', 'many', 'signals', 'sockets']

for (const release of [22, 24, 26]) {
  test(`Node ${release} passes the tests that depend on the runtime`, options, async () => {
    const files = FILES.map((file) => join(tests, `${file}.test.mjs`))
    const flags = ['--test', '--test-reporter=tap', ...files]
    const { code, stdout } = await run(tool(`node-${release}`, 'bin', 'node'), flags, tests)
    const failed = stdout.split('\n').filter((line) => /^ *not ok/.test(line))
    assert.deepEqual([code, failed], [0, []], stdout)
    assert.match(stdout, /^# pass [1-9]\d+$/m)
  })
}

const OTHERS = {
  Bun: ['@oven/bun-linux-x64', 'bin', 'bun'],
  Deno: ['@deno/linux-x64-glibc', 'deno'],
}

for (const [name, path] of Object.entries(OTHERS)) {
  test(`${name} delivers, and ends as it should`, options, async (t) => {
    const directory = application(t, ['whole.cjs', 'exit.cjs', 'worker.cjs'])
    const flags = name === 'Deno' ? ['run', '--allow-all', '--node-modules-dir=manual'] : ['run']
    const program = (...more) => run(tool(...path), [...flags, ...more], directory)
    const whole = await program('whole.cjs')
    assert.deepEqual([whole.code, whole.signal, whole.stdout], [0, null, 'works\n'], whole.stderr)
    for (const what of ['deliver', 'all']) {
      for (const how of ['exit', 'handler']) {
        const end = await program('exit.cjs', what, how)
        assert.deepEqual(end, { code: 7, signal: null, stdout: '', stderr: '' }, `${what} ${how}`)
      }
    }
  })
}

test('jest runs the tests of an application, and ends', options, async (t) => {
  const directory = application(t, ['with_jest.cjs'])
  const flags = [tool('jest', 'bin', 'jest.js'), '--rootDir', directory, '--testMatch', '**/with_jest.cjs']
  const cache = ['--cacheDirectory', join(directory, 'cache')]
  const { code, stderr } = await run(tool('node-24', 'bin', 'node'), [...flags, ...cache], directory)
  assert.equal(code, 0, stderr)
  assert.match(stderr, /Tests: +1 passed, 1 total/)
  assert.doesNotMatch(stderr, /did not exit|force exited/)
})

for (const pool of ['threads', 'forks']) {
  test(`vitest runs the tests of an application in ${pool}, and ends`, options, async (t) => {
    const directory = application(t, [])
    // By default vitest looks for files with this ending.
    cpSync(join(tests, 'programs', 'with_vitest.mjs'), join(directory, 'app.test.mjs'))
    const flags = [tool('vitest', 'vitest.mjs'), 'run', '--root', directory, '--pool', pool, '--globals']
    const { code, stdout, stderr } = await run(tool('node-24', 'bin', 'node'), flags, directory)
    assert.equal(code, 0, stdout + stderr)
    assert.match(stdout, /Tests .*1 passed/)
    assert.doesNotMatch(stderr, /hanging|close timed out/)
  })
}
