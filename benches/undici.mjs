// undici, the client below Node's fetch and the usual alternative in Node.

import { readFileSync } from 'node:fs'
import { Pool } from 'undici'
import { IN_FLIGHT, given, inFlight, measured, oneByOne } from './measure.mjs'

const body = Buffer.alloc(1024, 'x')
const { origin, pathname } = new URL(given.url)
const pool = new Pool(origin, {
  connections: IN_FLIGHT,
  pipelining: 1,
  connect: {
    cert: readFileSync(given.file('tls.crt')),
    key: readFileSync(given.file('tls.key')),
    ca: readFileSync(given.file('ca.pem')),
    maxCachedSessions: 0,
  },
})

async function deliver() {
  const answer = await pool.request({
    method: 'POST',
    path: pathname,
    headers: { 'content-type': 'application/json' },
    body,
  })
  await answer.body.dump()
  return answer.statusCode === 200
}

const one = (n) => oneByOne(n, deliver)
const modes = { warm: one, cold: one, flight: (n) => inFlight(n, deliver) }
await measured('undici', modes[given.mode])
await pool.close()
