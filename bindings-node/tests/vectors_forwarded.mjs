// Runs the forwarded cases of the shared vectors.

import { Hop, Pins } from 'webhook-mtls'

/** Returns the JSON of the peer. */
export function forwarded(given, fixtures, trust, verifier) {
  const judged = verifier(given, trust(given.trust ?? fixtures.trust))
  return judged.verifyForwarded(rawHeaders(given), {
    dialect: given.dialect,
    hop: hop(given.hop),
    remote: given.remote,
    at: new Date(given.at * 1000),
  }).toJSON()
}

function hop({ name, address, secret, certificate }) {
  if (address) return Hop.address(name, ...address)
  if (secret) return Hop.secret(name, secret)
  return certificate ? Hop.certificate(name, new Pins(certificate)) : Hop.unix(name)
}

function rawHeaders({ headers, filler = 0 }) {
  const lines = headers.flatMap(([name, value, times = 1]) => [name, value.repeat(times)])
  for (let added = 0; added < filler; added += 1) lines.push('X-Filler', '1')
  return lines
}
