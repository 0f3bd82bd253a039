// A folder in which a package is installed as by a user, and programs that run there.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The directory with the tarballs. */
export const PACKAGES = process.env.PACKAGES
/** The `node_modules` with checkers, runtimes and libraries. */
export const TOOLS = process.env.TOOLS

export const ROOT = 'webhook-mtls'
export const KIT = 'webhook-mtls-testing'
export const ADDON = 'webhook-mtls-linux-x64-gnu'
export const KIT_ADDON = 'webhook-mtls-testing-linux-x64-gnu'

/** The runtimes by their names here. */
export const NODES = {
  'this Node': process.execPath,
  'Node 22': join(TOOLS, 'node-22', 'bin', 'node'),
  'Node 24': join(TOOLS, 'node-24', 'bin', 'node'),
  'Node 26': join(TOOLS, 'node-26', 'bin', 'node'),
}
export const OLD_NODE = join(TOOLS, 'node-18', 'bin', 'node')

export const BUN = join(TOOLS, '@oven', 'bun-linux-x64', 'bin', 'bun')
export const DENO = join(TOOLS, '@deno', 'linux-x64-glibc', 'deno')

const LIMIT = 120_000

/** Returns the path of the tarball of a package. */
export async function tarball(name) {
  const names = await readdir(PACKAGES)
  const [found, ...others] = names.filter((each) => each.replace(/-\d+\.\d+\.\d+.*$/, '') === name)
  if (found === undefined || others.length > 0) throw new Error(`one ${name} in ${names}`)
  return join(PACKAGES, found)
}

/**
 * Runs a program.
 *
 * @returns its exit code and its output, also if it fails
 */
export function run(program, flags, { cwd, env } = {}) {
  return new Promise((resolve) => {
    const options = { cwd, timeout: LIMIT, env: { ...process.env, ...env }, maxBuffer: 1 << 26 }
    execFile(program, flags, options, (failure, stdout, stderr) => {
      const code = failure === null ? 0 : failure.code ?? failure.signal
      resolve({ code, stdout, stderr })
    })
  })
}

/**
 * Makes an empty folder and installs packages there, without a registry.
 *
 * @param t the test, after which the folder is removed
 * @param packages the names of the packages
 * @param flags more flags of npm
 */
export async function home(t, packages, flags = []) {
  const folder = await mkdtemp(join(process.cwd(), 'home-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'package.json'), '{ "private": true }\n')
  const tarballs = await Promise.all(packages.map(tarball))
  const install = ['install', '--offline', '--no-audit', '--no-fund', ...flags, ...tarballs]
  const { code, stderr } = await run('npm', install, { cwd: folder })
  if (code !== 0) throw new Error(`npm ${install.join(' ')}: ${stderr}`)
  return {
    path: folder,
    /** Writes a file and returns its path. */
    async write(name, text) {
      const path = join(folder, name)
      await mkdir(join(path, '..'), { recursive: true })
      await writeFile(path, text)
      return path
    },
    run: (program, ...flags) => run(program, flags, { cwd: folder }),
  }
}

/** Returns the text of a program beside this file. */
export const beside = (name) => fileURLToPath(new URL(name, import.meta.url))
