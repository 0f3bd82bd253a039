// An HTTPS server as Node makes it: node_tls.mjs <directory of the server> <root> ask|never
// Prints its port when it listens.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [directory, root, ask] = process.argv.slice(2)
const server = createServer(
  {
    cert: readFileSync(`${directory}/tls.crt`),
    key: readFileSync(`${directory}/tls.key`),
    ca: readFileSync(root),
    requestCert: ask === 'ask',
    rejectUnauthorized: ask === 'ask',
  },
  (request, response) => {
    request.resume().once('end', () => response.end('ok'))
  },
)
// Node sends 100 Continue by itself, unless somebody else decides.
server.on('checkContinue', (request, response) => {
  if (request.url === '/refuse') {
    response.writeHead(403).end()
    return
  }
  if (request.url !== '/ignore') response.writeContinue()
  server.emit('request', request, response)
})
server.on('tlsClientError', (error) => console.error(`refused: ${error.code ?? error.message}`))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
