// Ends workers amid deliveries, then delivers from the main thread. Arguments: what the workers do,
// how they end, how many there are.

const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { Authorization, deliver, Dispatcher, Identity, Trust, Verifier } = require('webhook-mtls')

if (isMainThread) main()
else work(workerData)

async function main() {
  const { Lab } = require('webhook-mtls/testing')
  const [what, how, count] = process.argv.slice(2)
  const lab = await Lab.start()
  const acme = await lab.consumer('acme')
  const material = { ...lab.identityPem, ca: lab.trustPem, url: acme.url }
  for (let number = 0; number < Number(count); number += 1) {
    const worker = new Worker(__filename, { workerData: { what, how, ...material } })
    let raised
    worker.on('error', (error) => { raised = error })
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    await new Promise((resolve) => worker.once('message', resolve))
    // Each worker at another point of its deliveries.
    await acme.waitFor(acme.received.length + 2 * number, { withinMs: 100 })
    if (how === 'terminate') await worker.terminate()
    await exited
    if (how === 'throw' ? raised?.message !== 'mine' : raised !== undefined) throw raised
  }
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  const { status } = await dispatcher.deliver(endpoint, '{}')
  await dispatcher.close()
  await lab.close()
  console.log(status)
}

function work({ what, how, url, cert, key, ca }) {
  const [identity, trust] = [Identity.fromPem(cert, key), Trust.fromPem(ca)]
  const egress = { preset: 'public', allow: ['127.0.0.0/8'] }
  const dispatcher = new Dispatcher({ identity, trust, egress })
  const endpoint = dispatcher.endpoint('acme', url, { pins: null })
  const verifier = new Verifier({ role: 'client', trust, authorization: Authorization.caMembers() })
  for (const emitter of [dispatcher, verifier]) emitter.on('event', () => {})
  const forever = async (step) => {
    for (;;) await step().catch(() => {})
  }
  const ways = {
    deliver: () => dispatcher.deliver(endpoint, '{}'),
    deliverMany: async () => {
      const deliveries = Array.from({ length: 32 }, () => ({ endpoint, body: '{}' }))
      for await (const _ of dispatcher.deliverMany(deliveries)) void _
    },
    oneShot: () => deliver(url, '{}', { identity, trust, egress, pins: null }),
    probe: () => dispatcher.probe(endpoint),
    reload: async () => {
      verifier.reload()
      await dispatcher.reload()
    },
  }
  const steps = what === 'all' ? Object.values(ways) : [ways[what], ways[what]]
  for (const step of steps) void forever(step)
  parentPort.postMessage('started')
  const other = dispatcher.endpoint('other', url, { pins: null })
  if (how === 'exit') void dispatcher.deliver(other, '{}').then(() => process.exit(0))
  if (how === 'throw') {
    void dispatcher.deliver(other, '{}').then(() => setImmediate(() => { throw new Error('mine') }))
  }
}
