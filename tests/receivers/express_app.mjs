// Express: `node express_app.mjs DIALECT FOLDER`. Prints its port.

import express from 'express'
import { peerMiddleware } from 'webhook-mtls/express'
import { options } from './options.mjs'

const app = express()
// Believes every X-Forwarded-For, which must change nothing.
app.set('trust proxy', true)
app.use(peerMiddleware(options()))
app.get('/', (req, res) => res.json({ cn: req.peer.cn, evidence: req.peer.evidence, hop: req.peer.hop }))
app.get('/health', (req, res) => res.json({ cn: null }))
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
