// Measures what the middleware of Express costs a request with a chain seen before. The limit is 40 µs.
//
//     cp benches/receive.mjs target/node/shipped/run/ && node target/node/shipped/run/receive.mjs
//
// `cargo xtask build node` installs the package there. Each round also calls an empty middleware, and the
// result is the median of the differences. Exits with 1 if it exceeds the limit.

import { Hop, TenantRule, Trust, Verifier } from 'webhook-mtls'
import { peerMiddleware } from 'webhook-mtls/express'
import { Lab } from 'webhook-mtls/testing'

const [ROUNDS, CALLS, LIMIT] = [31, 500, 40]
const USUAL = {
  Host: 'hooks.example',
  'User-Agent': 'webhooks/1.0',
  Accept: '*/*',
  'Content-Type': 'application/json',
  'Content-Length': '412',
  'webhook-id': 'evt_2b6f8f1d',
  'webhook-timestamp': '1780272000',
  'webhook-signature': 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=',
}

const lab = await Lab.start()
const client = lab.authority.issue('acme')
const trust = Trust.fromPem(lab.trustPem, { intermediates: lab.authority.intermediatePem })
const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
const verifier = new Verifier({ role: 'client', trust, tenant })
const hop = Hop.address('edge', '10.0.0.7')
const empty = (request, response, next) => next()

function perCall(middleware, rawHeaders) {
  const started = process.cpuUsage()
  let passed = 0
  for (let call = 0; call < CALLS; call += 1) {
    const request = { url: '/in', rawHeaders, socket: { remoteAddress: '10.0.0.7' } }
    middleware(request, {}, () => {
      passed += middleware === empty || request.peer.tenant === 'acme' ? 1 : 0
    })
  }
  if (passed !== CALLS) throw new Error('another tenant')
  const { user, system } = process.cpuUsage(started)
  return (user + system) / CALLS
}

let worst = 0
for (const dialect of ['nginx', 'rfc9440', 'envoy']) {
  const guarded = peerMiddleware({ verifier, dialect, hop })
  const rawHeaders = [...Object.entries(USUAL).flat(), ...client.forwarded(dialect)]
  perCall(guarded, rawHeaders)
  const round = () => perCall(guarded, rawHeaders) - perCall(empty, rawHeaders)
  const rounds = Array.from({ length: ROUNDS }, round).sort((a, b) => a - b)
  const cost = rounds[Math.floor(ROUNDS / 2)]
  console.log(`node, ${dialect}: ${cost.toFixed(1)} µs (less than ${LIMIT})`)
  worst = Math.max(worst, cost)
}
await lab.close()
process.exitCode = worst < LIMIT ? 0 : 1
