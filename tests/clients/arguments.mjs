// Passes one wrong argument after the other, and prints one JSON line for each: {"case": …,
// "error": …}. The same cases, spelled in another way, exist in C, Python and Rust;
// tests/misconfigurations has what each must say.

import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

const { WMTLS_CERT: cert, WMTLS_KEY: key, WMTLS_CA: ca, WMTLS_PKCS12: pkcs12 } = process.env
const URL_OF_ACME = 'https://hooks.acme.test/in'

const good = { identity: Identity.fromFiles(cert, key), trust: Trust.fromFiles(ca) }
const dispatcher = new Dispatcher(good)
const endpoint = dispatcher.endpoint('acme', URL_OF_ACME, { pins: null })

const cases = {
  misspelled: () => new Dispatcher({ ...good, time_out: 5000 }),
  switch: () => new Dispatcher({ ...good, rejectUnauthorized: false }),
  'timeout is text': () => new Dispatcher({ ...good, timeoutMs: '30' }),
  'timeout zero': () => new Dispatcher({ ...good, timeoutMs: 0 }),
  'proxy without port': () => new Dispatcher({ ...good, proxy: 'http://proxy.acme.test' }),
  'pins not said': () => dispatcher.endpoint('other', URL_OF_ACME, {}),
  'pins are one string': () => dispatcher.endpoint('other', URL_OF_ACME, { pins: 'sha256/A' }),
  fingerprint: () => new Pins(['ab'.repeat(32)]),
  'url http': () => dispatcher.endpoint('other', 'http://hooks.acme.test/in', { pins: null }),
  'min_tls too old': () => dispatcher.endpoint('other', URL_OF_ACME, { pins: null, minTls: '1.1' }),
  'file missing': () => Identity.fromFiles('/nowhere/tls.crt', key),
  'pkcs12 as pem': () => Identity.fromFiles(pkcs12, key),
  'path as content': () => Trust.fromPem('/etc/acme/ca.pem'),
  'body is an object': () => dispatcher.deliver(endpoint, { event: 'ping' }),
  'headers of fetch': () => dispatcher.deliver(endpoint, '{}', { headers: new Headers({ a: '1' }) }),
  'header value is a number': () => dispatcher.deliver(endpoint, '{}', { headers: { 'x-a': 5 } }),
  'line break': () => dispatcher.deliver(endpoint, '{}', { headers: { 'x-a': '1\r\nx-b: 2' } }),
  // The last one.
  closed: async () => {
    await dispatcher.close()
    await dispatcher.deliver(endpoint, '{}')
  },
}

for (const [name, run] of Object.entries(cases)) {
  let told = null
  try {
    await run()
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    told = error
  }
  console.log(JSON.stringify({ case: name, error: told }))
}
