// A Node HTTPS server:
// node_tls.mjs <directories of the server, with commas> <root> require|optional|never <CRLs or "">
//   <newest TLS> <log> [server|client: whose order chooses the certificate]
// Prints its port when it listens.

import { appendFileSync, readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const [directories, root, asks, crls, newest, log, order = 'server'] = process.argv.slice(2)
const read = (name) => directories.split(',').map((each) => readFileSync(`${each}/${name}`))
const server = createServer(
  {
    cert: read('tls.crt'),
    key: read('tls.key'),
    ca: readFileSync(root),
    // Node reads only the first CRL of a text with several.
    crl: crls ? readFileSync(crls, 'utf8').split(/(?=-----BEGIN)/) : undefined,
    requestCert: asks !== 'never',
    rejectUnauthorized: asks === 'require',
    maxVersion: newest,
    honorCipherOrder: order === 'server',
  },
  (request, response) => {
    request.resume().once('end', () => {
      appendFileSync(log, `${request.headers['webhook-id']} 200 ${request.socket.remotePort}\n`)
      response.end('ok')
    })
  },
)
// By default Node sends 100 Continue; this handler decides instead.
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
