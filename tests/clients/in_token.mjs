// Delivers with keys of a PKCS#11 token, by the signer that docs/signer.md shows.
//
// Each line of the standard input, `KEY COUNT`, asks for so many deliveries with the key, several at
// once. They end early after a failed one. The answer is a line: {"key": …, "delivered": …,
// "failed": …}, with the error or null. The same program exists in C, Python and Rust.

import { createInterface } from 'node:readline'
import { Dispatcher, Trust } from 'webhook-mtls'
import { Token } from '../../examples/pkcs11/signer.mjs'

const AT_ONCE = 4
const env = process.env
const token = new Token(env.TOKEN_MODULE, env.TOKEN_LABEL, env.TOKEN_PIN)
const dispatcher = new Dispatcher({
  trust: Trust.fromFiles(env.WMTLS_CA),
  egress: { preset: 'public', allow: ['127.0.0.0/8'] },
  // A busy machine must not fail a delivery.
  timeoutMs: 60_000,
  handshakeTimeoutMs: 30_000,
})

async function deliver(endpoint, count) {
  let [started, delivered, failed] = [0, 0, null]
  const work = async () => {
    while (started++ < count && !failed) {
      try {
        await dispatcher.deliver(endpoint, '{}')
        delivered += 1
      } catch (error) {
        failed ??= error
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return { delivered, failed }
}

for await (const line of createInterface(process.stdin)) {
  const [key, count] = line.split(' ')
  const identity = token.identity(`${env.TOKEN_CERTS}/${key}.pem`, key)
  const endpoint = dispatcher.endpoint(key, env.WMTLS_URL, { pins: null, identity })
  console.log(JSON.stringify({ key, ...(await deliver(endpoint, Number(count))) }))
}
await dispatcher.close()
