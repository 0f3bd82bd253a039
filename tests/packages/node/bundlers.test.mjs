// A bundle works if the package is external, and otherwise says so.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ADDON, home, ROOT, TOOLS } from './home.mjs'

const PROGRAM = `
import { Dispatcher } from 'webhook-mtls'
new Dispatcher()
console.log('loaded')
`
let folder

before(async () => {
  folder = await home({ after: (end) => process.once('exit', end) }, [ROOT, ADDON])
  await folder.write('app.mjs', PROGRAM)
})

async function esbuild(options) {
  const { build } = await import(pathToFileURL(join(TOOLS, 'esbuild', 'lib', 'main.js')).href)
  const entryPoints = [join(folder.path, 'app.mjs')]
  const outfile = join(folder.path, 'out', `bundle.${options.format === 'esm' ? 'mjs' : 'cjs'}`)
  const fixed = { bundle: true, platform: 'node', logLevel: 'silent', absWorkingDir: folder.path }
  await build({ entryPoints, outfile, ...fixed, ...options })
  return folder.run(process.execPath, outfile)
}

for (const format of ['esm', 'cjs']) {
  test(`esbuild with the external package: ${format}`, async () => {
    const { stdout, stderr } = await esbuild({ format, external: ['webhook-mtls'] })
    assert.equal(stdout, 'loaded\n', stderr)
  })
}

test('esbuild without it: a CommonJS bundle finds the addon beside it', async () => {
  const { stdout, stderr } = await esbuild({ format: 'cjs' })
  assert.equal(stdout, 'loaded\n', stderr)
})

test('esbuild without it: an ESM bundle says what to do', async () => {
  const { code, stderr } = await esbuild({ format: 'esm' })
  assert.equal(code, 1)
  assert.match(stderr, /WMTLS_ADDON_MISSING/)
  assert.match(stderr, /A bundler has copied webhook-mtls into .*--external:webhook-mtls/)
})

async function webpack(more) {
  const entrance = pathToFileURL(join(TOOLS, 'webpack', 'lib', 'index.js'))
  const { default: pack } = await import(entrance.href)
  const output = { path: join(folder.path, 'out'), filename: 'webpack.cjs' }
  const options = { mode: 'production', target: 'node', context: folder.path, entry: './app.mjs' }
  await new Promise((resolve, reject) => {
    pack({ ...options, output, ...more }, (failure, stats) => {
      const failed = failure ?? (stats.hasErrors() ? new Error(stats.toString()) : null)
      if (failed === null) resolve()
      else reject(failed)
    })
  })
  return folder.run(process.execPath, join(folder.path, 'out', 'webpack.cjs'))
}

test('webpack with the external package', async () => {
  const externals = { 'webhook-mtls': 'commonjs webhook-mtls' }
  const { stdout, stderr } = await webpack({ externals })
  assert.equal(stdout, 'loaded\n', stderr)
})

test('webpack without it says what to do', async () => {
  const { code, stderr } = await webpack({ stats: 'none' })
  assert.equal(code, 1)
  assert.match(stderr, /A bundler has copied webhook-mtls into another file/)
})

test('rollup with the external package', async () => {
  const { rollup } = await import(pathToFileURL(join(TOOLS, 'rollup', 'dist', 'rollup.js')).href)
  const bundle = await rollup({ input: join(folder.path, 'app.mjs'), external: [/^webhook-mtls/] })
  const file = join(folder.path, 'out', 'rollup.mjs')
  const { output } = await bundle.generate({ format: 'es' })
  await folder.write('out/rollup.mjs', output[0].code)
  await bundle.close()
  const { stdout, stderr } = await folder.run(process.execPath, file)
  assert.equal(stdout, 'loaded\n', stderr)
})
