// Middleware of Express, Fastify and Koa: real servers on loopback, without a proxy.
// `tests/receivers` has the proxies.

import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { Authorization, Hop, Pins, Trust, Verifier, WebhookMtlsError } from 'webhook-mtls'
import { peerMiddleware } from 'webhook-mtls/express'
import { peerPlugin } from 'webhook-mtls/fastify'
import { peerMiddleware as koaMiddleware } from 'webhook-mtls/koa'
import { Authority, Lab } from 'webhook-mtls/testing'

import { served } from './served.mjs'

const authority = new Authority('receivers')
const issued = authority.issue('acme')
const pem = (text) => Buffer.from(text).toString()
const trust = Trust.fromPem(authority.rootPem, { intermediates: authority.intermediatePem })
const verifier = new Verifier({ role: 'client', trust, authorization: Authorization.caMembers() })
// The options of clients: their certificate, and how they accept the server.
const known = { key: pem(issued.keyPem), cert: pem(issued.certPem) }
const accepting = { ca: pem(authority.rootPem), checkServerIdentity: () => undefined }
const leaf = pem(issued.certPem).split('-----END')[0].replace(/-----BEGIN CERTIFICATE-----|\n/g, '')
const header = ['Client-Cert', `:${leaf}:`]
const loopback = Hop.address('edge', '127.0.0.1')
const behind = { verifier, dialect: 'rfc9440', hop: loopback, exclude: ['/health'] }
const shown = (peer) => ({ subject: peer?.subject, evidence: peer?.evidence, hop: peer?.hop })

/** Each framework, as a listener for a request. */
const frameworks = {
  express: (options) => {
    const app = express()
    // Believes every X-Forwarded-For, which must change nothing.
    app.set('trust proxy', true)
    app.use(peerMiddleware(options))
    app.get('/{*any}', (req, res) => res.json(shown(req.peer)))
    return app
  },
  fastify: async (options) => {
    const app = Fastify({ trustProxy: true })
    app.register(peerPlugin, options)
    app.get('/*', (request, reply) => reply.send(shown(request.peer)))
    await app.ready()
    return (req, res) => app.routing(req, res)
  },
  koa: (options) => {
    const app = new Koa({ proxy: true })
    app.use(koaMiddleware(options))
    app.use((ctx) => { ctx.body = shown(ctx.state.peer) })
    return app.callback()
  },
}

/** Returns the requests that middleware with the verifier has refused. */
const countedBy = (own) => own.metrics()['webhook_mtls_refused_requests_total'].samples

/** Sends a request with header lines; returns the status and the JSON. */
async function ask(port, lines = [], { path = '/', module = http, ...options } = {}) {
  const headers = ['Host', 'localhost', ...lines.flat()]
  const request = module.request({ host: '127.0.0.1', port, path, headers, agent: false, ...options })
  request.end()
  const [response] = await once(request, 'response')
  let text = ''
  for await (const part of response.setEncoding('utf8')) text += part
  return [response.statusCode, JSON.parse(text)]
}

for (const [name, make] of Object.entries(frameworks)) {
  test(`${name}: a forwarded peer reaches the handler, and nothing forged does`, async () => {
    const seen = []
    const note = (refusal) => seen.push(refusal)
    subscribe('webhook-mtls:refused', note)
    const own = new Verifier({ role: 'client', trust, authorization: Authorization.caMembers() })
    try {
      await served(await make({ ...behind, verifier: own }), async (port) => {
        const passed = [200, { subject: 'CN=acme', evidence: 'forwarded', hop: 'edge' }]
        assert.deepEqual(await ask(port, [header]), passed)
        assert.deepEqual(await ask(port), [401, { kind: 'evidence_missing' }])
        for (const twin of ['client_cert', 'CLIENT-CERT']) {
          assert.deepEqual(await ask(port, [header, [twin, 'x']]), [401, { kind: 'hop_untrusted' }])
        }
        assert.deepEqual(await ask(port, [header], { path: '/health' }), [200, {}])
        // The query belongs to no path, and another path is not excluded.
        assert.equal((await ask(port, [], { path: '/health?a' }))[0], 200)
        assert.equal((await ask(port, [], { path: '/health/x' }))[0], 401)
      })
      const counted = Object.fromEntries(countedBy(own).map(({ labels, value }) => [labels.kind, value]))
      assert.deepEqual(counted, { evidence_missing: 2, hop_untrusted: 2 })
    } finally {
      unsubscribe('webhook-mtls:refused', note)
    }
    assert.deepEqual(seen.map(({ reason }) => reason), [
      'certificate_absent', 'repeated_header', 'repeated_header', 'certificate_absent',
    ])
    assert.ok(!JSON.stringify(seen).includes(leaf.slice(0, 40)))
  })

  test(`${name}: an address of a header is not that of the transport`, async () => {
    const hop = Hop.address('edge', '10.0.0.1')
    await served(await make({ ...behind, hop }), async (port) => {
      const lines = [header, ['X-Forwarded-For', '10.0.0.1'], ['X-Real-IP', '10.0.0.1']]
      assert.deepEqual(await ask(port, lines), [401, { kind: 'hop_untrusted' }])
    })
  })

  test(`${name}: a peer that is not allowed gets 403`, async () => {
    const authorization = Authorization.sanUris(['spiffe://lab.test/tenant/globex'])
    const strict = new Verifier({ role: 'client', trust, authorization })
    await served(await make({ ...behind, verifier: strict }), async (port) => {
      assert.deepEqual(await ask(port, [header]), [403, { kind: 'not_authorized' }])
    })
  })

  test(`${name}: TLS that ends in the server gives a peer of the socket`, async () => {
    await served(await make({ verifier }), async (port) => {
      const to = { module: https, ...accepting }
      const passed = { subject: 'CN=acme', evidence: 'socket', hop: null }
      assert.deepEqual(await ask(port, [], { ...to, ...known }), [200, passed])
      assert.deepEqual(await ask(port, [header], to), [401, { kind: 'evidence_missing' }])
    }, https.createServer, asking())
  })
}

test('a Unix socket is a hop of its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'receivers-'))
  const socketPath = join(folder, 'socket')
  const server = http.createServer(frameworks.express({ ...behind, hop: Hop.unix('local') }))
  try {
    server.listen(socketPath)
    await once(server, 'listening')
    const options = { host: undefined, port: undefined, socketPath }
    assert.equal((await ask(undefined, [header], options))[0], 200)
  } finally {
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  }
  await served(frameworks.express({ ...behind, hop: Hop.unix('local') }), async (port) => {
    assert.deepEqual(await ask(port, [header]), [401, { kind: 'hop_untrusted' }])
  })
})

/** Returns the body of the answer to a request by HTTP/2. */
async function answerOf(client, lines = {}) {
  let text = ''
  for await (const part of client.request({ ':path': '/', ...lines }).setEncoding('utf8')) text += part
  return text
}

test('HTTP/2 requests have a peer', async () => {
  const middleware = peerMiddleware(behind)
  const listener = (req, res) => middleware(req, res, () => res.end(req.peer.subject))
  await served(listener, async (port) => {
    const client = http2.connect(`http://127.0.0.1:${port}`)
    try {
      assert.equal(await answerOf(client, { 'client-cert': header[1] }), 'CN=acme')
      assert.equal(await answerOf(client), '{"kind":"evidence_missing"}')
    } finally {
      client.close()
    }
  }, http2.createServer)
  assert.deepEqual([...middleware.refused], [['evidence_missing', 1]])
})

/** The options of a server of the CA that asks for certificates and leaves the verdict to us. */
function asking() {
  const { keyPem, certPem } = authority.issue('localhost', { role: 'server' })
  const own = { key: pem(keyPem), cert: pem(certPem), ca: pem(authority.rootPem) }
  return { ...own, requestCert: true, rejectUnauthorized: false }
}

test('HTTP/2 whose TLS ends in Node gives a peer of the socket', async () => {
  const middleware = peerMiddleware({ verifier })
  const listener = (req, res) => middleware(req, res, () => res.end(JSON.stringify(shown(req.peer))))
  const passed = { subject: 'CN=acme', evidence: 'socket', hop: null }
  await served(listener, async (port) => {
    for (const [own, expected] of [[known, passed], [{}, { kind: 'evidence_missing' }]]) {
      const client = http2.connect(`https://127.0.0.1:${port}`, { ...accepting, ...own })
      try {
        for (let times = 0; times < 2; times += 1) {
          assert.deepEqual(JSON.parse(await answerOf(client)), expected)
        }
      } finally {
        client.close()
      }
    }
  }, http2.createSecureServer, asking())
})

test('a request to upgrade, as of a WebSocket, has a peer', async () => {
  const upgraded = (server, verify) => server.on('upgrade', (request, socket) => {
    let text
    try {
      text = verify(request).subject
    } catch (error) {
      text = error.kind
    }
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${text}`)
  })
  const ends = async (request) => {
    request.end()
    const [, socket, head] = await once(request, 'upgrade')
    let text = head.toString()
    for await (const part of socket.setEncoding('utf8')) text += part
    return text
  }
  const lines = ['Host', 'localhost', 'Connection', 'Upgrade', 'Upgrade', 'websocket']
  const forwarded = ({ rawHeaders, socket }) => verifier.verifyForwarded(rawHeaders, {
    dialect: 'rfc9440', hop: loopback, remote: socket.remoteAddress,
  })
  await served((req, res) => res.end(), async (port) => {
    const ask = (headers) => ends(http.request({ host: '127.0.0.1', port, headers, agent: false }))
    assert.equal(await ask([...lines, ...header]), 'CN=acme')
    assert.equal(await ask(lines), 'evidence_missing')
  }, (listener) => upgraded(http.createServer(listener), forwarded))
  await served((req, res) => res.end(), async (port) => {
    const to = { host: '127.0.0.1', port, agent: false, headers: lines, ...accepting }
    const ask = (own) => ends(https.request({ ...to, ...own }))
    assert.equal(await ask(known), 'CN=acme')
    assert.equal(await ask({}), 'evidence_missing')
  }, (listener) => upgraded(https.createServer(asking(), listener), ({ socket }) => verifier.verifySocket(socket)))
})

for (const token of ['', 'Zk2rVw8nYb4tQx7sLc9d']) {
  test(`the whole program of the guide runs, ${token ? 'behind nginx' : 'with TLS of its own'}`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'receivers-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const page = readFileSync(new URL('../../docs/receive/programs.md', import.meta.url), 'utf8')
    let [, program] = /```js\n(.*?)```/s.exec(page)
    const server = authority.issue('localhost', { role: 'server' })
    for (const [name, text] of Object.entries({
      'root.pem': authority.rootPem, 'issuing.pem': authority.intermediatePem,
      'tls.crt': server.certPem, 'tls.key': server.keyPem,
    })) writeFileSync(join(folder, name), text)
    for (const [shownText, ours] of [
      ['/ca/root', `${folder}/root`], ['/ca/issuing', `${folder}/issuing`], ['corp.example', 'lab.test'],
      ["'tls.crt'", `'${folder}/tls.crt'`], ["'tls.key'", `'${folder}/tls.key'`], ['listen(8443)', "listen(0, '127.0.0.1')"],
    ]) {
      assert.ok(program.includes(shownText), shownText)
      program = program.replace(shownText, ours)
    }
    process.env.EDGE_TOKEN = token
    const run = new Function('require', `${program}\nreturn server`)
    const running = run(createRequire(import.meta.url))
    delete process.env.EDGE_TOKEN
    const closed = once(running, 'close')
    try {
      await once(running, 'listening')
      const { port } = running.address()
      const to = token ? {} : { module: https, ...accepting }
      const post = { ...to, method: 'POST' }
      const honest = token ? [issued.forwarded('nginx'), ['x-edge-token', token]] : []
      const passed = { seen: issued.pin, evidence: token ? 'forwarded' : 'socket' }
      assert.deepEqual(await ask(port, honest, { ...post, ...known, path: '/in/acme' }), [200, passed])
      const other = http.STATUS_CODES[403]
      await assert.rejects(ask(port, honest, { ...post, ...known, path: '/in/globex' }), (error) =>
        error instanceof SyntaxError && error.message.includes(other))
      const [status, { kind }] = await ask(port, [issued.forwarded('nginx')], { ...post, path: '/in/acme' })
      assert.deepEqual([status, kind], [401, token ? 'hop_untrusted' : 'evidence_missing'])
    } finally {
      running.close()
      running.closeAllConnections()
      await closed
    }
  })
}

test('the kit starts nginx, and writes what it forwards and what a client forges', async (t) => {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const own = new Verifier({
    role: 'client', authorization: Authorization.caMembers(),
    trust: Trust.fromPem(lab.trustPem, { intermediates: lab.authority.intermediatePem }),
  })
  const app = peerMiddleware({ verifier: own, dialect: 'nginx', hop: loopback })
  const subjects = []
  const listener = (req, res) => app(req, res, () => { subjects.push(req.peer.subject); res.end('{}') })
  await served(listener, async (port) => {
    const nginx = await lab.nginx(`127.0.0.1:${port}`)
    const dispatcher = lab.dispatcher()
    t.after(() => dispatcher.close())
    const endpoint = dispatcher.endpoint('app', nginx.url, { pins: new Pins([nginx.pin]) })
    assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
    await nginx.close()
    const client = lab.authority.issue('acme')
    assert.equal((await ask(port, client.forwarded('nginx')))[0], 200)
    for (const forgery of [
      'repeated', 'capitals', 'underscore', 'underscore_alone', 'not_verified', 'absent', 'malformed',
    ]) {
      assert.equal((await ask(port, client.forwarded('nginx', { forgery })))[0], 401, forgery)
    }
    const large = client.forwarded('nginx', { forgery: 'too_large' })
    const options = { dialect: 'nginx', hop: loopback, remote: '127.0.0.1' }
    assert.throws(() => own.verifyForwarded(large, options), (error) => error.context.reason === 'too_large')
    for (const wrong of [['nginxx'], ['nginx', { forgery: 'x' }], ['caddy', { forgery: 'not_verified' }]]) {
      assert.throws(() => client.forwarded(...wrong), { kind: 'option_invalid' })
    }
  })
  assert.deepEqual(subjects, ['CN=dispatcher', 'CN=acme'])
  await assert.rejects(lab.nginx('localhost'), { kind: 'option_invalid' })
})

test('an option that no request could use is refused at once', () => {
  for (const wrong of [{ dialect: 'nginxx', hop: loopback }, { dialect: 'nginx' }, { hop: loopback }]) {
    for (const make of [peerMiddleware, koaMiddleware]) {
      assert.throws(() => make({ verifier, ...wrong }), (error) =>
        WebhookMtlsError.is(error) && error.kind === 'option_invalid')
    }
  }
})

test('header lines of a wrong type are named', () => {
  const options = { dialect: 'rfc9440', hop: loopback, remote: '127.0.0.1' }
  assert.equal(verifier.verifyForwarded(header, options).hop, 'edge')
  const fault = (call, option) => assert.throws(call, (error) =>
    WebhookMtlsError.is(error) && error.kind === 'option_invalid' && error.context.option === option)
  for (const wrong of [undefined, null, {}, 'abc', ['a'], ['a', 1], [['a', 'b'], ['c', 'd']]]) {
    fault(() => verifier.verifyForwarded(wrong, options), 'headers')
  }
  for (const [name, value] of Object.entries({ dialect: 1, hop: 'edge', remote: 1, at: 1 })) {
    fault(() => verifier.verifyForwarded(header, { ...options, [name]: value }), name)
  }
  assert.throws(() => verifier.verifyForwarded(Array(5000).fill('a'), options), (error) =>
    error.context.reason === 'too_large')
  const secret = 'Zk2rVw8nYb4tQx7sLc9d'
  const hop = Hop.secret('edge', { header: 'X-Hop', value: secret })
  assert.ok(!JSON.stringify(hop).includes(secret) && !inspect(hop).includes(secret))
})
