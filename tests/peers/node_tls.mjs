// An HTTPS server as Node makes it: node_tls.mjs <directory of the server> <root>
// require|optional|never [CRLs]
// Prints its port when it listens.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [directory, root, asks, crls] = process.argv.slice(2)
const server = createServer(
  {
    cert: readFileSync(`${directory}/tls.crt`),
    key: readFileSync(`${directory}/tls.key`),
    ca: readFileSync(root),
    // Of a text with several it would read the first.
    crl: crls ? readFileSync(crls, 'utf8').split(/(?=-----BEGIN)/) : undefined,
    requestCert: asks !== 'never',
    rejectUnauthorized: asks === 'require',
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
