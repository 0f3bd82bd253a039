// The main ways of the package, in the runtime that runs this. Ends by itself, with `works`.

const assert = require('node:assert/strict')
const { once } = require('node:events')
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { deliver, Trust, Verifier, WebhookMtlsError } = require('webhook-mtls')
const { Lab } = require('webhook-mtls/testing')

async function main() {
  const lab = await Lab.start()
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })

  const receipt = await dispatcher.deliver(endpoint, '{"event":"ping"}', { id: 'evt_1' })
  assert.deepEqual([receipt.status, receipt.id, receipt.consumer], [200, 'evt_1', 'acme'])
  assert.equal(receipt.peer.cn, 'acme')
  assert.equal(structuredClone(receipt).tls.version, 'TLSv1.3')
  assert.equal(acme.received[0].id, 'evt_1')

  const tags = []
  const deliveries = Array.from({ length: 200 }, (_, tag) => ({ endpoint, body: '{}', tag }))
  for await (const { delivery, error } of dispatcher.deliverMany(deliveries, { concurrency: 16 })) {
    assert.equal(error, undefined)
    tags.push(delivery.tag)
  }
  assert.equal(new Set(tags).size, 200)
  assert.equal((await dispatcher.probe(endpoint)).consumer, 'acme')

  const { identity, trust } = lab
  const egress = { preset: 'public', allow: ['127.0.0.0/8'] }
  assert.equal((await deliver(acme.url, '{}', { identity, trust, egress, pins: null })).status, 200)

  acme.respond(503)
  const refused = await dispatcher.deliver(endpoint, '{}').catch((error) => error)
  assert.equal(refused.kind, 'http_status')
  // Bun's structuredClone drops the cause of an Error, too.
  if (!process.versions.bun) assert.ok(WebhookMtlsError.is(structuredClone(refused)))
  assert.equal(WebhookMtlsError.fromJSON(structuredClone(refused.toJSON())).kind, 'http_status')

  acme.misbehave('stall', 2)
  const late = await dispatcher.deliver(endpoint, '{}', { timeoutMs: 200 }).catch((error) => error)
  assert.equal(late.kind, 'deadline_exceeded')
  const aborting = new AbortController()
  const aborted = dispatcher.deliver(endpoint, '{}', { signal: aborting.signal })
  setImmediate(() => aborting.abort())
  assert.equal((await aborted.catch((error) => error)).kind, 'canceled')

  const directory = mkdtempSync(join(tmpdir(), 'wmtls-whole-'))
  const file = join(directory, 'ca.pem')
  writeFileSync(file, lab.trustPem)
  const verifier = new Verifier({ role: 'server', trust: Trust.fromFiles(file), reloadMs: 0 })
  const heard = once(verifier, 'event')
  writeFileSync(file, 'no certificate')
  verifier.reload()
  const alive = setInterval(() => {}, 1000)
  assert.equal((await heard)[0].name, 'rotation_failed')
  clearInterval(alive)
  rmSync(directory, { recursive: true })

  await dispatcher.close({ drainMs: 1000 })
  await lab.close()
  console.log('works')
}

main()
