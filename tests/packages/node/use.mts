// Compiled and never run: the types of both entries.

import { Dispatcher, Identity, Trust, WebhookMtlsError, type Receipt } from 'webhook-mtls'
import { error, Lab } from 'webhook-mtls/testing'

export async function use(lab: Lab): Promise<Receipt> {
  const identity: Identity = lab.identity
  const dispatcher = new Dispatcher({ identity, trust: Trust.fromPem(lab.trustPem) })
  const endpoint = dispatcher.endpoint('acme', 'https://acme.example/in', { pins: null })
  try {
    return await dispatcher.deliver(endpoint, '{}', { id: 'evt_1' })
  } catch (failure) {
    if (WebhookMtlsError.is(failure) && failure.kind === 'pin_mismatch') throw failure
    throw error('deadline_exceeded')
  }
}

// @ts-expect-error: pins must be decided.
export const wrong = new Dispatcher().endpoint('acme', 'https://acme.example/in', {})
