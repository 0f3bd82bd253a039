// Every name, kind and option of this package equals the core's table.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import * as esm from 'webhook-mtls'

const require = createRequire(import.meta.url)
const home = dirname(require.resolve('webhook-mtls'))
const core = JSON.parse(require(join(home, 'native.js')).native.tables())
const declared = (file) => readFileSync(join(home, file), 'utf8')

const union = (file, name) => {
  const [, body] = declared(file).match(new RegExp(`type ${name} = ([^;]*);`))
  return [...body.matchAll(/'([^']*)'/g)].map(([, word]) => word).sort()
}

test('kinds and words', () => {
  assert.deepEqual(union('enums.d.ts', 'KnownKind'), core.kinds.map(({ name }) => name).sort())
  for (const [type, key] of [
    ['Stage', 'stage'], ['Blame', 'blame'], ['Scope', 'scope'], ['Sent', 'sent'], ['Retry', 'retry'],
    ['Action', 'action'], ['CrlPolicy', 'crl_policy'], ['Evidence', 'evidence'], ['MinTls', 'min_tls'],
    ['Note', 'note'], ['PinSlot', 'pin'], ['Role', 'role'],
  ]) {
    assert.deepEqual(union('enums.d.ts', type), [...core.words[key]].sort())
  }
  assert.deepEqual(union('testing.d.ts', 'Misbehavior'), [...core.words.misbehavior].sort())
})

test('options', () => {
  const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const keys = (file, name) => {
    const [, body] = declared(file).match(new RegExp(`interface ${name} \\{([^}]*)\\}`))
    return [...body.matchAll(/^\s+(\w+)\??:/gm)].map(([, key]) => snake(key.replace(/Ms$/, ''))).sort()
  }
  const rows = (noun, ...more) => [...core.options.filter(({ of }) => of === noun).map(({ name }) => name), ...more].sort()
  assert.deepEqual(keys('dispatcher.d.ts', 'DispatcherOptions'), rows('dispatcher'))
  assert.deepEqual(keys('endpoint.d.ts', 'EndpointOptions'), rows('endpoint'))
  assert.deepEqual(keys('dispatcher.d.ts', 'DeliverOptions'), rows('deliver', 'signal'))
  assert.deepEqual(keys('dispatcher.d.ts', 'ProbeOptions'), rows('probe', 'signal'))
  assert.deepEqual(keys('verifier.d.ts', 'VerifierOptions'), rows('verifier'))
  assert.deepEqual(keys('retry.d.ts', 'RetryPolicyOptions'), rows('retry_policy'))
})

test('require and import give the same classes', () => {
  const cjs = require('webhook-mtls')
  const interop = ['__esModule', 'default', 'module.exports']
  const names = (entry) => Object.keys(entry).filter((name) => !interop.includes(name)).sort()
  assert.deepEqual(names(cjs), names(esm))
  for (const name of names(cjs)) assert.equal(cjs[name], esm[name], name)
  const kit = require('webhook-mtls/testing')
  assert.equal(typeof kit.Lab.start, 'function')
})
