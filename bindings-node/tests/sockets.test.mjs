// The peer of a node:tls connection: real handshakes with real servers.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { Authorization, pinOf, Pins, TenantRule, Trust, Verifier } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

async function scene(t, server = {}) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const { cert, key } = lab.identityPem
  const ca = lab.trustPem
  const listener = tls.createServer({
    cert, key, ca, requestCert: true, rejectUnauthorized: false, ...server,
  })
  listener.on('tlsClientError', () => {})
  t.after(() => listener.close())
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  const tenant = TenantRule.sanUri('spiffe://lab.test/tenant/{tenant}')
  const clients = new Verifier({ role: 'client', trust: lab.trust, tenant })
  const servers = new Verifier({ role: 'server', trust: lab.trust })
  return { lab, listener, clients, servers, own: { cert, key } }
}

/** Both ends of one connection, after both have completed the handshake. */
async function pair(t, { listener, own }, more = {}) {
  const { port } = listener.address()
  const client = tls.connect({ port, rejectUnauthorized: false, ...own, ...more })
  t.after(() => client.destroy())
  const [[server]] = await Promise.all([
    once(listener, 'secureConnection'), once(client, 'secureConnect'),
  ])
  t.after(() => server.destroy())
  return { client, server }
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`a client has proved possession of its key, over ${version}`, async (t) => {
    const all = await scene(t)
    const { server } = await pair(t, all, { minVersion: version, maxVersion: version })
    assert.equal(server.getProtocol(), version)
    const peer = all.clients.verifySocket(server)
    assert.deepEqual([peer.tenant, peer.evidence], ['dispatcher', 'socket'])
    assert.equal(peer.spkiPin, pinOf(all.own.cert))
    assert.equal(peer.toJSON().evidence, 'socket')
  })
}

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`a resumed session has no chain, and the error says so, over ${version}`, async (t) => {
    const all = await scene(t)
    const options = {
      ...all.own, port: all.listener.address().port, rejectUnauthorized: false,
      minVersion: version, maxVersion: version,
    }
    const first = tls.connect(options)
    t.after(() => first.destroy())
    const [[session], [whole]] = await Promise.all([
      once(first, 'session'), once(all.listener, 'secureConnection'),
    ])
    t.after(() => whole.destroy())
    assert.equal(all.clients.verifySocket(whole).tenant, 'dispatcher')
    const { server } = await pair(t, all, { ...options, session })
    assert.equal(server.isSessionReused(), true)
    assert.throws(() => all.clients.verifySocket(server), (error) => {
      assert.equal(error.kind, 'issuer_unknown')
      assert.equal(error.context.cause, 'chain_withheld')
      assert.doesNotMatch(error.message, /nor presented/)
      assert.match(error.remedy, /session tickets/)
      return true
    })
  })
}

test('before the end of the handshake there is no evidence', async (t) => {
  const { clients, servers, own } = await scene(t)
  // A server that accepts and never answers.
  const silent = net.createServer()
  t.after(() => silent.close())
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  const waiting = tls.connect({ port: silent.address().port, rejectUnauthorized: false })
  t.after(() => waiting.destroy())
  const missing = { kind: 'evidence_missing', stage: 'verify' }
  assert.throws(() => servers.verifySocket(waiting), missing)
  const [accepted] = await once(silent, 'connection')
  t.after(() => accepted.destroy())
  assert.throws(() => servers.verifySocket(waiting), missing)
  // The server's end of a connection whose client has sent nothing yet.
  const early = new tls.TLSSocket(accepted, { isServer: true, requestCert: true, ...own })
  t.after(() => early.destroy())
  assert.throws(() => clients.verifySocket(early), missing)
  assert.throws(() => clients.verifySocket(new tls.TLSSocket(new net.Socket())), missing)
})

test('a client without a certificate is refused', async (t) => {
  for (const requestCert of [true, false]) {
    const all = await scene(t, { requestCert })
    const { server } = await pair(t, { ...all, own: {} })
    assert.throws(() => all.clients.verifySocket(server), { kind: 'evidence_missing' })
  }
})

test('a destroyed socket has no peer', async (t) => {
  const all = await scene(t)
  const { server, client } = await pair(t, all)
  assert.equal(all.clients.verifySocket(server).evidence, 'socket')
  server.destroy()
  await once(client, 'close')
  assert.throws(() => all.clients.verifySocket(server), { kind: 'evidence_missing' })
})

test('a certificate that TLS accepts is still verified', async (t) => {
  const all = await scene(t)
  const other = await Lab.start()
  t.after(() => other.close())
  const { server } = await pair(t, all)
  const members = { role: 'client', authorization: Authorization.caMembers() }
  const strangers = new Verifier({ ...members, trust: other.trust })
  assert.throws(() => strangers.verifySocket(server), { kind: 'issuer_unknown' })
  const elsewhere = { ...members, authorization: Authorization.trustDomain('elsewhere.test') }
  const refusing = new Verifier({ ...elsewhere, trust: all.lab.trust })
  assert.throws(() => refusing.verifySocket(server), { kind: 'not_authorized', stage: 'verify' })
})

test('the role is that of the peer', async (t) => {
  const all = await scene(t)
  const { client, server } = await pair(t, all, { servername: 'localhost' })
  for (const [verifier, end] of [[all.servers, server], [all.clients, client]]) {
    assert.throws(() => verifier.verifySocket(end), {
      kind: 'option_invalid', context: { option: 'socket' },
    })
  }
  // The lab's own certificate is for a client, so it is invalid for a server.
  assert.throws(() => all.servers.verifySocket(client), { kind: 'purpose_not_allowed' })
})

test('a server is verified with the requested name', async (t) => {
  const { lab, servers, own } = await scene(t)
  const acme = await lab.consumer('acme')
  const { port } = new URL(acme.url)
  const socket = tls.connect({
    port: Number(port), servername: 'localhost', ca: lab.trustPem, ...own,
  })
  // The lab closes before this socket does.
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  await once(socket, 'secureConnect')
  const peer = servers.verifySocket(socket)
  assert.equal(peer.evidence, 'socket')
  assert.ok(peer.sanDns.includes('localhost'))
  assert.equal(servers.verifySocket(socket, { serverName: '127.0.0.1' }).evidence, 'socket')
  assert.throws(() => servers.verifySocket(socket, { serverName: 'other.test' }), {
    kind: 'name_mismatch',
  })
  assert.throws(() => servers.verifySocket(socket, { at: new Date() }), { kind: 'option_invalid' })
})

test('only a TLS socket is accepted', async (t) => {
  const { clients } = await scene(t)
  for (const thing of [undefined, null, {}, Buffer.alloc(1), new net.Socket()]) {
    assert.throws(() => clients.verifySocket(thing), {
      kind: 'option_invalid', context: { option: 'socket' },
    })
  }
})

test('no path uses a distrusted CA, and a public trust is only for pinned endpoints', async (t) => {
  const { lab, clients, own } = await scene(t)
  const end = '-----END CERTIFICATE-----\n'
  const [, issuer] = own.cert.replaceAll('\r', '').split(end)
  const distrusted = [pinOf(issuer + end)]
  const trust = Trust.fromPem(lab.trustPem, { distrusted })
  const members = { role: 'client', authorization: Authorization.caMembers() }
  const refusing = new Verifier({ ...members, trust })
  assert.throws(() => refusing.verify(own.cert), { kind: 'issuer_distrusted' })
  assert.equal(clients.verify(own.cert).evidence, 'asserted')
  const open = Trust.dangerousPublic(lab.trustPem)
  assert.deepEqual(open.notes, [])
  assert.throws(() => new Verifier({ ...members, trust: open }), { kind: 'option_invalid' })
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const pins = new Pins([acme.pin])
  assert.throws(() => dispatcher.endpoint('acme', acme.url, { pins: null, trust: open }), {
    kind: 'option_invalid',
  })
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins, trust: open })
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
})

test('a chain is read once, and kept when Node drops it', async (t) => {
  const all = await scene(t)
  const { server } = await pair(t, all)
  const ask = t.mock.method(server, 'getPeerCertificate')
  const first = all.clients.verifySocket(server)
  // It takes the intermediates out of the socket.
  server.getPeerX509Certificate()
  assert.deepEqual(all.clients.verifySocket(server).toJSON(), first.toJSON())
  assert.equal(ask.mock.callCount(), 1)
})

test('a chain that Node has dropped is not said to be missing', async (t) => {
  const all = await scene(t)
  const { server } = await pair(t, all)
  // Node before 24.22 takes the intermediates out of the socket.
  server.getPeerX509Certificate()
  server.getPeerX509Certificate()
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 22)) {
    assert.equal(all.clients.verifySocket(server).evidence, 'socket')
  } else {
    assert.throws(() => all.clients.verifySocket(server), (error) => {
      assert.deepEqual([error.kind, error.context.cause], ['issuer_unknown', 'chain_withheld'])
      assert.doesNotMatch(error.message, /nor presented/)
      assert.match(error.remedy, /intermediates/)
      return true
    })
  }
  const end = '-----END CERTIFICATE-----\n'
  const [, issuer] = all.own.cert.replaceAll('\r', '').split(end)
  const trust = Trust.fromPem(all.lab.trustPem, { intermediates: issuer + end })
  const authorization = Authorization.caMembers()
  const knowing = new Verifier({ role: 'client', trust, authorization })
  assert.equal(knowing.verifySocket(server).evidence, 'socket')
})
