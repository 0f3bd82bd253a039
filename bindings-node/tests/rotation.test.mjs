// File rotation during deliveries, and its events.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rename, rm, rmdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Authorization, Identity, Pins, Trust, Verifier, WebhookMtlsError } from 'webhook-mtls'
import { Authority, Lab, setClock } from 'webhook-mtls/testing'

const OTHER_PIN = 'sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
const THIRD_PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

async function scene(t, lay = (files, texts) => write(files, texts)) {
  const lab = await Lab.start()
  const files = await mkdtemp(join(tmpdir(), 'rotation-'))
  const acme = await lab.consumer('acme')
  await lay(files, {
    'tls.crt': lab.identityPem.cert,
    'tls.key': lab.identityPem.key,
    'ca.pem': lab.trustPem,
    'crl.pem': lab.authority.crl(),
    pins: acme.pin,
  })
  const identity = Identity.fromFiles(join(files, 'tls.crt'), join(files, 'tls.key'))
  const trust = Trust.fromFiles(join(files, 'ca.pem'), { crls: join(files, 'crl.pem') })
  const pins = Pins.fromFile(join(files, 'pins'))
  const dispatcher = lab.dispatcher({ identity, trust, reloadMs: 0 })
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins })
  t.after(async () => {
    await dispatcher.close()
    await lab.close()
    await rm(files, { recursive: true })
  })
  const next = () => {
    const issued = lab.authority.issue('second')
    return {
      'tls.crt': issued.certPem,
      'tls.key': issued.keyPem,
      'ca.pem': lab.trustPem + new Authority('stranger').rootPem,
      'crl.pem': lab.authority.crl(),
      pins: `${acme.pin}\nnext ${OTHER_PIN}\n`,
    }
  }
  const told = async () => (await dispatcher.reload()).map((event) => event.name)
  const rotated = async () => {
    const events = await dispatcher.reload()
    for (const event of events) assert.equal(event.name, 'rotated', JSON.stringify(event))
    return events.map((event) => event.fields.what).sort()
  }
  const replace = async (name, text) => {
    await writeFile(join(files, 'beside'), text, { mode: 0o600 })
    await rename(join(files, 'beside'), join(files, name))
  }
  const at = (name) => join(files, name)
  const deliver = () => dispatcher.deliver(endpoint, '{}')
  return { lab, files, at, acme, identity, trust, dispatcher, endpoint, next, told, rotated, replace, deliver }
}

async function write(files, texts) {
  for (const [name, text] of Object.entries(texts)) await writeFile(join(files, name), text)
  await chmod(join(files, 'tls.key'), 0o600)
}

/** Delivers all the time. Every outcome must be a receipt. */
async function delivering({ deliver }, work) {
  let going = true
  const forever = async () => {
    let delivered = 0
    while (going) delivered += (await deliver()).status === 200
    return delivered
  }
  const running = Array.from({ length: 4 }, forever)
  try {
    await work()
  } finally {
    going = false
  }
  for (const delivered of await Promise.all(running)) assert.ok(delivered > 0)
}

test('files are renamed in either order', async (t) => {
  const s = await scene(t)
  await delivering(s, async () => {
    for (const [first, second] of [['tls.crt', 'tls.key'], ['tls.key', 'tls.crt']]) {
      const texts = s.next()
      await s.replace(first, texts[first])
      assert.deepEqual(await s.told(), ['rotation_failed'])
      await s.replace(second, texts[second])
      assert.deepEqual(await s.rotated(), ['identity'])
    }
    for (const [name, what] of [['ca.pem', 'trust'], ['pins', 'pins']]) {
      await s.replace(name, s.next()[name])
      assert.deepEqual(await s.rotated(), [what])
    }
  })
  await s.deliver()
  assert.equal(s.acme.received.at(-1).tenant, 'second')
})

test('files are swapped as Kubernetes does', async (t) => {
  const s = await scene(t, async (files, texts) => {
    await mkdir(join(files, '..first'))
    await write(join(files, '..first'), texts)
    await symlink('..first', join(files, '..data'))
    for (const name of Object.keys(texts)) await symlink(`..data/${name}`, join(files, name))
  })
  await delivering(s, async () => {
    await mkdir(s.at('..second'))
    await write(s.at('..second'), s.next())
    await symlink('..second', s.at('..data_tmp'))
    await rename(s.at('..data_tmp'), s.at('..data'))
    assert.deepEqual(await s.rotated(), ['identity', 'pins', 'trust'])
  })
})

for (const name of ['tls.crt', 'ca.pem', 'pins']) {
  test(`incomplete content is not used: ${name}`, async (t) => {
    const s = await scene(t)
    const texts = s.next()
    await delivering(s, async () => {
      if (name === 'tls.crt') await writeFile(s.at('tls.key'), texts['tls.key'])
      for (const broken of ['', texts[name].slice(0, texts[name].length / 2 + 5)]) {
        await writeFile(s.at(name), broken)
        // Each reload says it.
        assert.deepEqual(await s.told(), ['rotation_failed'])
        assert.deepEqual(await s.told(), ['rotation_failed'])
      }
      await rm(s.at(name))
      assert.deepEqual(await s.told(), ['rotation_failed'])
      await mkdir(s.at(name))
      assert.deepEqual(await s.told(), ['rotation_failed'])
      await rmdir(s.at(name))
      await writeFile(s.at(name), texts[name])
      assert.equal((await s.rotated()).length, 1)
    })
  })
}

test('time stamps are ignored', async (t) => {
  const s = await scene(t)
  await delivering(s, async () => {
    await writeFile(s.at('pins'), `${s.acme.pin}\nnext ${OTHER_PIN}`)
    assert.deepEqual(await s.rotated(), ['pins'])
    const before = await stat(s.at('pins'))
    await writeFile(s.at('pins'), `${s.acme.pin}\nnext ${THIRD_PIN}`)
    await utimes(s.at('pins'), before.atime, before.mtime)
    assert.equal((await stat(s.at('pins'))).size, before.size)
    assert.deepEqual(await s.rotated(), ['pins'])
    await writeFile(s.at('pins'), `${s.acme.pin}\nnext ${OTHER_PIN}`)
    await utimes(s.at('pins'), 1e9, 1e9)
    assert.deepEqual(await s.rotated(), ['pins'])
    await utimes(s.at('pins'), new Date(), new Date())
    assert.deepEqual(await s.told(), [])
  })
})

test('the first listener starts the events', async (t) => {
  const lab = await Lab.start()
  const now = Math.floor(Date.now() / 1000) * 1000
  const issued = lab.authority.issue('us', {
    notBefore: new Date(now - 99 * 3600_000),
    notAfter: new Date(now + 3600_000),
  })
  const identity = Identity.fromPem(issued.certPem, issued.keyPem)
  const dispatcher = lab.dispatcher({ identity, reloadMs: 20 })
  // A listener does not keep Node running, and without a delivery nothing else does.
  const awake = setInterval(() => {}, 1000)
  t.after(async () => {
    clearInterval(awake)
    await dispatcher.close()
    await lab.close()
  })
  const event = await new Promise((resolve) => dispatcher.on('event', resolve))
  assert.deepEqual([event.name, event.fields.name, event.fields.threshold], ['expiry', 'CN=us', 0.05])
})

test('files are polled and listeners get events', async (t) => {
  const s = await scene(t)
  const { identity, trust } = s
  const dispatcher = s.lab.dispatcher({ identity, trust, reloadMs: 20 })
  t.after(() => dispatcher.close())
  const heard = []
  let wake = () => {}
  dispatcher.on('event', (event) => {
    heard.push(event)
    wake()
    throw new Error('asked for by a test')
  })
  const count = async (number) => {
    while (heard.length < number) await new Promise((resolve) => (wake = resolve))
  }
  const warned = []
  process.on('warning', (warning) => warned.push(warning.message))
  await dispatcher.deliver(dispatcher.endpoint('acme', s.acme.url, { pins: null }), '{}')
  for (const [name, text] of Object.entries(s.next())) await s.replace(name, text)
  // A pending promise alone does not keep Node running; the deliveries do.
  await delivering(s, () => count(2))
  assert.deepEqual(heard.slice(0, 2).map((event) => event.fields.what).sort(), ['identity', 'trust'])
  for (const { fields } of heard.slice(0, 2)) assert.deepEqual([fields.pid, fields.generation], [process.pid, 2])
  await chmod(s.at('tls.key'), 0o644)
  await delivering(s, () => count(3))
  assert.equal(heard[2].name, 'key_readable')
  assert.ok(warned.some((message) => message.includes('asked for by a test')))
  assert.throws(() => dispatcher.on('events', () => {}), { kind: 'option_invalid' })
  assert.throws(() => dispatcher.on('event', 'no'), { kind: 'option_invalid' })
})

for (const [name, kind, change] of [
  ['an old CA', 'issuer_unknown', (s) => s.replace('ca.pem', new Authority('next').rootPem)],
  ['an old pin', 'pin_mismatch', (s) => s.replace('pins', OTHER_PIN)],
  [
    'a revoked consumer',
    'certificate_revoked',
    (s) => s.replace('crl.pem', s.lab.authority.crl([s.acme.issued])),
  ],
]) {
  test(`${name} is refused after a reload, on pooled connections too`, async (t) => {
    const s = await scene(t)
    await s.deliver()
    assert.ok((await s.deliver()).connection.reused)
    await change(s)
    assert.equal((await s.rotated()).length, 1)
    await assert.rejects(s.deliver(), (e) => {
      assert.ok(WebhookMtlsError.is(e))
      assert.deepEqual([e.kind, e.sent], [kind, 'nothing'])
      return true
    })
    assert.equal(s.acme.received.length, 2)
  })
}

test('a verifier rotates completely or not at all', async (t) => {
  const s = await scene(t)
  const strange = new Authority('strange')
  const [issued, stranger] = [s.lab.authority.issue('acme'), strange.issue('acme')]
  const verifier = new Verifier({
    role: 'client',
    trust: s.trust,
    authorization: Authorization.caMembers(),
    reloadMs: 0,
  })
  const kind = ({ certPem }) => {
    try {
      verifier.verify(certPem)
      return 'verified'
    } catch (e) {
      return e.kind
    }
  }
  const told = () => verifier.reload().map((event) => event.name)
  assert.deepEqual([kind(issued), kind(stranger)], ['verified', 'issuer_unknown'])
  await writeFile(s.at('ca.pem'), s.lab.trustPem.slice(0, 300))
  assert.deepEqual(told(), ['rotation_failed'])
  assert.equal(kind(issued), 'verified')
  await writeFile(s.at('ca.pem'), strange.rootPem)
  await writeFile(s.at('crl.pem'), strange.crl([stranger]))
  assert.deepEqual(told(), ['rotated'])
  assert.deepEqual([kind(issued), kind(stranger)], ['issuer_unknown', 'certificate_revoked'])
  assert.deepEqual(new Set(verifier.expiries().map((expiry) => expiry.what)), new Set(['anchor', 'crl']))
})

test('each threshold has one event, and an implausible clock has no expiry events', async (t) => {
  const s = await scene(t)
  t.after(() => setClock(null))
  const start = Math.floor(Date.now() / 1000) * 1000 - 60_000
  const life = 10 * 24 * 3600_000
  const issued = s.lab.authority.issue('us', {
    notBefore: new Date(start),
    notAfter: new Date(start + life),
  })
  const identity = Identity.fromPem(issued.certPem, issued.keyPem)
  const dispatcher = s.lab.dispatcher({ identity, reloadMs: 0, expiryWarning: 0.33 })
  t.after(() => dispatcher.close())
  const told = async (left) => {
    setClock(new Date(start + life * (1 - left)))
    const events = (await dispatcher.reload()).filter((event) => event.fields.name === 'CN=us')
    return events.map((event) => event.fields.threshold)
  }
  assert.deepEqual(await told(0.331), [])
  assert.deepEqual(await told(0.329), [0.33])
  assert.deepEqual(await told(0.099), [0.1])
  assert.deepEqual(await told(0.049), [0.05])
  assert.deepEqual(await told(-0.001), [0])
  setClock(new Date(start + life / 2))
  const own = dispatcher.expiries().filter((expiry) => expiry.name === 'CN=us')
  assert.deepEqual([own.length, own[0].what, own[0].notAfter.getTime()], [1, 'identity', start + life])
  assert.ok(Math.abs(own[0].fractionLeft - 0.5) < 1e-3)
  setClock(new Date(600_000))
  assert.deepEqual((await dispatcher.reload()).map((event) => event.name), ['clock_implausible'])
  assert.throws(() => dispatcher.expiries(), { kind: 'clock_implausible' })
})

test('a consumer without the new CA gets the previous identity', async (t) => {
  const s = await scene(t)
  const previous = s.identity
  assert.equal(s.dispatcher.rotationStatus().consumers.acme.state, 'unknown')
  await s.deliver()
  const { process: pid, consumers } = s.dispatcher.rotationStatus()
  assert.deepEqual([pid, consumers.acme.state], [process.pid, 'current'])
  assert.ok(consumers.acme.acceptedAt <= new Date())
  assert.equal(s.endpoint.status().identityAccepted, consumers.acme.wanted)
  const next = new Authority('next')
  const issued = next.issue('second')
  await s.replace('tls.crt', issued.certPem)
  await s.replace('tls.key', issued.keyPem)
  assert.deepEqual(await s.rotated(), ['identity'])
  const told = new Promise((resolve) => s.dispatcher.on('event', resolve))
  const receipt = await s.deliver()
  assert.deepEqual([receipt.status, receipt.attempts], [200, 2])
  await delivering(s, async () => {
    const event = await told
    assert.deepEqual([event.name, event.consumer], ['rotated_but_undistributed', 'acme'])
  })
  assert.throws(() => s.dispatcher.retire(previous), (e) => {
    assert.deepEqual([e.kind, e.context.consumers], ['identity_in_use', ['acme']])
    return true
  })
  s.acme.accept(next)
  assert.deepEqual(s.dispatcher.retire(previous, { force: true }), ['acme'])
  await s.deliver()
  assert.equal(s.acme.received.at(-1).tenant, 'second')
  assert.equal(s.dispatcher.rotationStatus().consumers.acme.state, 'current')
  assert.throws(() => s.dispatcher.retire({}), { kind: 'option_invalid' })
})

test('worker threads rotate the same files independently', async (t) => {
  const s = await scene(t)
  const program = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { Dispatcher, Identity, Trust } from 'webhook-mtls'
    const { files, url } = workerData
    const dispatcher = new Dispatcher({
      identity: Identity.fromFiles(files + '/tls.crt', files + '/tls.key'),
      trust: Trust.fromFiles(files + '/ca.pem'),
      egress: { preset: 'public', allow: ['127.0.0.0/8'] },
      reloadMs: 20,
    })
    const endpoint = dispatcher.endpoint('acme', url, { pins: null })
    dispatcher.on('event', async (event) => {
      await dispatcher.deliver(endpoint, 'after')
      parentPort.postMessage(event.name)
      await dispatcher.close()
      parentPort.close()
    })
    await dispatcher.deliver(endpoint, 'before')
    parentPort.on('message', () => {})
    parentPort.postMessage('ready')
  `
  const file = join(import.meta.dirname, `worker-${process.pid}.mjs`)
  await writeFile(file, program)
  t.after(() => rm(file))
  const workerData = { files: s.files, url: s.acme.url }
  const workers = [1, 2, 3].map(() => new Worker(file, { workerData }))
  const told = async (worker) => (await once(worker, 'message'))[0]
  assert.deepEqual(await Promise.all(workers.map(told)), ['ready', 'ready', 'ready'])
  const texts = s.next()
  const heard = workers.map(told)
  await s.replace('tls.key', texts['tls.key'])
  await s.replace('tls.crt', texts['tls.crt'])
  assert.deepEqual(await Promise.all(heard), ['rotated', 'rotated', 'rotated'])
  await Promise.all(workers.map((worker) => worker.terminate()))
  const seen = s.acme.received.map((received) => received.tenant)
  assert.deepEqual(seen.sort(), [...Array(3).fill('dispatcher'), ...Array(3).fill('second')])
})

test('a listener does not keep the process alive', async () => {
  const program = `
    import { Lab } from 'webhook-mtls/testing'
    const lab = await Lab.start()
    const dispatcher = lab.dispatcher({ reloadMs: 10 })
    dispatcher.on('event', () => {})
    await dispatcher.reload()
    await lab.close()
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  assert.equal(code, 0)
})
