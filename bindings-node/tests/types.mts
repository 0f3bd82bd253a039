// Compiled and never run: typical programs must type-check.

import {
  deliver, Dispatcher, Identity, Pins, RetryPolicy, TenantRule, Trust, Verifier, WebhookMtlsError,
  type Endpoint, type PeerIdentity, type Receipt,
} from 'webhook-mtls'
import { error, Lab } from 'webhook-mtls/testing'

interface Row { consumer: string; url: string; caPem: string; pins: string[]; nextPins: string[]; identity?: string }

export const first = (): Promise<Receipt> => deliver('https://hooks.acme.example/in', '{"event":"ping"}', {
  identity: Identity.fromFiles('tls.crt', 'tls.key'), trust: Trust.fromFiles('acme-ca.pem'), pins: null,
})

const dispatcher = new Dispatcher({ identity: Identity.fromFiles('tls.crt', 'tls.key'), timeoutMs: 20_000 })

export const endpoint = (row: Row): Endpoint => dispatcher.endpoint(row.consumer, row.url, {
  trust: Trust.fromPem(row.caPem),
  ...(row.identity !== undefined && { identity: Identity.fromFiles(row.identity, row.identity) }),
  pins: row.pins.length > 0 ? new Pins(row.pins, row.nextPins) : null,
})

export async function work(row: Row, attempt: number, signal?: AbortSignal): Promise<number> {
  try {
    const receipt = await dispatcher.deliver(endpoint(row), '{}', { id: 'evt_1', ...(signal && { signal }) })
    return receipt.status
  } catch (e) {
    if (!WebhookMtlsError.is(e)) throw e
    const step = new RetryPolicy({ attempts: 8, firstMs: 5_000 }).decide(e, { attempt })
    if (step.action === 'park' && e.scope === 'identity') return step.delayMs
    return e.kind === 'pin_mismatch' ? Number(e.context['chainValid']) : 0
  }
}

export async function blast(rows: Row[], body: Uint8Array): Promise<string[]> {
  const failed: string[] = []
  const deliveries = rows.map((row) => ({ endpoint: endpoint(row), body, id: 'evt_1', tag: row.consumer }))
  for await (const o of dispatcher.deliverMany(deliveries, { concurrency: 64 })) {
    if (o.error) failed.push(o.delivery.tag ?? o.error.kind)
    else if (o.receipt.status > 299) failed.push('never')
  }
  return failed
}

export function check(pem: string): PeerIdentity {
  const tenant = TenantRule.sanUri('spiffe://corp/tenant/{tenant}')
  return new Verifier({ role: 'client', trust: Trust.fromFiles('ca.pem'), tenant }).verify(pem, { at: new Date() })
}

export async function lab(): Promise<void> {
  await using lab = await Lab.start()
  const acme = await lab.consumer('acme')
  acme.misbehave('never_ask')
  const e: WebhookMtlsError = error('circuit_open')
  console.log(acme.received[0]?.tenant, e.retryAfterMs)
}

// @ts-expect-error an identity is read, not constructed
void new Identity()
// @ts-expect-error only the library constructs errors
void new WebhookMtlsError('x')
// @ts-expect-error one noun is not another
void new Dispatcher({ identity: Trust.fromFiles('ca.pem') })
// @ts-expect-error pins are required
dispatcher.endpoint('acme', 'https://acme.example/', {})
// @ts-expect-error a misbehavior must be a name of the table
void Lab.start().then((lab) => lab.consumer('acme')).then((acme) => acme.misbehave('dance'))

// With exactOptionalPropertyTypes, undefined is the absence of an option.
export async function optional(row: Row, id: string | undefined, signal: AbortSignal | undefined): Promise<void> {
  const target = dispatcher.endpoint(row.consumer, new URL(row.url), { pins: null, trust: undefined, concurrency: undefined })
  await dispatcher.deliver(target, '{}', { id, signal, timeoutMs: undefined, headers: undefined })
  await dispatcher.probe(target, { signal })
  const run = dispatcher.deliverMany([{ endpoint: target, body: '{}', id, tag: undefined }], { signal, concurrency: undefined })
  for await (const { receipt } of run) if (receipt) console.log(receipt.peer.tenant, { ...receipt }.consumer)
  dispatcher.on('event', ({ name, consumer, fields }) => console.log(name.length, consumer?.length, fields['closed']))
  dispatcher.once('event', (event) => { event.name satisfies string })
  await dispatcher.close({ drainMs: undefined })
}
// @ts-expect-error only events are emitted
dispatcher.on('evnt', () => {})
// @ts-expect-error a listener receives an event
dispatcher.on('event', (event: number) => event)

// The processor and the options fit BullMQ's worker and queue.
import { Queue, Worker } from 'bullmq'
import { createProcessor, jobsOf, release, workerOptions, type DeliveryData } from 'webhook-mtls/bullmq'

export async function queued(dispatcher: Dispatcher, endpoint: Endpoint): Promise<number> {
  const connection = { host: 'localhost' }
  const processor = createProcessor({ dispatcher, endpoint: () => endpoint, body: async () => '{}' })
  const worker = new Worker<DeliveryData>('hooks', processor, { connection, ...workerOptions() })
  const queue = new Queue<DeliveryData>('hooks', { connection })
  await queue.addBulk(jobsOf('evt_1', ['acme']))
  await worker.close()
  return await release(queue, { consumer: 'acme' })
}
