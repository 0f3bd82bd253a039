// Runs a server on a free port of loopback while a test needs it.

import { once } from 'node:events'
import http from 'node:http'

/** Calls `run` with the port of the server, and stops the server when `run` has ended. */
export async function served(listener, run, make = http.createServer, ...options) {
  const server = make(...options, listener)
  const closed = once(server, 'close')
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    await run(server.address().port)
  } finally {
    server.close()
    server.closeAllConnections?.()
    await closed
  }
}
