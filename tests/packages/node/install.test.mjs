// The installed packages work from every module system and in every supported Node.

import assert from 'node:assert/strict'
import { copyFile, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import {
  ADDON, beside, BUN, DENO, home, KIT, KIT_ADDON, NODES, ROOT, run, tarball, TOOLS,
} from './home.mjs'

const ALL = [ROOT, ADDON, KIT, KIT_ADDON]
let whole

before(async () => {
  // One installation for the tests that change nothing in it.
  const finished = { after: (end) => process.once('exit', end) }
  whole = await home(finished, ALL)
  for (const name of ['use.mjs', 'use.cjs']) {
    await copyFile(beside(name), join(whole.path, name))
  }
})

test('no compiler and no Rust can be found', async () => {
  for (const absent of ['cargo', 'rustc', 'cc', 'gcc', 'clang', 'c++', 'make', 'python3']) {
    const { code } = await run('sh', ['-c', `command -v ${absent}`])
    assert.notEqual(code, 0, absent)
  }
})

for (const [name, node] of Object.entries(NODES)) {
  for (const program of ['use.mjs', 'use.cjs']) {
    test(`${name} delivers, verifies and runs the kit: ${program}`, async () => {
      const { code, stdout, stderr } = await whole.run(node, program)
      assert.equal(code, 0, stderr)
      assert.equal(stdout, '200 dispatcher certificate_expired\n')
    })
  }
}

for (const [name, flags] of [['Bun', [BUN]], ['Deno', [DENO, 'run', '--allow-all']]]) {
  test(`${name} delivers, verifies and runs the kit`, async () => {
    const { code, stdout, stderr } = await whole.run(...flags, 'use.mjs')
    assert.equal(code, 0, stderr)
    assert.equal(stdout, '200 dispatcher certificate_expired\n')
  })
}

test('production without the kit delivers, and the kit says how to get it', async (t) => {
  const bare = await home(t, [ROOT, ADDON])
  const program = `
    const { Dispatcher } = require('webhook-mtls')
    new Dispatcher()
    try { require('webhook-mtls/testing') } catch (error) {
      console.log(error.code, error.remedy)
    }`
  const { stdout } = await bare.run(process.execPath, '--eval', program)
  const { version } = await manifest(whole, ROOT)
  const remedy = `Install the testing kit: npm install --save-dev webhook-mtls-testing@${version}.`
  assert.equal(stdout, `WMTLS_ADDON_MISSING ${remedy}\n`)
  const addon = join(bare.path, 'node_modules', ADDON, 'webhook-mtls.node')
  const inside = await readFile(addon, 'latin1')
  assert.ok(inside.includes('addonVersion') && !inside.includes('labStart'))
})

for (const mode of ['node16', 'nodenext', 'bundler']) {
  test(`TypeScript finds the types: ${mode}`, async () => {
    await copyFile(beside('use.mts'), join(whole.path, 'use.mts'))
    const types = join(whole.path, 'node_modules', '@types')
    await symlink(join(TOOLS, '@types'), types).catch(() => {})
    const module = { node16: 'node16', nodenext: 'nodenext', bundler: 'esnext' }[mode]
    const flags = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022']
    flags.push('--lib', 'es2023,esnext.disposable', '--types', 'node')
    flags.push('--module', module, '--moduleResolution', mode, 'use.mts')
    const compiler = join(TOOLS, 'typescript', 'bin', 'tsc')
    const { code, stdout } = await whole.run(process.execPath, compiler, ...flags)
    assert.equal(code, 0, stdout)
  })
}

test('publint and attw have no remark', async () => {
  for (const name of [ROOT, KIT]) {
    const path = await tarball(name)
    const checks = [[join(TOOLS, 'publint', 'src', 'cli.js'), 'run', path, '--strict']]
    if (name === ROOT) {
      const attw = join(TOOLS, '@arethetypeswrong', 'cli', 'dist', 'index.js')
      checks.push([attw, path, '--no-color', '--format', 'ascii'])
    }
    for (const flags of checks) {
      const { code, stdout, stderr } = await run(process.execPath, flags)
      assert.equal(code, 0, `${flags}\n${stdout}${stderr}`)
    }
  }
})

test('each package has its licenses, and an addon its bill of materials', async () => {
  const { version } = await manifest(whole, ROOT)
  for (const name of ALL) {
    const files = await readdir(join(whole.path, 'node_modules', name))
    for (const needed of ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md']) {
      assert.ok(files.includes(needed), `${name}: ${needed}`)
    }
    const about = await manifest(whole, name)
    assert.equal(about.version, version)
    for (const absent of ['private', 'scripts', 'dependencies', 'devDependencies']) {
      assert.equal(about[absent], undefined, `${name}: ${absent}`)
    }
  }
  for (const name of [ADDON, KIT_ADDON]) {
    const folder = join(whole.path, 'node_modules', name)
    const about = await manifest(whole, name)
    assert.deepEqual([about.os, about.cpu, about.libc], [['linux'], ['x64'], ['glibc']])
    const notices = await readFile(join(folder, 'THIRD-PARTY-NOTICES.txt'), 'utf8')
    assert.match(notices, /aws-lc-sys/)
    const bill = JSON.parse(await readFile(join(folder, 'sbom.cdx.json'), 'utf8'))
    const crates = bill.components.map((component) => component.name)
    assert.ok(crates.includes('rustls') && crates.includes('napi'), name)
    // The command makes certificates with this crate, as the kit does.
    assert.ok(crates.includes('rcgen'), name)
    assert.equal(crates.includes('clap_builder'), name === ADDON)
    let size = 0
    for (const file of await readdir(folder)) size += (await stat(join(folder, file))).size
    assert.ok(size <= Number(process.env.LARGEST), `${name} has ${size} bytes`)
  }
  const { optionalDependencies } = await manifest(whole, ROOT)
  assert.deepEqual(optionalDependencies, { [ADDON]: version })
})

test('every file that the page names is inside', async () => {
  const folder = join(whole.path, 'node_modules', ROOT)
  const page = await readFile(join(folder, 'README.md'), 'utf8')
  const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link]) => link)
  assert.ok(links.length > 0)
  for (const link of links) await stat(join(folder, link))
  const types = await readFile(join(folder, 'dist', 'dispatcher.d.ts'), 'utf8')
  assert.match(types, /@throws \{WebhookMtlsError\}/)
})

async function manifest(folder, name) {
  const path = join(folder.path, 'node_modules', name, 'package.json')
  return JSON.parse(await readFile(path, 'utf8'))
}
