// Ends the process while something is under way. Arguments: what, and how it ends.

const { deliver } = require('webhook-mtls')
const { Lab } = require('webhook-mtls/testing')

const [what, how] = process.argv.slice(2)

async function main() {
  const lab = await Lab.start()
  const acme = await lab.consumer('acme')
  // More than ever runs: no delivery ends by itself.
  acme.misbehave('stall', 1_000_000)
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null, concurrency: 4 })
  dispatcher.on('event', () => {})
  const { identity, trust } = lab
  const options = { pins: null, identity, trust, egress: { preset: 'public', allow: ['127.0.0.0/8'] } }
  const several = (start) => {
    for (let number = 0; number < 16; number += 1) start().catch(() => {})
  }
  const ways = {
    deliver: () => several(() => dispatcher.deliver(endpoint, '{}')),
    deliverMany: () => several(async () => {
      const deliveries = Array.from({ length: 32 }, () => ({ endpoint, body: '{}' }))
      for await (const _ of dispatcher.deliverMany(deliveries)) void _
    }),
    oneShot: () => several(() => deliver(acme.url, '{}', options)),
    probe: () => several(() => dispatcher.probe(endpoint)),
    reload: () => several(() => dispatcher.reload()),
    close: () => {
      ways.deliver()
      dispatcher.close({ drainMs: 60_000 }).catch(() => {})
    },
  }
  const all = () => {
    for (const way of ['deliver', 'deliverMany', 'oneShot', 'probe', 'reload']) ways[way]()
  }
  const start = ways[what] ?? all
  start()
  if (what !== 'probe' && what !== 'reload') await acme.waitFor(1, { withinMs: 20_000 })
  const ends = {
    exit: () => process.exit(7),
    throw: () => setImmediate(() => { throw new Error('uncaught') }),
    reject: () => { Promise.reject(new Error('uncaught')) },
    callback: () => {
      const last = dispatcher.endpoint('other', acme.url, { pins: null })
      dispatcher.deliver(last, '{}', { timeoutMs: 50 }).catch(() => process.exit(7))
    },
    // Deliveries that start while the process ends.
    handler: () => {
      process.on('exit', start)
      process.exit(7)
    },
  }
  ends[how]()
}

main()
