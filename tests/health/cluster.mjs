// A cluster whose workers deliver. The primary answers scrapes with the metrics of all workers, and
// passes orders to them: /deliver?worker=0&count=50, /kill?worker=0, /start, /metrics.

import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { AggregatorRegistry } from 'prom-client'
import { Dispatcher, Identity, Trust } from 'webhook-mtls'
import { instrument } from 'webhook-mtls/prometheus'

const { WMTLS_DIRECTORY: directory, WMTLS_URL: url, PORT } = process.env
const WORKERS = 3

if (cluster.isPrimary) {
  const registry = new AggregatorRegistry()
  const workers = []
  const start = async () => {
    const worker = cluster.fork()
    workers.push(worker)
    await once(worker, 'message')
  }
  for (let number = 0; number < WORKERS; number += 1) await start()
  const orders = {
    async '/deliver'(worker, count) {
      worker.send({ count })
      // prom-client sends messages of its own.
      for (;;) {
        const [message] = await once(worker, 'message')
        if (message.delivered !== undefined) return String(message.delivered)
      }
    },
    async '/kill'(worker) {
      worker.process.kill('SIGKILL')
      await once(worker, 'exit')
      return 'killed'
    },
    async '/start'() {
      await start()
      return 'started'
    },
    '/metrics': () => registry.clusterMetrics(),
  }
  const server = createServer(async ({ url }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://127.0.0.1')
    const worker = workers[Number(searchParams.get('worker'))]
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    response.end(await orders[pathname](worker, Number(searchParams.get('count'))))
  })
  server.listen(Number(PORT), '127.0.0.1')
} else {
  const dispatcher = new Dispatcher({
    identity: Identity.fromFiles(join(directory, 'tls.crt'), join(directory, 'tls.key')),
    trust: Trust.fromFiles(join(directory, 'ca.pem')),
    egress: { preset: 'public', allow: ['127.0.0.0/8'] },
  })
  // Registers the listener that answers the primary.
  new AggregatorRegistry()
  instrument(dispatcher)
  const endpoint = dispatcher.endpoint('acme', url, { pins: null })
  process.on('message', async ({ count }) => {
    if (count === undefined) return
    let delivered = 0
    const many = Array.from({ length: count }, () => ({ endpoint, body: '{}' }))
    for await (const { error } of dispatcher.deliverMany(many)) if (error === undefined) delivered += 1
    process.send({ delivered })
  })
  process.send({ ready: true })
}
