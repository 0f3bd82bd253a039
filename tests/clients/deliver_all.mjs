// Delivers to every case of a `cases.json` and prints one JSON line per delivery: the case, the
// delivery's number, its duration, the receipt or the error, and the error as this language shows
// it. The same program exists in C, Python and Rust; `tests/outcomes` compares the reports with the
// receivers' records.

import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { Dispatcher, Identity, Pins, Trust, WebhookMtlsError } from 'webhook-mtls'

// Most cases only wait, for a deadline or for a response that never comes.
const AT_ONCE = 24

async function deliverAll(given) {
  const spelled = ([name, millis]) => [
    `${name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())}Ms`, millis,
  ]
  const dispatcher = new Dispatcher({
    identity: Identity.fromFiles(given.cert, given.key),
    trust: Trust.fromFiles(given.ca),
    egress: { preset: 'public', allow: ['127.0.0.0/8'] },
    // A receiver sees all deliveries of its case, whatever they end in.
    circuitFailures: 0,
    ...Object.fromEntries(Object.entries(given.timeouts).map(spelled)),
  })
  const endpointOf = (cert, key) =>
    dispatcher.endpoint(given.case, given.url, {
      pins: new Pins([given.pin]),
      minTls: given.min_tls,
      identity: Identity.fromFiles(cert, key),
    })
  const endpoint = endpointOf(...(given.former ?? [given.cert, given.key]))
  for (let number = 1; number <= given.deliveries; number++) {
    if (number > 1 && given.gate !== null) await pass(given.gate)
    if (number === 2 && given.former !== null) endpointOf(given.cert, given.key)
    console.log(JSON.stringify(await said(dispatcher, endpoint, given, number)))
  }
  await dispatcher.close()
}

async function said(dispatcher, endpoint, given, number) {
  const body = Buffer.alloc(given.body_bytes, 'x')
  body.write('body-hunter2-')
  const line = { case: given.case, delivery: number }
  const started = performance.now()
  try {
    line.receipt = await dispatcher.deliver(endpoint, body, {
      id: `${given.case}-${number}`,
      headers: { 'x-token': 'header-hunter2' },
      timeoutMs: given.timeout,
    })
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    line.error = error
    line.text = `${error} ${error.stack} ${JSON.stringify(error.public())}`
  }
  line.elapsed_ms = Math.floor(performance.now() - started)
  return line
}

// Waits until the receiver closes the connection to its gate.
function pass(port) {
  return new Promise((resolve, reject) => {
    connect(port, '127.0.0.1').resume().once('close', resolve).once('error', reject)
  })
}

const waiting = JSON.parse(readFileSync(process.argv[2], 'utf8')).cases
async function work() {
  for (let next = waiting.shift(); next; next = waiting.shift()) await deliverAll(next)
}
// The most processor time of one turn of the loop. Wall-clock time depends on the machine's load.
let [before, busiest] = [process.cpuUsage(), 0]
const watch = setInterval(() => {
  const now = process.cpuUsage()
  busiest = Math.max(busiest, now.user + now.system - before.user - before.system)
  before = now
}, 1)
await Promise.all(Array.from({ length: AT_ONCE }, work))
clearInterval(watch)
console.log(JSON.stringify({ loop_busy_ms: busiest / 1e3 }))
