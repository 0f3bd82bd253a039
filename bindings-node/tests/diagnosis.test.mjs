// Diagnosis: the same report in every language. The cases are shared.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Pins, Report } from 'webhook-mtls'
import { Lab } from 'webhook-mtls/testing'

const FILE = new URL('../../tests/diagnosis/cases.json', import.meta.url)
const { cases, leads } = JSON.parse(readFileSync(FILE, 'utf8'))

const statusOf = (report, id) => report.checks.find((check) => check.id === id).status

async function scene(t) {
  const lab = await Lab.start()
  t.after(() => lab.close())
  const acme = await lab.consumer('acme')
  const dispatcher = lab.dispatcher()
  const endpoint = dispatcher.endpoint('acme', acme.url, { pins: new Pins([acme.pin]) })
  return { acme, dispatcher, endpoint }
}

test('a report says what the shared cases say', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  for (const { how, kind, check, tell, message, verdict_certificate: judged } of cases) {
    if (how !== null) acme.misbehave(how, 1)
    const report = await dispatcher.diagnose(endpoint, { timeoutMs: 20_000 })
    assert.ok(report instanceof Report)
    assert.deepEqual([report.verdict.kind, report.verdict.tell], [kind, tell], String(report))
    assert.equal(report.ok, kind === null)
    assert.equal(report.messageToConsumer !== null, message)
    assert.equal(statusOf(report, 'verdict_certificate'), judged)
    if (kind !== null) {
      assert.equal(report.verdict.check, check)
      assert.equal(report.findings[0].kind, kind)
      assert.ok(String(report).includes(kind))
    }
  }
  assert.equal(acme.received.length, 0)
})

test('a diagnosis asks on demand, and is canceled', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  const report = await dispatcher.diagnose(endpoint, { request: 'options' })
  assert.equal(statusOf(report, 'verdict_http'), 'passed')
  assert.equal(report.toJSON().schema, 1)
  assert.ok(report.elapsedMs > 0 && report.consumer === 'acme')
  assert.equal(acme.received[0].body.length, 0)
  const signal = AbortSignal.abort()
  await assert.rejects(dispatcher.diagnose(endpoint, { signal }), { kind: 'canceled' })
  await assert.rejects(dispatcher.diagnose(endpoint, { request: 'post' }), {
    kind: 'option_invalid',
  })
  await assert.rejects(dispatcher.diagnose('acme'), { kind: 'option_invalid' })
})

test('an error names the command that shows more', async (t) => {
  const { acme, dispatcher, endpoint } = await scene(t)
  acme.misbehave(leads.how, 1)
  const { origin } = new URL(acme.url)
  const line = leads.line.replace('{origin}', origin).replace('{pin}', acme.pin)
  await assert.rejects(dispatcher.deliver(endpoint, '{}'), (error) => {
    assert.equal(error.context.diagnose, line)
    assert.ok(error.remedy.endsWith(`This shows more: ${line}`))
    assert.ok(!JSON.stringify(error.public()).includes('diagnose'))
    return true
  })
})
