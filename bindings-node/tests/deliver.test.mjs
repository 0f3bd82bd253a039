// Deliveries to the testing kit over real TLS.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { deliver, Pins, RetryPolicy, Verifier, WebhookMtlsError } from 'webhook-mtls'
import { error, Lab } from 'webhook-mtls/testing'

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  return { lab, acme, dispatcher, endpoint }
}

test('a consumer of the kit behaves again', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.respond(500, { times: 0 })
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'http_status' })
  acme.misbehave('never_ask', 0)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'client_auth_not_requested' })
  acme.behave()
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
})

test('a receipt shows the negotiated TLS', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const receipt = await dispatcher.deliver(endpoint, '{"event":"ping"}', { id: 'evt_1' })
  assert.deepEqual(
    [receipt.status, receipt.id, receipt.consumer, receipt.pin, receipt.attempts],
    [200, 'evt_1', 'acme', 'current', 1],
  )
  assert.equal(receipt.tls.version, 'TLSv1.3')
  assert.equal(receipt.tls.keyExchange, 'X25519MLKEM768')
  assert.equal(receipt.tls.clientAuthRequested, true)
  assert.equal(receipt.peer.spkiPin, acme.pin)
  assert.ok(receipt.peer.notAfter > new Date())
  assert.equal(receipt.toJSON().tls.version, 'TLSv1.3')
  assert.equal(acme.received.length, 1)
  assert.equal(acme.received[0].tenant, 'dispatcher')
  assert.equal(endpoint.status().pinSeen, acme.pin)
  assert.match(inspect(receipt), /^Receipt \{\n  consumer: 'acme',\n  id: 'evt_1',\n  status: 200,/)
  assert.match(inspect([[[receipt]]]), /\[Receipt\]/)
  assert.equal(receipt.peer, receipt.peer)
})

test('the stack of an error shows the caller', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.respond(500)
  const e = await dispatcher.deliver(endpoint, '{}').catch((e) => e)
  assert.match(e.stack, /at async .*deliver\.test\.mjs/)
})

test('receipts stay correct after a garbage collection', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.respond(500, { times: 10 })
  const ids = Array.from({ length: 150 }, (_, n) => `evt_${n}`)
  const outcomes = await Promise.allSettled(
    ids.map((id) => dispatcher.deliver(endpoint, '{}', { id })),
  )
  const kept = outcomes
    .map(({ value }, n) => [ids[n], value])
    .filter(([, receipt], n) => receipt !== undefined && n % 7 === 0)
  outcomes.length = 0
  setFlagsFromString('--expose_gc')
  runInNewContext('gc')()
  // Finalizers run in a separate turn of the event loop.
  await new Promise(setImmediate)
  assert.ok(kept.length > 10)
  for (const [id, receipt] of kept) {
    assert.deepEqual([receipt.id, receipt.toJSON().id, receipt.status], [id, id, 200])
    assert.equal(typeof receipt.response.headers['content-length'], 'string')
  }
})

// If /proc does not show the descriptor to watch, a thread of the runtime drives.
test('a warm delivery wakes no other thread', { skip: process.platform !== 'linux' }, async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  await dispatcher.deliver(endpoint, '{}')
  const keepers = readdirSync('/proc/self/task')
    .filter((id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8') === 'webhook-mtls\n')
  const switches = () =>
    keepers
      .map((id) => readFileSync(`/proc/self/task/${id}/status`, 'utf8'))
      .reduce((sum, status) => sum + Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)[1]), 0)
  const [before, started] = [switches(), performance.now()]
  for (let n = 0; n < 500; n += 1) await dispatcher.deliver(endpoint, '{}')
  // Keepers check every 20 ms whether they are needed.
  const allowed = 50 + (keepers.length * (performance.now() - started)) / 10
  assert.ok(keepers.length > 0)
  assert.ok(switches() - before < allowed, `${switches() - before} switches, ${allowed} allowed`)
})

test('key rollover is refused before a byte leaves', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.renew({ newKey: true })
  await assert.rejects(dispatcher.deliver(endpoint, '{}', { id: 'evt_1' }), (e) => {
    assert.ok(WebhookMtlsError.is(e) && e instanceof WebhookMtlsError)
    assert.deepEqual([e.code, e.sent, e.stage], ['WMTLS_PIN_MISMATCH', 'nothing', 'handshake'])
    assert.equal(e.context.observedPin, acme.pin)
    assert.equal(e.toJSON().context.observed_pin, acme.pin)
    return true
  })
  assert.equal(acme.received.length, 0)
})

for (const [how, kind, sent] of [
  ['never_ask', 'client_auth_not_requested', 'nothing'],
  ['reject_certificate', 'client_certificate_rejected', 'nothing'],
  ['expired', 'certificate_expired', 'nothing'],
  ['wrong_name', 'name_mismatch', 'nothing'],
  ['other_ca', 'issuer_unknown', 'nothing'],
  ['reset_after_body', 'connection_lost', 'all'],
]) {
  test(`a receiver that does ${how} gives ${kind}`, async (t) => {
    const { acme, dispatcher, endpoint } = await scene(t)
    acme.misbehave(how)
    await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind, sent, consumer: 'acme' })
  })
}

test('a refusal by three consumers is our fault', async (t) => {
  const { lab, dispatcher } = await scene(t)
  const refusedBy = async (name) => {
    const consumer = await lab.consumer(name)
    consumer.misbehave('reject_certificate')
    const endpoint = dispatcher.endpoint(name, consumer.url, { pins: null })
    const e = await dispatcher.deliver(endpoint, '{}').then(assert.fail, (e) => e)
    assert.deepEqual([e.kind, e.sent], ['client_certificate_rejected', 'nothing'])
    return [e.blame, e.context.refusedBy]
  }
  assert.deepEqual(await refusedBy('one'), ['unknown', 1])
  assert.deepEqual(await refusedBy('one'), ['unknown', 1])
  assert.deepEqual(await refusedBy('two'), ['unknown', 2])
  assert.deepEqual(await refusedBy('three'), ['ours', 3])
})

test('an error for a status other than 2xx has the response', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.respond(503, { retryAfter: 7 })
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (e) => {
    assert.deepEqual([e.kind, e.retryAfterMs, e.response.status], ['http_status', 7000, 503])
    assert.ok(e.response.excerpt instanceof Uint8Array)
    return true
  })
})

test('64 promises at once', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const receipts = await Promise.all(Array.from({ length: 64 }, (_, n) => dispatcher.deliver(endpoint, String(n))))
  assert.ok(receipts.every((receipt) => receipt.status === 200))
  assert.equal(new Set(acme.received.map(({ body }) => String(Buffer.from(body)))).size, 64)
})

test('a body may change once deliver has returned', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const body = Buffer.from('before')
  const delivery = dispatcher.deliver(endpoint, body)
  body.fill('x')
  await delivery
  assert.equal(String(Buffer.from(acme.received[0].body)), 'before')
})

test('an aborted delivery is canceled', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.misbehave('stall')
  const controller = new AbortController()
  const delivery = dispatcher.deliver(endpoint, '{}', { signal: controller.signal })
  assert.equal(await acme.waitFor(1, { withinMs: 10_000 }), true)
  controller.abort()
  await assert.rejects(delivery, (e) => e.kind === 'canceled' && e.blame === 'caller' && e.sent !== 'nothing')
})

test('an already aborted signal sends nothing', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const delivery = dispatcher.deliver(endpoint, '{}', { signal: AbortSignal.abort() })
  await assert.rejects(delivery, { kind: 'canceled', sent: 'nothing' })
  assert.equal(acme.connections, 0)
})

test('closing lets deliveries finish, then refuses', async (t) => {
  const { dispatcher, endpoint } = await scene(t)
  const deliveries = Array.from({ length: 8 }, () => dispatcher.deliver(endpoint, '{}'))
  await dispatcher.close({ drainMs: 10_000 })
  assert.ok((await Promise.all(deliveries)).every(({ status }) => status === 200))
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'handle_closed' })
  await dispatcher.close()
})

test('equal values give the same endpoint', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  assert.equal(dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) }), endpoint)
  assert.equal(dispatcher.remove('acme'), true)
  assert.equal(dispatcher.remove('acme'), false)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), { kind: 'handle_closed' })
})

test('the one-shot form', async (t) => {
  const { lab, acme } = await scene(t)
  const o = { identity: lab.identity, trust: lab.trust, pins: null }
  await assert.rejects(deliver(acme.url, '{}', o), { kind: 'egress_denied', stage: 'resolve' })
  const receipt = await deliver(acme.url, '{}', { ...o, egress: { preset: 'public', allow: ['127.0.0.1'] }, id: 'evt_2' })
  assert.deepEqual([receipt.status, receipt.id, receipt.pin], [200, 'evt_2', null])
})

test('an error survives a queue', () => {
  const e = error('client_certificate_rejected')
  const again = WebhookMtlsError.fromJSON(JSON.parse(JSON.stringify(e)))
  assert.deepEqual(again.toJSON(), e.toJSON())
  assert.equal(new RetryPolicy().decide(again, { attempt: 1 }).action, 'park')
  const { delayMs } = new RetryPolicy({ attempts: 2, firstMs: 10, seed: 7 }).decide(error('connection_lost'), { attempt: 1 })
  assert.ok(delayMs >= 5 && delayMs <= 10, `${delayMs}`)
  assert.throws(() => WebhookMtlsError.fromJSON({ kind: 'no such' }), { kind: 'option_invalid' })
})

test('a panic in the addon is an error', () => {
  const require = createRequire(import.meta.url)
  const { native } = require(require.resolve('webhook-mtls').replace('index.js', 'native.js'))
  const e = WebhookMtlsError.fromJSON(JSON.parse(native.testingPanic().error))
  assert.equal(e.code, 'WMTLS_INTERNAL')
})

test('an idle dispatcher does not hold the process', async () => {
  const program = `
    import { Lab } from 'webhook-mtls/testing'
    const lab = await Lab.start()
    const acme = await lab.consumer('acme')
    const dispatcher = lab.dispatcher()
    const receipt = await dispatcher.deliver(dispatcher.endpoint('acme', acme.url, { pins: null }), '{}')
    console.log(receipt.status)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  const output = child.stdout.toArray()
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
  assert.equal(String(Buffer.concat(await output)).trim(), '200')
})

test('a worker may be terminated with a delivery in flight', async (t) => {
  const { lab, acme, dispatcher, endpoint } = await scene(t)
  const { mkdtempSync, rmSync } = await import('node:fs')
  const directory = mkdtempSync('/tmp/webhook-mtls-')
  t.after(() => rmSync(directory, { recursive: true }))
  lab.writeFiles(directory)
  acme.misbehave('stall')
  const program = `
    const { Dispatcher, Identity, Trust } = require('webhook-mtls')
    const d = new Dispatcher({ identity: Identity.fromFiles('${directory}/tls.crt', '${directory}/tls.key'),
      trust: Trust.fromFiles('${directory}/ca.pem'), egress: { preset: 'public', allow: ['127.0.0.0/8'] } })
    d.deliver(d.endpoint('acme', '${acme.url}', { pins: null }), '{}')`
  const worker = new Worker(program, { eval: true })
  assert.equal(await acme.waitFor(1, { withinMs: 10_000 }), true)
  await worker.terminate()
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
})

test('an empty chain is missing evidence', async (t) => {
  const { lab } = await scene(t)
  const verifier = new Verifier({ role: 'server', trust: lab.trust })
  assert.throws(() => verifier.verify([], { serverName: 'localhost' }), { kind: 'evidence_missing', stage: 'verify' })
})

test('a body is held until 100 Continue', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const held = dispatcher.endpoint('held', acme.url, { pins: null, holdPayload: true })
  const receipt = await dispatcher.deliver(held, '{}')
  assert.equal(receipt.holdHonored, true)
  assert.equal(receipt.toJSON().hold_honored, true)
  assert.equal(receipt.connection.proxy, null)
  assert.equal((await dispatcher.deliver(endpoint, '{}')).holdHonored, null)
  assert.deepEqual(acme.received.map(({ headers }) => headers.expect), ['100-continue', undefined])
})

test('an unreachable proxy stops every delivery, and its password is not shown', async (t) => {
  const { lab, acme } = await scene(t)
  const dispatcher = lab.dispatcher({
    proxy: 'http://127.0.0.1:1', proxyCredentials: 'dispatcher:hunter2',
  })
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (e) => {
    assert.deepEqual([e.kind, e.scope, e.sent], ['connect_failed', 'process', 'nothing'])
    assert.equal(e.context.proxy, '127.0.0.1:1')
    return !`${e.stack} ${JSON.stringify(e)}`.includes('hunter2')
  })
})
