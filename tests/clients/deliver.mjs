// Makes one delivery, described by environment variables, and prints one JSON line: {"receipt": …}
// or {"error": …}. Exits with 0 in both cases, and with 2 if arguments are missing. The same
// program exists in C, Python and Rust.

import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

const env = process.env
const needed = ['URL', 'CERT', 'KEY', 'CA', 'PIN']
const missing = needed.filter((name) => env[`WMTLS_${name}`] === undefined)

const networks = (text) => text.split(',').filter((network) => network !== '')

async function deliver() {
  const dispatcher = new Dispatcher({
    identity: Identity.fromFiles(env.WMTLS_CERT, env.WMTLS_KEY),
    trust: Trust.fromFiles(env.WMTLS_CA),
    egress: {
      preset: env.WMTLS_EGRESS ?? 'public',
      allow: networks(env.WMTLS_ALLOW ?? '127.0.0.0/8,::1/128'),
      deny: networks(env.WMTLS_DENY ?? ''),
      nat64: networks(env.WMTLS_NAT64 ?? ''),
    },
    ...(env.WMTLS_PROXY !== undefined && { proxy: env.WMTLS_PROXY }),
    timeoutMs: Number(env.WMTLS_TIMEOUT_MS ?? 10_000),
  })
  try {
    const endpoint = dispatcher.endpoint('consumer', env.WMTLS_URL, {
      pins: env.WMTLS_PIN === 'none' ? null : new Pins([env.WMTLS_PIN]),
      holdPayload: env.WMTLS_HOLD_PAYLOAD === 'true',
      minTls: env.WMTLS_MIN_TLS ?? '1.3',
    })
    return await dispatcher.deliver(endpoint, env.WMTLS_BODY ?? '{"event":"ping"}')
  } finally {
    await dispatcher.close()
  }
}

if (missing.length > 0) {
  console.error(`deliver: set WMTLS_${missing.join(', WMTLS_')}`)
  process.exitCode = 2
} else {
  try {
    console.log(JSON.stringify({ receipt: await deliver() }))
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    console.log(JSON.stringify({ error }))
  }
}
