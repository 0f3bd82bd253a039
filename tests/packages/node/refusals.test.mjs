// Where the addon cannot load, the import says what to do, and never aborts the process.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ADDON, BUN, DENO, home, OLD_NODE, NODES, ROOT } from './home.mjs'

const VERSION = /^\d+\.\d+\.\d+$/

/** A program that prints the error of loading the package as JSON. */
const REPORT = `
try {
  require('webhook-mtls')
  console.log('{}')
} catch ({ name, code, message, remedy, context, cause }) {
  console.log(JSON.stringify({ name, code, message, remedy, context, cause: cause?.message }))
}`

async function report(folder, program, ...flags) {
  const { code, stdout, stderr } = await folder.run(program, ...flags)
  assert.equal(code, 0, `exit ${code}: ${stdout}${stderr}`)
  const error = JSON.parse(stdout)
  if (error.code !== undefined) {
    assert.equal(error.name, 'AddonError')
    assert.ok(error.message.endsWith(error.remedy))
    assert.match(error.context.version, VERSION)
  }
  return error
}

test('without the package of the platform the error names all that one must know', async (t) => {
  const folder = await home(t, [ROOT], ['--omit=optional'])
  const error = await report(folder, process.execPath, '--eval', REPORT)
  const { version, libc } = error.context
  assert.equal(error.code, 'WMTLS_ADDON_MISSING')
  assert.equal(
    error.message,
    `webhook-mtls ${version} needs the package ${ADDON} ${version} on linux-x64 with ${libc} and ` +
      `Node ${process.versions.node}, and it did not load: Cannot find module '${ADDON}'. ` +
      'Install again on this platform without --omit=optional; a node_modules or a lock file of ' +
      `another platform lacks it. Or add it: npm install ${ADDON}@${version}.`,
  )
  assert.match(libc, /^glibc \d/)
  assert.deepEqual(error.context.package, ADDON)
  assert.equal(error.context.tried.length, 2)
  assert.match(error.cause, /Cannot find module/)
})

test('without the package of the platform the command says so and is at fault itself', async (t) => {
  const folder = await home(t, [ROOT], ['--omit=optional'])
  const command = join(folder.path, 'node_modules', '.bin', 'webhook-mtls')
  const { code, stdout, stderr } = await folder.run(command, '--version')
  assert.deepEqual([code, stdout], [3, ''])
  assert.match(stderr, new RegExp(`^webhook-mtls: .* needs the package ${ADDON} .*\\n$`))
})

test('a platform without a package is told which exist', async (t) => {
  const folder = await home(t, [ROOT], ['--omit=optional'])
  const pretend = `Object.defineProperty(process, 'arch', { value: 'riscv64' }); ${REPORT}`
  const error = await report(folder, process.execPath, '--eval', pretend)
  assert.equal(error.code, 'WMTLS_ADDON_MISSING')
  assert.match(error.remedy, /^Packages exist for linux-x64-gnu; for another platform, build/)
  assert.equal(error.context.package, 'webhook-mtls-linux-riscv64-gnu')
})

test('a musl system is told that its package is missing', async (t) => {
  const folder = await home(t, [ROOT, ADDON])
  // The program of this Node would name the loader of musl.
  const pretend = `
    const fs = require('node:fs')
    fs.readSync = (_, bytes) => bytes.write('/lib/ld-musl-x86_64.so.1')
    ${REPORT}`
  const error = await report(folder, process.execPath, '--eval', pretend)
  assert.equal(error.code, 'WMTLS_ADDON_MISSING')
  assert.equal(error.context.libc, 'musl')
  assert.equal(error.context.package, 'webhook-mtls-linux-x64-musl')
})

test('a file that does not load says more than one that is missing', async (t) => {
  const folder = await home(t, [ROOT, ADDON])
  await folder.write(`node_modules/${ADDON}/webhook-mtls.node`, 'not a library')
  const error = await report(folder, process.execPath, '--eval', REPORT)
  assert.equal(error.code, 'WMTLS_ADDON_MISSING')
  assert.match(error.message, /webhook-mtls\.node: .*Install the package for this platform again/)
})

test('an addon of another version is refused', async (t) => {
  const folder = await home(t, [ROOT, ADDON])
  const path = join(folder.path, 'node_modules', ROOT, 'package.json')
  const text = await readFile(path, 'utf8')
  const { version } = JSON.parse(text)
  await folder.write(`node_modules/${ROOT}/package.json`, text.replace(version, '99.0.0'))
  const error = await report(folder, process.execPath, '--eval', REPORT)
  assert.equal(error.code, 'WMTLS_ADDON_VERSION')
  const seen = `webhook-mtls 99.0.0 found an addon ${version} in ${ADDON}`
  assert.ok(error.message.startsWith(seen), error.message)
  assert.match(error.remedy, /lock file/)
})

test('a Node that is too old is told so', async (t) => {
  const folder = await home(t, [ROOT, ADDON])
  const error = await report(folder, OLD_NODE, '--eval', REPORT)
  assert.equal(error.code, 'WMTLS_RUNTIME_UNSUPPORTED')
  assert.match(error.message, /does not run on Node 18\.20\.8\. Use Node 20 or later\.$/)
})

for (const [name, flags] of [['Bun', [BUN]], ['Deno', [DENO, 'run', '--allow-all']]]) {
  test(`${name} is told of a missing package`, async (t) => {
    const folder = await home(t, [ROOT], ['--omit=optional'])
    const error = await report(folder, ...flags, await folder.write('report.cjs', REPORT))
    assert.equal(error.code, 'WMTLS_ADDON_MISSING')
    assert.match(error.message, new RegExp(`needs the package ${ADDON} .* and ${name} `))
    assert.match(error.remedy, /--omit=optional/)
  })
}

test('Deno without the permission for addons is told the flag', async (t) => {
  const folder = await home(t, [ROOT, ADDON])
  const file = await folder.write('report.cjs', REPORT)
  const flags = ['run', '--no-prompt', '--allow-read', '--allow-env', file]
  const error = await report(folder, DENO, ...flags)
  assert.equal(error.code, 'WMTLS_ADDON_DENIED')
  assert.match(error.remedy, /^Start Deno with --allow-ffi/)
})

for (const [name, node] of Object.entries(NODES)) {
  test(`the permission model of ${name} is told which flag is missing`, async (t) => {
    const folder = await home(t, [ROOT, ADDON])
    const { stdout } = await folder.run(node, '--version')
    const permission = stdout.startsWith('v20.') ? '--experimental-permission' : '--permission'
    const flags = [permission, '--no-warnings', '--allow-fs-read=*', '--eval', REPORT]
    const error = await report(folder, node, ...flags)
    assert.equal(error.code, 'WMTLS_ADDON_DENIED')
    assert.match(error.remedy, /--allow-addons/)
    assert.deepEqual(await report(folder, node, '--allow-addons', ...flags), {})
  })
}
