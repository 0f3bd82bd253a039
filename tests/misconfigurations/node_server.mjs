// Node servers: node_server.mjs '{"chain": …, "key": …, "roots": {name: root}, "crls": …}'
// Prints the port of each name when all listen.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { createSecureServer } from 'node:http2'

const { chain, key, roots, crls } = JSON.parse(process.argv[2])
const answer = (request, response) => request.resume().once('end', () => response.end('ok'))

const ports = {}
for (const [name, root] of Object.entries(roots)) {
  const options = {
    cert: readFileSync(chain),
    key: readFileSync(key),
    ca: readFileSync(root),
    // Node reads only the first CRL of a text with several.
    crl: name === 'crl' ? readFileSync(crls, 'utf8').split(/(?=-----BEGIN)/) : undefined,
    requestCert: name !== 'lax',
    rejectUnauthorized: name !== 'lax',
  }
  const server = name === 'http2' ? createSecureServer(options, answer) : createServer(options, answer)
  server.on('tlsClientError', (error) => console.error(`${name} refused: ${error.code ?? error.message}`))
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  ports[name] = server.address().port
}
console.log(JSON.stringify(ports))
