#!/usr/bin/env node
// The command `webhook-mtls`. It loads the addon and no other part of the package, because a person waits
// for its start.

/** The exit code if this machine is at fault, as `docs/command.md` lists it. */
const OURS = 3

async function main(): Promise<number> {
  let native
  try {
    native = (require('./native') as typeof import('./native')).native
  } catch (failure) {
    const why = failure instanceof Error ? failure.message : String(failure)
    process.stderr.write(`webhook-mtls: ${why}\n`)
    return OURS
  }
  return native.command(['webhook-mtls', ...process.argv.slice(2)])
}

void main().then((code) => {
  process.exitCode = code
})

export {}
