// Runs the shared vectors in Node: `node vectors.mjs [DIRECTORY]`. `tests/vectors/README.md`
// describes the format. The other languages have a runner of the same structure.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  Authorization, Dispatcher, Identity, merge, pinOf, Pins, StandardWebhooks, TenantRule, Trust, Verifier,
  WebhookMtlsError,
} from 'webhook-mtls'
import { Authority, Lab, setClock } from 'webhook-mtls/testing'
import { circuit } from './vectors_circuit.mjs'
import { forwarded } from './vectors_forwarded.mjs'
import { webhook } from './vectors_webhook.mjs'

const directory = process.argv[2] ?? fileURLToPath(new URL('../../tests/vectors', import.meta.url))
const UNUSED_PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
let disagreed = 0

// The bytes of an argument: text, or hex under its name and `_hex`.
function data(given, name) {
  const hex = given[`${name}_hex`]
  return Buffer.from(hex ?? given[name], hex === undefined ? 'utf8' : 'hex')
}

async function count(file, run) {
  const { cases, fixtures } = JSON.parse(readFileSync(`${directory}/${file}`, 'utf8'))
  for (const one of cases) {
    for (const difference of await run(one, fixtures)) {
      console.log(`${file}: ${one.name}: ${difference}`)
      disagreed += 1
    }
  }
  return cases.length
}

async function configure({ do: operation, with: given }, fixtures) {
  const ownTrust = () => Trust.fromPem(fixtures.trust.anchors)
  const ownIdentity = () => Identity.fromPem(fixtures.identity.cert, fixtures.identity.key)
  const ownDispatcher = (options) =>
    new Dispatcher({ identity: ownIdentity(), trust: ownTrust(), ...options })
  switch (operation) {
    case 'identity_from_pem': {
      const { passphrase } = given
      const secret = passphrase === undefined ? {} : { passphrase }
      return { notes: Identity.fromPem(data(given, 'cert'), data(given, 'key'), secret).notes }
    }
    case 'identity_from_pkcs12':
      return { notes: Identity.fromPkcs12(data(given, 'data'), given.passphrase).notes }
    case 'trust_from_pem': return { notes: trust(given).notes.length }
    case 'pins': return void pins(given)
    case 'standard_webhooks': return void new StandardWebhooks(given.secrets)
    case 'pin_of': return { pin: pinOf(given.cert) }
    case 'egress': return void new Dispatcher({ egress: { preset: 'public', ...given } })
    case 'dispatcher':
      return void ownDispatcher({ ...ownTrusted(given), ...options(given.options) })
    case 'endpoint': {
      const said = 'pins' in given ? { pins: given.pins && new Pins(given.pins) } : {}
      const chosen = {
        ...said, ...ownTrusted(given), ...options(given.options), ...signing(given),
      }
      return { url: ownDispatcher().endpoint(given.consumer, given.url, chosen).url }
    }
    case 'deliver': {
      const dispatcher = ownDispatcher()
      const endpoint = dispatcher.endpoint('acme', given.url, { pins: null, ...signing(given) })
      return void (await dispatcher.deliver(endpoint, repeated(given.body, given), sent(given)))
    }
    case 'merge':
      return merge(given.statuses.map((it) => (typeof it === 'string' ? it : JSON.stringify(it))))
    case 'retire': {
      const [dispatcher, identity] = [ownDispatcher(), ownIdentity()]
      setClock(new Date(given.at * 1000))
      try {
        return void dispatcher.retire(identity, { force: given.force, fleet: given.fleet })
      } finally {
        setClock(null)
      }
    }
    case 'tenant_rule': return void tenant(given)
    case 'authorization': return void authorization(given)
    case 'verifier': return void verifier(given, given.trust ? trust(given.trust) : ownTrust())
    default: throw new Error(`unknown operation ${operation}`)
  }
}

function judge(given) {
  const name = 'server_name' in given ? { serverName: given.server_name } : {}
  const at = new Date(given.at * 1000)
  return verifier(given, trust(given.trust)).verify(given.chain, { at, ...name }).toJSON()
}

// Gives the receiver a certificate of another CA. Returns the dispatcher's options.
function withKeys(keyType, acme) {
  const authority = new Authority('vectors', { keyType })
  acme.certify(authority)
  acme.renew({ newKey: true })
  acme.acceptOnly(authority)
  const { certPem, keyPem } = authority.issue('dispatcher')
  return { identity: Identity.fromPem(certPem, keyPem), trust: Trust.fromPem(authority.rootPem) }
}

async function deliver(given) {
  const [lab, other] = [await Lab.start(), await Lab.start()]
  try {
    const acme = await lab.consumer('acme')
    const { misbehave, respond = [], renew } = given.consumer ?? {}
    if (misbehave) acme.misbehave(misbehave.how, misbehave.times)
    for (const { status, retry_after, times } of respond) {
      acme.respond(status, { times, ...(retry_after !== undefined && { retryAfter: retry_after }) })
    }
    const ours = given.key_type ? withKeys(given.key_type, acme) : {}
    const right = acme.pin
    const chosen = {
      right: [[right]], wrong: [[UNUSED_PIN]], next: [[UNUSED_PIN], [right]], both: [[right], [UNUSED_PIN]],
    }[given.pins]
    const differences = await compare(given, 'receipt', async () => {
      const dispatcher = lab.dispatcher(ours)
      const endpoint = dispatcher.endpoint('acme', acme.url.replace('127.0.0.1', given.host ?? '127.0.0.1'), {
        pins: chosen ? new Pins(...chosen) : null,
        ...(given.trust === 'other' && { trust: other.trust }),
        ...options(given.endpoint_options),
        ...signing(given),
      })
      if (renew) acme.renew({ newKey: renew.new_key })
      if ('probe' in given) return (await dispatcher.probe(endpoint)).toJSON()
      const body = repeated(given.body, given)
      const once = () => dispatcher.deliver(endpoint, body, sent(given.options ?? {}))
      for (let done = 1; done < (given.deliveries ?? 1); done += 1) await once().catch(() => {})
      return (await once()).toJSON()
    })
    differences.push(...subset(given.received, acme.received.length, 'received'))
    const last = acme.received.at(-1)
    if (last) {
      const seen = last.serverName
      differences.push(...subset(given.received_server_name, seen, 'received_server_name'))
    }
    if ('received_body' in given) {
      const wanted = repeated(given.received_body, given)
      if (!last || Buffer.from(last.body).toString() !== wanted) {
        differences.push('another body was received')
      }
    }
    for (const [name, beginning] of Object.entries(given.received_headers_begin ?? {})) {
      if (!last?.headers[name]?.startsWith(beginning)) {
        differences.push(`${name} does not begin with ${beginning}`)
      }
    }
    if ('received_headers' in given) {
      differences.push(...subset(given.received_headers, last?.headers, 'received_headers'))
    }
    return differences
  } finally {
    await Promise.all([lab.close(), other.close()])
  }
}

// -- from JSON to the nouns -----------------------------------------------------------------------

const repeated = (body, { repeat = 1 }) => body.repeat(repeat)
const pins = ({ current, next = [] }) => new Pins(current, next)
const signing = (given) => 'signing' in given ? { signing: new StandardWebhooks(given.signing) } : {}
const trust = ({ anchors, dangerous_public: open, exact, ...others }) =>
  exact ? Trust.exact(anchors) : open ? Trust.dangerousPublic(anchors, others) : Trust.fromPem(anchors, others)
const ownTrusted = (given) => (given.trust ? { trust: trust(given.trust) } : {})

function tenant(given) {
  if ('san_uri' in given) return TenantRule.sanUri(given.san_uri)
  if ('san_dns_suffix' in given) return TenantRule.sanDnsSuffix(given.san_dns_suffix)
  return TenantRule.subjectCn()
}

function authorization(given) {
  if ('san_uris' in given) return Authorization.sanUris(given.san_uris)
  if ('trust_domain' in given) return Authorization.trustDomain(given.trust_domain)
  return Authorization.caMembers()
}

function verifier(given, trusted) {
  return new Verifier({
    role: given.role,
    trust: trusted,
    ...(given.pins && { pins: pins(given.pins) }),
    ...(given.tenant && { tenant: tenant(given.tenant) }),
    ...(given.authorization && { authorization: authorization(given.authorization) }),
    ...options(given.options),
  })
}

function sent({ id, content_type, headers, timeout_ms, options: others }) {
  const given = { id, contentType: content_type, headers, timeoutMs: timeout_ms }
  return { ...given, ...options(others) }
}

/** Sets options by name; a number is a duration in milliseconds. */
function options(given = {}) {
  const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
  const durations = ['reload', 'circuit_open', 'circuit_ceiling']
  const lasts = (name) => /timeout$|tolerance$/.test(name) || durations.includes(name)
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [
    typeof value === 'number' && lasts(name) ? `${camel(name)}Ms` : camel(name), value,
  ]))
}

// -- comparing ------------------------------------------------------------------------------------

async function compare({ expect }, success, run) {
  try {
    const seen = (await run()) ?? {}
    if (success in expect) return subset(expect[success], seen, success)
    return [`succeeded, expected ${JSON.stringify(expect)}`]
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    return 'error' in expect ? subset(expect.error, error.toJSON(), 'error') : [`failed: ${error}`]
  }
}

function subset(wanted, seen, path) {
  const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isObject(wanted) && isObject(seen)) {
    return Object.entries(wanted).flatMap(([key, value]) => key in seen
      ? subset(value, seen[key], `${path}.${key}`)
      : [`${path}.${key} is missing, expected ${JSON.stringify(value)}`])
  }
  const [left, right] = [JSON.stringify(wanted), JSON.stringify(seen)]
  return left === right ? [] : [`${path} is ${right}, expected ${left}`]
}

const config = await count('config.json', (one, fixtures) =>
  compare(one, 'ok', () => configure(one, fixtures)))
const verify = await count('verify.json', (one) => compare(one, 'ok', () => judge(one)))
const delivered = await count('deliver.json', deliver)
const circuits = await count('circuit.json', (one) => circuit(one, options, subset))
const forwards = await count('forwarded.json', (one, fixtures) =>
  compare(one, 'ok', () => forwarded(one, fixtures, trust, verifier)))
const webhooks = await count('webhook.json', (one, fixtures) =>
  compare(one, 'ok', () => {
    const { trust: trusted, chain, at, ...rest } = fixtures[one.peer]
    const peer = verifier(rest, trust(trusted)).verify(chain, { at: new Date(at * 1000) })
    return webhook(one, peer, options)
  }))
const counts = `config ${config}, verify ${verify}, deliver ${delivered}, circuit ${circuits}`
const more = `forwarded ${forwards}, webhook ${webhooks}`
console.log(`vectors node: ${counts}, ${more}, disagreed ${disagreed}`)
process.exitCode = disagreed > 0 ? 1 : 0
