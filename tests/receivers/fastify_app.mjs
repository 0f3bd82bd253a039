// Fastify: `node fastify_app.mjs DIALECT FOLDER`. Prints its port.

import Fastify from 'fastify'
import { peerPlugin } from 'webhook-mtls/fastify'
import { options } from './options.mjs'

const app = Fastify({ trustProxy: true })
app.register(peerPlugin, options())
app.get('/', async ({ peer }) => ({ cn: peer.cn, evidence: peer.evidence, hop: peer.hop }))
app.get('/health', async () => ({ cn: null }))
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(app.server.address().port)
