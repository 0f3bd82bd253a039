// Middleware of Express, Fastify and Koa that verifies the peer and the webhook of a request in one
// step. The official package of Standard Webhooks signs.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { test } from 'node:test'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { Webhook } from 'standardwebhooks'
import { Hop, TenantRule, Trust, Verifier, WebhookVerifier } from 'webhook-mtls'
import { peerMiddleware } from 'webhook-mtls/express'
import { peerPlugin } from 'webhook-mtls/fastify'
import { peerMiddleware as koaMiddleware } from 'webhook-mtls/koa'
import { Authority } from 'webhook-mtls/testing'

import { served } from './served.mjs'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const BODY = '{"event":"order.created"}'
const MOST = 32 * 1024 * 1024
const authority = new Authority('receivers')
const issued = authority.issue('acme')
const trust = Trust.fromPem(authority.rootPem, { intermediates: authority.intermediatePem })
const verifier = new Verifier({ role: 'client', trust, tenant: TenantRule.subjectCn() })
const leaf = Buffer.from(issued.certPem).toString().split('-----END')[0]
  .replace(/-----BEGIN CERTIFICATE-----|\n/g, '')
const behind = {
  verifier, dialect: 'rfc9440', hop: Hop.address('edge', '127.0.0.1'), exclude: ['/health'],
}

const shown = (webhook, body) => webhook
  ? { tenant: webhook.tenant, id: webhook.id, duplicate: webhook.duplicate, body }
  : { body }

/** Each framework, as a listener for a request. */
const frameworks = {
  express: (options) => {
    const app = express()
    app.use(peerMiddleware(options))
    app.use(express.json({ type: '*/*' }))
    const text = (body) => Buffer.isBuffer(body) ? body.toString() : JSON.stringify(body)
    app.post('/{*any}', (req, res) => res.json(shown(req.webhook, text(req.body))))
    return app
  },
  fastify: async (options) => {
    const app = Fastify({ bodyLimit: 2 * MOST })
    app.register(peerPlugin, options)
    app.post('/*', (request, reply) => reply.send(shown(request.webhook, JSON.stringify(request.body))))
    await app.ready()
    return (req, res) => app.routing(req, res)
  },
  koa: (options) => {
    const app = new Koa()
    app.use(koaMiddleware(options))
    app.use((ctx) => { ctx.body = shown(ctx.state.webhook, ctx.request.body?.toString() ?? BODY) })
    return app.callback()
  },
}

function signed(body = BODY) {
  const now = new Date()
  return {
    'content-type': 'application/json',
    'client-cert': `:${leaf}:`,
    'webhook-id': 'evt_1',
    'webhook-timestamp': Math.floor(now / 1000),
    'webhook-signature': new Webhook(SECRET).sign('evt_1', now, body),
  }
}

/** Posts the parts of a body; returns the status and the JSON. */
async function post(port, headers, parts = [BODY], path = '/') {
  const request = http.request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent: false })
  // The server may answer before it has read all of the body, and then close the connection.
  request.on('error', () => {})
  const answered = once(request, 'response')
  for (const part of parts) request.write(part)
  request.end()
  const [response] = await answered
  let text = ''
  for await (const part of response.setEncoding('utf8')) text += part
  return [response.statusCode, JSON.parse(text)]
}

for (const [name, make] of Object.entries(frameworks)) {
  test(`${name}: peer and webhook are verified in one step`, async () => {
    const ids = new Set()
    const seen = async ({ id }) => ids.has(id) || !ids.add(id)
    const webhooks = new WebhookVerifier({ secrets: [SECRET], seen })
    await served(await make({ ...behind, webhooks }), async (port) => {
      const headers = signed()
      const passed = { tenant: 'acme', id: 'evt_1', duplicate: false, body: BODY }
      assert.deepEqual(await post(port, headers), [200, passed])
      const parts = [BODY.slice(0, 5), BODY.slice(5)]
      assert.deepEqual(await post(port, headers, parts), [200, { ...passed, duplicate: true }])
      const refused = (kind) => [401, { kind }]
      assert.deepEqual(await post(port, headers, [`${BODY} `]), refused('signature_invalid'))
      const { 'client-cert': certificate, ...bare } = headers
      assert.deepEqual(await post(port, bare), refused('evidence_missing'))
      const unsigned = { 'content-type': 'application/json', 'client-cert': certificate }
      assert.deepEqual(await post(port, unsigned), refused('signature_invalid'))
      const health = { 'content-type': 'application/json' }
      assert.deepEqual(await post(port, health, [BODY], '/health'), [200, { body: BODY }])
    })
  })

  test(`${name}: a webhook of another tenant gets 403, and a body over the limit 413`, async () => {
    const webhooks = new WebhookVerifier({ secrets: { globex: [SECRET] } })
    await served(await make({ ...behind, webhooks }), async (port) => {
      assert.deepEqual(await post(port, signed()), [403, { kind: 'tenant_refused' }])
      const large = [Buffer.alloc(MOST / 2), Buffer.alloc(MOST / 2), Buffer.alloc(1)]
      assert.deepEqual(await post(port, signed(), large), [413, { kind: 'body_too_large' }])
    })
  })
}
