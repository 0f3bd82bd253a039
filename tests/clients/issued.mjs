// Delivers every 100 ms with files that are renewed, until the standard input ends.
//
// Prints a line for each event ({"event": …}) and each failed delivery ({"failed": …}), and at the
// end {"delivered": …}. WMTLS_ENDPOINT_IDENTITY=1 gives the files to the endpoint instead of the
// dispatcher, WMTLS_SERVER_URI is the consumer's SAN URI, instead of its name. The same program exists
// in C, Python and Rust.

import { setTimeout as pause } from 'node:timers/promises'
import { Dispatcher, Identity, Trust } from 'webhook-mtls'

const env = process.env
const report = (line) => console.log(JSON.stringify(line))
const identity = Identity.fromFiles(env.WMTLS_CERT, env.WMTLS_KEY)
const own = {
  ...(env.WMTLS_ENDPOINT_IDENTITY ? { identity } : {}),
  ...(env.WMTLS_SERVER_URI ? { serverUri: env.WMTLS_SERVER_URI } : {}),
}

const dispatcher = new Dispatcher({
  ...(env.WMTLS_ENDPOINT_IDENTITY ? {} : { identity }),
  trust: Trust.fromFiles(env.WMTLS_CA),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] },
  reloadMs: Number(env.WMTLS_RELOAD_MS),
})
dispatcher.on('event', (event) => report({ event }))
const endpoint = dispatcher.endpoint('receiver', env.WMTLS_URL, { pins: null, ...own })

let isOver = false
process.stdin.resume().on('end', () => (isOver = true))
let delivered = 0
while (!isOver) {
  await pause(100)
  try {
    await dispatcher.deliver(endpoint, '{}')
    delivered += 1
  } catch (error) {
    report({ failed: error })
  }
}
await dispatcher.close()
report({ delivered })
