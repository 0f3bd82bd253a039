// A consumer of the shop, which ends TLS itself and sees who has sent each webhook.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import express from 'express'
import { TenantRule, Trust, Verifier } from 'webhook-mtls'
import { peerMiddleware } from 'webhook-mtls/express'

const verifier = new Verifier({
  role: 'client',
  trust: Trust.fromFiles('ca.pem'),
  tenant: TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}'),
})

const app = express()
app.use(peerMiddleware({ verifier })) // a request without a verified peer goes no further
app.use(express.text({ type: '*/*' }))
app.post('/in', (request, response) => {
  const id = request.headers['webhook-id'] // the same in each attempt: a payload may arrive twice
  const { tenant, evidence } = request.peer
  console.log(`${id} from ${tenant}, ${evidence}: ${request.body}`)
  response.json({ id, tenant })
})

// Node asks for the certificate, and the verifier judges it.
const own = { cert: readFileSync('pki/receiver.crt'), key: readFileSync('pki/receiver.key') }
const server = createServer({ ...own, requestCert: true, rejectUnauthorized: false }, app)
server.listen(Number(process.env.PORT ?? 8443), '127.0.0.1', () => {
  console.log(`listening on https://127.0.0.1:${server.address().port}/`)
})

process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
