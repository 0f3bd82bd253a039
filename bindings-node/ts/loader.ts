// Finds the addon and loads it, or says what to do. This file runs before every other and on any
// runtime, so it imports nothing, and its syntax is that of Node 14.
//
// The versions of the addon and of this JavaScript must be equal: the calls between them change
// without notice.

interface Manifest {
  version: string
  optionalDependencies?: Record<string, string>
}

interface Addon {
  addonVersion?: () => string
}

/** A package with an addon for each platform. */
type Part = 'webhook-mtls' | 'webhook-mtls-testing'

const manifest = require('../package.json') as Manifest

/** The first release of Node that this package is tested with. */
const OLDEST_NODE = 20

/** The reason why the addon is not there. It is thrown while the package is imported. */
class AddonError extends Error {
  override readonly name = 'AddonError'

  /**
   * @param code a stable name of the reason
   * @param seen what happened
   * @param remedy what to do, in a sentence
   * @param context the facts: `platform`, `libc`, `runtime`, `package`, `version` and more
   * @param cause the error of the runtime, if there was one
   */
  constructor(
    readonly code: `WMTLS_${'ADDON' | 'RUNTIME'}_${string}`,
    seen: string,
    readonly remedy: string,
    readonly context: Readonly<Record<string, unknown>>,
    cause?: unknown,
  ) {
    super(`${seen} ${remedy}`, cause === undefined ? undefined : { cause })
  }
}

/**
 * Loads the addon of this version: first the one that was built in this directory, then that of the
 * package for this platform.
 *
 * @throws `WMTLS_RUNTIME_UNSUPPORTED`, `WMTLS_ADDON_MISSING`, `WMTLS_ADDON_VERSION` or
 * `WMTLS_ADDON_DENIED`
 */
export function load<T extends object>(part: Part): T {
  refuseRuntime()
  const failures: unknown[] = []
  for (const [place, read] of places(part)) {
    let addon: T & Addon
    try {
      addon = read() as T & Addon
    } catch (failure) {
      failures.push(failure)
      continue
    }
    const found = addon.addonVersion?.() ?? 'of an unknown version'
    if (found !== manifest.version) throw otherVersion(part, place, found)
    return addon
  }
  throw notLoaded(part, failures)
}

type Place = [name: string, read: () => unknown]

function places(part: Part): Place[] {
  const local = `../native/${part}.${process.platform}-${process.arch}.node`
  const found: Place[] = [[local, () => require(local)]]
  for (const platform of platforms()) {
    const name = `${part}-${platform}`
    // The kit is a package of its own, which alone can see its packages for each platform.
    const read = part === 'webhook-mtls' ? () => require(name) : () => installedKit()(platform)
    found.push([name, read])
  }
  return found
}

function installedKit(): (platform: string) => unknown {
  const name = 'webhook-mtls-testing'
  return require(name) as (platform: string) => unknown
}

/** Returns the names of this platform; two on a Linux whose C library is unknown. */
function platforms(): string[] {
  const base = `${process.platform}-${process.arch}`
  if (process.platform !== 'linux') return [base]
  const name = libcOfProgram() ?? libc().name
  return name === undefined ? [`${base}-gnu`, `${base}-musl`] : [`${base}-${name}`]
}

interface Libc {
  name?: 'gnu' | 'musl'
  shown: string
}

/**
 * Returns the C library whose loader the program of this Node names. The report of the process knows more,
 * but takes ten milliseconds.
 */
function libcOfProgram(): Libc['name'] {
  if (runtime().name !== 'Node') return undefined
  try {
    const fs = require('fs') as typeof import('fs')
    const program = fs.openSync('/proc/self/exe', 'r')
    try {
      const start = Buffer.alloc(4096)
      fs.readSync(program, start, 0, start.length, 0)
      const text = start.toString('latin1')
      if (text.includes('/ld-musl-')) return 'musl'
      return text.includes('/ld-linux') ? 'gnu' : undefined
    } finally {
      fs.closeSync(program)
    }
  } catch {
    // The permission model may forbid it.
    return undefined
  }
}

let knownLibc: Libc | undefined

/** Returns the C library of this process. */
function libc(): Libc {
  if (knownLibc === undefined) knownLibc = readLibc()
  return knownLibc
}

function readLibc(): Libc {
  if (process.platform !== 'linux') return { shown: 'its own C library' }
  if (libcOfProgram() === 'musl') return { name: 'musl', shown: 'musl' }
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined
  if (typeof report?.getReport !== 'function') return { shown: 'an unknown C library' }
  const before = report.excludeNetwork
  try {
    // The report would look up the names of all peers.
    report.excludeNetwork = true
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
    const glibc = header?.glibcVersionRuntime
    if (glibc === undefined) return { name: 'musl', shown: 'musl' }
    return { name: 'gnu', shown: `glibc ${glibc}` }
  } catch {
    return { shown: 'an unknown C library' }
  } finally {
    if (before !== undefined) report.excludeNetwork = before
  }
}

/** Returns the name and version of the runtime. Bun and Deno also claim a version of Node. */
function runtime(): { name: string; version: string } {
  const { bun, deno, node } = process.versions
  if (bun !== undefined) return { name: 'Bun', version: bun }
  if (deno !== undefined) return { name: 'Deno', version: deno }
  return { name: 'Node', version: node }
}

/** Refuses a Node that lacks what the other files use. */
function refuseRuntime(): void {
  const { name, version } = runtime()
  if (name !== 'Node' || Number.parseInt(version, 10) >= OLDEST_NODE) return
  const seen = `webhook-mtls ${manifest.version} does not run on ${name} ${version}.`
  const remedy = `Use Node ${OLDEST_NODE} or later.`
  throw new AddonError('WMTLS_RUNTIME_UNSUPPORTED', seen, remedy, facts('webhook-mtls'))
}

function facts(part: Part): Record<string, unknown> {
  const { name, version } = runtime()
  return {
    platform: `${process.platform}-${process.arch}`,
    libc: libc().shown,
    runtime: `${name} ${version}`,
    package: `${part}-${platforms()[0]}`,
    version: manifest.version,
  }
}

/** Returns a text such as `linux-x64 with glibc 2.36 and Node 22.23.5`. */
function shown(context: Record<string, unknown>): string {
  const { platform, libc, runtime } = context
  return `${String(platform)} with ${String(libc)} and ${String(runtime)}`
}

function otherVersion(part: Part, place: string, found: string): AddonError {
  const context = { ...facts(part), found, place }
  const wanted = manifest.version
  return new AddonError(
    'WMTLS_ADDON_VERSION',
    `webhook-mtls ${wanted} found an addon ${found} in ${place}, on ${shown(context)}. ` +
      'Both must have the same version.',
    `Remove node_modules and the entries of webhook-mtls in the lock file, and install again` +
      (part === 'webhook-mtls' ? '.' : `; add ${part}@${wanted} to the devDependencies.`),
    context,
  )
}

function notLoaded(part: Part, failures: unknown[]): AddonError {
  const context: Record<string, unknown> = { ...facts(part), tried: failures.map(firstLine) }
  const missing = `${String(context['package'])} ${manifest.version}`
  const denied = failures.find((failure) => DENIED.includes(codeOf(failure)))
  if (denied !== undefined) {
    const { name } = runtime()
    const seen = `The permissions of ${name} forbid the addon: ${firstLine(denied)}.`
    const remedy =
      name === 'Deno'
        ? 'Start Deno with --allow-ffi, and let --allow-read include node_modules.'
        : 'Start Node with --allow-addons, and let --allow-fs-read include node_modules.'
    return new AddonError('WMTLS_ADDON_DENIED', seen, remedy, context, denied)
  }
  // A file that exists and does not load says more than one that does not exist.
  const cause = failures.find((failure) => !isMissing(failure)) ?? failures[failures.length - 1]
  const seen =
    `webhook-mtls ${manifest.version} needs the package ${missing} on ${shown(context)}, ` +
    `and it did not load: ${firstLine(cause)}.`
  return new AddonError('WMTLS_ADDON_MISSING', seen, remedy(part, cause), context, cause)
}

/** The codes of Node and the name of Deno's error. */
const DENIED = ['ERR_DLOPEN_DISABLED', 'ERR_ACCESS_DENIED', 'NotCapable']

function remedy(part: Part, cause: unknown): string {
  const [name = ''] = platforms()
  if (isBundled()) {
    return (
      'A bundler has copied webhook-mtls into another file. Mark webhook-mtls as external, as by ' +
      'esbuild --external:webhook-mtls, and install it beside the bundle.'
    )
  }
  if (/GLIBC_/.test(firstLine(cause))) return 'Use a newer glibc, or build from source.'
  if (!isMissing(cause)) return 'Install the package for this platform again, on this platform.'
  if (part === 'webhook-mtls-testing') {
    return `Install the testing kit: npm install --save-dev ${part}@${manifest.version}.`
  }
  const built = Object.keys(manifest.optionalDependencies ?? {}).map((key) => key.slice(13))
  if (built.length > 0 && !built.includes(name)) {
    return `Packages exist for ${built.join(', ')}; for another platform, build it from source.`
  }
  return (
    'Install again on this platform without --omit=optional; a node_modules or a lock file of ' +
    `another platform lacks it. Or add it: npm install webhook-mtls-${name}@${manifest.version}.`
  )
}

/** Whether this file has become a part of another. */
function isBundled(): boolean {
  return typeof __filename !== 'string' || !/[\\/]dist[\\/]loader\.js$/.test(__filename)
}

function isMissing(failure: unknown): boolean {
  return codeOf(failure) === 'MODULE_NOT_FOUND'
}

function codeOf(failure: unknown): string {
  if (!(failure instanceof Error)) return ''
  const { code } = failure as NodeJS.ErrnoException
  return code === undefined ? failure.name : code
}

function firstLine(failure: unknown): string {
  const text = failure instanceof Error ? failure.message : String(failure)
  return text.split('\n', 1)[0]?.replace(/\.$/, '') ?? ''
}
