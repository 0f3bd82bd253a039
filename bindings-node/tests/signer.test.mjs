// Identities whose key stays elsewhere: a function of the application signs handshakes.

import assert from 'node:assert/strict'
import { createPrivateKey, sign as makeSignature } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Identity } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

// Longer than any step here takes.
const LONG = 30_000

// A deadline of handshakes for a signer that does not answer. All steps of a handshake share it: it is
// far longer than those before the signer take, so that the signer uses it up.
const DEADLINE = 3_000

/** Returns a signer with this key. */
const ownerOf = (keyPem, dsaEncoding = 'der') => {
  const key = createPrivateKey(keyPem)
  return (scheme, message, digest, deadlineMs) => {
    assert.equal(scheme, 'ecdsa_secp256r1_sha256')
    assert.equal(digest.length, 32)
    assert.ok(deadlineMs > 0 && deadlineMs <= LONG)
    return makeSignature('sha256', message, { key, dsaEncoding })
  }
}

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const { cert, key } = lab.identityPem
  const of = (sign, { handshakeTimeoutMs = LONG, ...options } = {}) => {
    const identity = Identity.fromSigner(cert, sign, options)
    const dispatcher = lab.dispatcher({ identity, handshakeTimeoutMs, timeoutMs: 2 * LONG })
    t.after(() => dispatcher.close())
    return { dispatcher, endpoint: dispatcher.endpoint('acme', acme.url, { pins: null }) }
  }
  return { lab, acme, cert, owner: ownerOf(key), raw: ownerOf(key, 'ieee-p1363'), of }
}

const count = (dispatcher, outcome) => {
  const { samples } = dispatcher.metrics().webhook_mtls_signatures_total
  return samples.filter(({ labels }) => labels.outcome === outcome).reduce((sum, { value }) => sum + value, 0)
}

/** A promise and the function that resolves it. */
const signal = () => {
  let resolve
  const promise = new Promise((done) => (resolve = done))
  return { promise, resolve }
}

test('a function signs, and a promise does', async (t) => {
  const { of, owner, raw } = await scene(t)
  const pending = async (...given) => {
    await pause(20)
    return owner(...given)
  }
  for (const sign of [owner, raw, pending, async (...given) => new Uint8Array(raw(...given))]) {
    const { dispatcher, endpoint } = of(sign, { concurrency: 1, schemes: ['ecdsa_secp256r1_sha256'] })
    const receipt = await dispatcher.deliver(endpoint, '{}')
    assert.ok(receipt.tls.signatureMs >= (sign === pending ? 20 : 0))
    assert.equal(receipt.toJSON().tls.signature_ms, receipt.tls.signatureMs)
    assert.ok((await dispatcher.deliver(endpoint, '{}')).connection.reused)
    assert.equal(count(dispatcher, 'made'), 1)
  }
})

test('what a signer throws is the cause and is not shown', async (t) => {
  const { of } = await scene(t)
  class PinRefused extends Error {
    name = 'PinRefused'
  }
  const thrown = new PinRefused('the pin 123456 was refused')
  const throwing = () => {
    throw thrown
  }
  for (const sign of [throwing, () => Promise.reject(thrown)]) {
    const { dispatcher, endpoint } = of(sign)
    const checked = (error) => {
      assert.deepEqual([error.kind, error.sent, error.retry], ['signer_failed', 'nothing', 'later'])
      assert.deepEqual([error.blame, error.scope], ['ours', 'identity'])
      assert.equal(error.cause, thrown)
      assert.equal(error.context.signerError, 'PinRefused')
      assert.ok(!`${error} ${JSON.stringify(error)} ${JSON.stringify(error.public())}`.includes('123456'))
      return true
    }
    await assert.rejects(dispatcher.deliver(endpoint, '{}'), checked)
    await assert.rejects(dispatcher.probe(endpoint), checked)
    for await (const { error } of dispatcher.deliverMany([{ endpoint, body: '{}' }])) checked(error)
    assert.equal(count(dispatcher, 'failed'), 3)
  }
})

test('a wrong answer does not leave', async (t) => {
  const { acme, of } = await scene(t)
  for (const answer of [new Uint8Array(), Buffer.alloc(64), 'text', undefined, {}, null]) {
    const { dispatcher, endpoint } = of(() => answer)
    await assert.rejects(dispatcher.deliver(endpoint, '{}'), (error) => {
      assert.equal(error.kind, 'signer_failed')
      if (answer instanceof Uint8Array) assert.equal(error.context.cause, 'signature_wrong')
      else assert.ok(error.cause instanceof TypeError)
      return true
    })
  }
  assert.equal(acme.received.length, 0)
})

test('a promise that does not settle ends the handshake at its deadline', async (t) => {
  const { acme, of, owner } = await scene(t)
  const [asked, answer] = [signal(), signal()]
  const sign = async (...given) => {
    asked.resolve()
    await answer.promise
    return owner(...given)
  }
  const { dispatcher, endpoint } = of(sign, { handshakeTimeoutMs: DEADLINE, concurrency: 1 })
  const ends = (delivery, cause) =>
    assert.rejects(delivery, (error) => {
      assert.deepEqual([error.kind, error.sent, error.context.cause], ['signer_timeout', 'nothing', cause])
      return true
    })
  const first = ends(dispatcher.deliver(endpoint, '{}'), undefined)
  await asked.promise
  const other = dispatcher.endpoint('other', acme.url, { pins: null })
  await Promise.all([first, ends(dispatcher.deliver(other, '{}'), 'signer_busy')])
  assert.equal(count(dispatcher, 'timeout'), 2)
  answer.resolve()
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
})

test('other deliveries and the loop go on while a signer is busy', async (t) => {
  const { lab, acme, of, owner } = await scene(t)
  const answer = signal()
  let calls = 0
  const { dispatcher, endpoint } = of(async (...given) => {
    calls += 1
    await answer.promise
    return owner(...given)
  })
  const slow = dispatcher.deliver(endpoint, '{}')
  while (calls === 0) await nextTurn()
  for (let at = 0; at < 8; at += 1) {
    const options = { pins: null, identity: lab.identity }
    const fast = dispatcher.endpoint(`fast-${at}`, acme.url, options)
    assert.equal((await dispatcher.deliver(fast, '{}')).status, 200)
  }
  const controller = new AbortController()
  const second = dispatcher.endpoint('second', acme.url, { pins: null })
  const aborted = dispatcher.deliver(second, '{}', { signal: controller.signal })
  while (calls === 1) await nextTurn()
  controller.abort()
  await assert.rejects(aborted, { kind: 'canceled', sent: 'nothing' })
  answer.resolve()
  assert.equal((await slow).status, 200)
})

test('a file rotates', async (t) => {
  const { lab, acme, cert, owner } = await scene(t)
  const folder = mkdtempSync(join(tmpdir(), 'signer-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'tls.crt')
  writeFileSync(file, cert)
  let signer = owner
  const identity = Identity.fromSignerFile(file, (...given) => signer(...given))
  const dispatcher = lab.dispatcher({ identity })
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  await dispatcher.deliver(endpoint, '{}')
  const issued = lab.authority.issue('second')
  writeFileSync(file, issued.certPem)
  signer = ownerOf(issued.keyPem)
  assert.ok((await dispatcher.reload()).some(({ name }) => name === 'rotated'))
  assert.ok(!(await dispatcher.deliver(endpoint, '{}')).connection.reused)
  assert.deepEqual(acme.received.map(({ tenant }) => tenant), ['dispatcher', 'second'])
})

test('arguments are checked', async (t) => {
  const { cert, owner } = await scene(t)
  const refused = (option, ...given) =>
    assert.throws(() => Identity.fromSigner(...given), ({ kind, context }) => {
      assert.deepEqual([kind, context.option], ['option_invalid', option])
      return true
    })
  refused('sign', cert, 'key')
  refused('cert', 7, owner)
  for (const concurrency of [0, 65, -1, 1.5, '8']) refused('concurrency', cert, owner, { concurrency })
  for (const schemes of [['rsa'], ['ed25519'], 'ed25519', [7]]) refused('schemes', cert, owner, { schemes })
  assert.throws(() => Identity.fromSigner(cert, owner, { timeoutMs: 1 }), { kind: 'option_invalid' })
  assert.throws(() => Identity.fromSignerFile('/absent.pem', owner), { kind: 'pem_invalid' })
})

test('a worker may end while its signer is busy', async (t) => {
  const { acme, cert, lab } = await scene(t)
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { Dispatcher, Egress, Identity, Trust } = require('webhook-mtls')
    const { cert, trust, url } = workerData
    const sign = () => {
      parentPort.postMessage('busy')
      return new Promise(() => {})
    }
    const identity = Identity.fromSigner(cert, sign)
    const egress = { preset: 'public', allow: ['127.0.0.0/8'] }
    const dispatcher = new Dispatcher({ identity, trust: Trust.fromPem(trust), egress })
    const endpoint = dispatcher.endpoint('acme', url, { pins: null })
    dispatcher.deliver(endpoint, '{}').catch(() => {})
  `
  const workerData = { cert, trust: lab.trustPem, url: acme.url }
  const worker = new Worker(program, { eval: true, workerData })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  await worker.terminate()
  const dispatcher = lab.dispatcher()
  t.after(() => dispatcher.close())
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: null })
  assert.equal((await dispatcher.deliver(endpoint, '{}')).status, 200)
})

test('a thousand handshakes', async (t) => {
  const { of, owner } = await scene(t)
  const { dispatcher, endpoint } = of(owner)
  let left = 1000
  const probeMany = async () => {
    while (left-- > 0) await dispatcher.probe(endpoint)
  }
  await Promise.all(Array.from({ length: 8 }, probeMany))
  assert.equal(count(dispatcher, 'made'), 1000)
})
