// Measures the cost of verifying a chain seen before from Node. The limit is 25 µs.
//
//     cp benches/verify.mjs target/node/run/ && node target/node/run/verify.mjs
//
// `cargo xtask test node` installs the package there. The result is the median of the rounds. Exits
// with 1 if it exceeds the limit.

import { X509Certificate } from 'node:crypto'
import { TenantRule, Verifier } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const [ROUNDS, CALLS, LIMIT] = [31, 500, 25]

const lab = await Lab.start()
const blocks = lab.identityPem.cert.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g)
const chain = blocks.map((block) => new Uint8Array(new X509Certificate(block).raw))
const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
const verifier = new Verifier({ role: 'client', trust: lab.trust, tenant })

function perCall() {
  const started = process.hrtime.bigint()
  for (let call = 0; call < CALLS; call += 1) {
    if (verifier.verify(chain).tenant !== 'dispatcher') throw new Error('another tenant')
  }
  return Number(process.hrtime.bigint() - started) / CALLS / 1000
}

perCall()
const rounds = Array.from({ length: ROUNDS }, perCall).sort((a, b) => a - b)
const cost = rounds[Math.floor(ROUNDS / 2)]
console.log(`node: a chain seen before ${cost.toFixed(1)} µs (less than ${LIMIT})`)
await lab.close()
process.exitCode = cost < LIMIT ? 0 : 1
