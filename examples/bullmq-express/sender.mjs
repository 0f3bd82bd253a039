// The API of the shop: takes events, and says what became of them.

import { randomUUID } from 'node:crypto'
import express from 'express'
import { jobsOf } from 'webhook-mtls/bullmq'
import { close, keep, names, queue, states } from './shop.mjs'

const api = express()
api.use(express.json())

// The event and its jobs are safe when the answer leaves.
api.post('/events', async (request, response) => {
  const id = `evt_${randomUUID().replaceAll('-', '')}`
  await keep(id, request.body)
  await queue.addBulk(jobsOf(id, names))
  response.status(202).json({ id })
})

api.get('/events/:id', async (request, response) => {
  response.json(await states(request.params.id))
})

const server = api.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/`)
})

process.once('SIGTERM', () => server.close(close))
