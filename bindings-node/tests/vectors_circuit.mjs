// Runs the circuit cases of the shared vectors: the steps of each case with one endpoint.

import { Pins, WebhookMtlsError } from 'webhook-mtls'
import { Lab, setClock } from 'webhook-mtls/testing'

const UNUSED_PIN = 'sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

/** Runs a case; returns the differences from what it expects. */
export async function circuit(given, options, subset) {
  const lab = await Lab.start()
  try {
    const acme = await lab.consumer('acme')
    const dispatcher = lab.dispatcher(options(given.options))
    const events = []
    dispatcher.on('event', (event) => events.push(event.name))
    const pinned = (which) => dispatcher.endpoint('acme', acme.url, {
      pins: { right: new Pins([acme.pin]), wrong: new Pins([UNUSED_PIN]), both: new Pins([acme.pin], [UNUSED_PIN]) }[which],
    })
    const scene = { acme, dispatcher, endpoint: pinned('right'), pinned, ahead: 0 }
    const differences = []
    for (const [at, step] of given.steps.entries()) {
      const found = await take(scene, step, subset)
      differences.push(...found.map((one) => `step ${at + 1}: ${one}`))
    }
    setClock(null)
    await dispatcher.close()
    // The events come after the calls that they are about.
    for (let turn = 0; events.length < given.events.length && turn < 1000; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    differences.push(...subset(given.events, events, 'events'))
    return differences
  } finally {
    setClock(null)
    await lab.close()
  }
}

async function take(scene, step, subset) {
  const { acme, dispatcher, endpoint } = scene
  const [[name, given]] = Object.entries(step)
  switch (name) {
    case 'misbehave':
      acme.misbehave(given.how, given.times)
      return []
    case 'respond':
      acme.respond(given.status, { times: given.times })
      return []
    case 'advance_ms':
      scene.ahead += given
      setClock(new Date(Date.now() + scene.ahead))
      return []
    case 'reset_circuit':
      endpoint.resetCircuit()
      return []
    case 'reload':
      await dispatcher.reload()
      return []
    case 'pins':
      scene.endpoint = scene.pinned(given)
      return []
    case 'circuit':
      return subset(given, endpoint.status().circuit, 'circuit')
    case 'deliver':
      return compare(given, subset, () => dispatcher.deliver(endpoint, '{}'))
    case 'probe':
      return compare(given, subset, () => dispatcher.probe(endpoint))
    case 'open_circuit':
      return compare(given, subset, () => endpoint.openCircuit(given.duration_ms))
    default:
      throw new Error(`no step ${name}`)
  }
}

async function compare(expected, subset, call) {
  try {
    await call()
    return 'ok' in expected ? [] : [`succeeded, expected ${JSON.stringify(expected)}`]
  } catch (error) {
    if (!WebhookMtlsError.is(error)) throw error
    return 'error' in expected ? subset(expected.error, error.toJSON(), 'error') : [`failed: ${error}`]
  }
}
