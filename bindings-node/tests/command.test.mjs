// The command `webhook-mtls` of the package. `tests/command` tests what it does.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import * as wm from 'webhook-mtls'

const home = dirname(dirname(createRequire(import.meta.url).resolve('webhook-mtls')))
const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
const program = join(home, manifest.bin['webhook-mtls'])

/** Runs the command to its end. */
function run(...args) {
  const options = { encoding: 'utf8', timeout: 60_000 }
  return spawnSync(process.execPath, [program, ...args], options)
}

test('the version and the exit codes', () => {
  const { status, stdout, stderr } = run('--version')
  assert.deepEqual([status, stdout, stderr], [0, `webhook-mtls ${manifest.version}\n`, ''])
  assert.equal(run('inspect', '--jsn').status, 2)
  assert.equal(run('inspect', '/nowhere/tls.crt').status, 3)
})

test('the program names its interpreter, and the package does not offer it to importers', () => {
  assert.ok(readFileSync(program, 'utf8').startsWith('#!/usr/bin/env node\n'))
  assert.ok(!Object.keys(wm).some((name) => /command/i.test(name)))
})
