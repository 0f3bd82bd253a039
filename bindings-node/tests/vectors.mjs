// Runs the shared vectors in Node: `node vectors.mjs [DIRECTORY]`. Their format stands in
// tests/vectors/README.md; the other languages have a runner of the same shape.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  Authorization, Dispatcher, Identity, pinOf, Pins, TenantRule, Trust, Verifier, WebhookMtlsError,
} from 'webhook-mtls'
import { Lab, tables } from 'webhook-mtls/testing'

const directory = process.argv[2] ?? fileURLToPath(new URL('../../tests/vectors', import.meta.url))
const read = (file) => JSON.parse(readFileSync(join(directory, file), 'utf8'))
const WRONG = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
const durations = JSON.parse(tables()).options.filter((row) => row.kind === 'duration')

// -- from JSON to the nouns -----------------------------------------------------------------------

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())

/** Options travel by name; the table says which numbers are durations. */
const named = (noun, given = {}) => Object.fromEntries(Object.entries(given).map(([name, value]) => {
  const isDuration = typeof value === 'number' && durations.some((row) => row.of === noun && row.name === name)
  return [camel(name) + (isDuration ? 'Ms' : ''), value]
}))

const trustOf = ({ anchors, intermediates, crls }) => Trust.fromPem(anchors, {
  ...(intermediates !== undefined && { intermediates }), ...(crls && { crls }),
})
const pinsOf = ({ current, next = [] }) => new Pins(current, next)
const tenantOf = (rule) => 'san_uri' in rule ? TenantRule.sanUri(rule.san_uri)
  : 'san_dns_suffix' in rule ? TenantRule.sanDnsSuffix(rule.san_dns_suffix) : TenantRule.subjectCn()
const authorizationOf = (rule) => 'san_uris' in rule ? Authorization.sanUris(rule.san_uris)
  : 'trust_domain' in rule ? Authorization.trustDomain(rule.trust_domain) : Authorization.caMembers()
const verifierOf = (given, trust) => new Verifier({
  role: given.role, trust,
  ...(given.pins && { pins: pinsOf(given.pins) }),
  ...(given.tenant && { tenant: tenantOf(given.tenant) }),
  ...(given.authorization && { authorization: authorizationOf(given.authorization) }),
  ...named('verifier', given.options),
})
const deliverOptionsOf = ({ id, content_type, headers, timeout_ms, options }) => ({
  ...(id !== undefined && { id }), ...(content_type !== undefined && { contentType: content_type }),
  ...(headers && { headers }), ...(timeout_ms !== undefined && { timeoutMs: timeout_ms }),
  ...named('deliver', options),
})
const repeated = (text, { repeat = 1 }) => text.repeat(repeat)

// -- the three files ------------------------------------------------------------------------------

const operations = {
  identity_from_pem: ({ cert, key, passphrase }) => void Identity.fromPem(cert, key, { ...(passphrase !== undefined && { passphrase }) }),
  trust_from_pem: (given) => void trustOf(given),
  pins: (given) => void pinsOf(given),
  pin_of: ({ cert }) => ({ pin: pinOf(cert) }),
  egress: ({ preset = 'public', allow = [], deny = [] }) => void new Dispatcher({ egress: { preset, allow, deny } }),
  dispatcher: ({ options }, own) => void new Dispatcher({ ...own(), ...named('dispatcher', options) }),
  endpoint: ({ consumer, url, pins, options }, own) => {
    const chosen = pins === undefined ? undefined : pins === null ? null : new Pins(pins)
    return { url: new Dispatcher(own()).endpoint(consumer, url, { pins: chosen, ...named('endpoint', options) }).url }
  },
  deliver: async (given, own) => {
    const dispatcher = new Dispatcher(own())
    const endpoint = dispatcher.endpoint('acme', given.url, { pins: null })
    await dispatcher.deliver(endpoint, repeated(given.body ?? '', given), deliverOptionsOf(given))
  },
  tenant_rule: (rule) => void tenantOf(rule),
  authorization: (rule) => void authorizationOf(rule),
  verifier: (given, own) => void verifierOf(given, given.trust ? trustOf(given.trust) : own().trust),
}

async function config(item, { identity, trust }) {
  const own = () => ({ identity: Identity.fromPem(identity.cert, identity.key), trust: trustOf(trust) })
  return compare(item, await outcome(() => operations[item.do](item.with, own)), 'ok')
}

async function verify(item) {
  const judge = () => verifierOf(item, trustOf(item.trust)).verify(item.chain, {
    at: new Date(item.at * 1000), ...(item.server_name !== undefined && { serverName: item.server_name }),
  }).toJSON()
  return compare(item, await outcome(judge), 'ok')
}

async function deliver(item) {
  const labs = [await Lab.start(), await Lab.start()]
  try {
    return await scene(...labs)
  } finally {
    await Promise.all(labs.map((lab) => lab.close()))
  }

  async function scene(lab, other) {
    const acme = await lab.consumer('acme')
    const { misbehave, respond = [], renew } = item.consumer ?? {}
    if (misbehave) acme.misbehave(misbehave.how, misbehave.times)
    for (const { status, retry_after, times } of respond) {
      acme.respond(status, { times, ...(retry_after !== undefined && { retryAfter: retry_after }) })
    }
    const right = acme.pin
    const pins = {
      right: () => new Pins([right]), wrong: () => new Pins([WRONG]), next: () => new Pins([WRONG], [right]),
      both: () => new Pins([right], [WRONG]), none: () => null,
    }[item.pins]()
    const seen = await outcome(async () => {
      const dispatcher = lab.dispatcher()
      const endpoint = dispatcher.endpoint('acme', acme.url, { pins, ...(item.trust === 'other' && { trust: other.trust }) })
      if (renew) acme.renew({ newKey: renew.new_key })
      const send = () => dispatcher.deliver(endpoint, repeated(item.body ?? '', item), deliverOptionsOf(item.options ?? {}))
      for (let n = 1; n < (item.deliveries ?? 1); n++) await send().catch(() => {})
      return (await send()).toJSON()
    })
    const differences = compare(item, seen, 'receipt')
    const received = acme.received
    const last = received.at(-1)
    if (received.length !== item.received) differences.push(`received ${received.length}, expected ${item.received}`)
    if (item.received_body !== undefined && !Buffer.from(repeated(item.received_body, item)).equals(last?.body ?? Buffer.alloc(0))) {
      differences.push('another body was received')
    }
    if (item.received_headers) {
      differences.push(...subset(item.received_headers, Object.fromEntries(last?.headers ?? []), 'received_headers'))
    }
    return differences
  }
}

// -- comparing ------------------------------------------------------------------------------------

async function outcome(run) {
  try {
    return { ok: (await run()) ?? {} }
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    return { error: error.toJSON() }
  }
}

function compare({ expect }, seen, success) {
  if (seen.error) return expect.error ? subset(expect.error, seen.error, 'error') : [`failed: ${seen.error.message}`]
  return expect[success] ? subset(expect[success], seen.ok, success) : [`succeeded, expected ${JSON.stringify(expect)}`]
}

function subset(wanted, seen, path) {
  const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isObject(wanted) && isObject(seen)) {
    return Object.entries(wanted).flatMap(([key, value]) =>
      key in seen ? subset(value, seen[key], `${path}.${key}`) : [`${path}.${key} is missing`])
  }
  const same = JSON.stringify(wanted) === JSON.stringify(seen)
  return same ? [] : [`${path} is ${JSON.stringify(seen)}, expected ${JSON.stringify(wanted)}`]
}

let disagreed = 0
const counts = {}
for (const [name, run] of Object.entries({ config, verify, deliver })) {
  const { cases, fixtures } = read(`${name}.json`)
  for (const item of cases) {
    for (const difference of await run(item, fixtures)) {
      console.log(`${name}.json: ${item.name}: ${difference}`)
      disagreed += 1
    }
  }
  counts[name] = cases.length
}
console.log(`vectors node: config ${counts.config}, verify ${counts.verify}, deliver ${counts.deliver}, disagreed ${disagreed}`)
process.exitCode = disagreed > 0 ? 1 : 0
