// Delivers many times, and prints the memory and descriptors of the process after a fifth of the
// deliveries and at the end: {"early": {"rss_kib": …, "descriptors": …}, "late": {…}}. The
// environment is that of deliver.mjs, and WMTLS_COUNT is the number of deliveries. Each tenth
// delivery goes to WMTLS_REFUSING_URL, where our certificate is refused. The same program exists in
// C, Python and Rust.

import { readdirSync } from 'node:fs'
import { Dispatcher, Identity, Trust, WebhookMtlsError } from 'webhook-mtls'

const env = process.env
const dispatcher = new Dispatcher({
  identity: Identity.fromFiles(env.WMTLS_CERT, env.WMTLS_KEY),
  trust: Trust.fromFiles(env.WMTLS_CA),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] },
})
const good = dispatcher.endpoint('good', env.WMTLS_URL, { pins: null })
const refusing = dispatcher.endpoint('refusing', env.WMTLS_REFUSING_URL, { pins: null })
const count = Number(env.WMTLS_COUNT)

const held = () => ({
  rss_kib: Math.round(process.memoryUsage.rss() / 1024),
  descriptors: readdirSync('/proc/self/fd').length,
})

async function attempt(endpoint, signal) {
  try {
    await dispatcher.deliver(endpoint, '{"event":"ping"}', { signal })
    return 'delivered'
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    return error.kind
  }
}

let early
for (let number = 1; number <= count; number++) {
  const refused = number % 10 === 0
  const outcome = await attempt(refused ? refusing : good)
  const expected = refused ? 'client_certificate_rejected' : 'delivered'
  if (outcome !== expected) throw new Error(`${number}: ${outcome}, not ${expected}`)
  if (number % 50 === 0) {
    const abort = new AbortController()
    const givenUp = attempt(good, abort.signal)
    abort.abort()
    await givenUp
  }
  if (number === Math.floor(count / 5)) early = held()
}
console.log(JSON.stringify({ early, late: held() }))
await dispatcher.close()
