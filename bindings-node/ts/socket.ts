// What a socket of `node:tls` says about its handshake. The core judges it.

import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'

import { wrongType } from './error'
import type { HandshakeGiven } from './native'

/** Node keeps these beside what it documents; without them, the documented part decides. */
interface Undocumented {
  secureConnecting?: boolean
  servername?: string | false | null
}

/** @internal */
export function handshake(socket: unknown, serverName: string | undefined): HandshakeGiven {
  // Here, because whoever verifies no socket should not have to load it.
  const tls = require('node:tls') as typeof import('node:tls')
  if (!(socket instanceof tls.TLSSocket)) throw wrongType('socket', 'a TLSSocket', socket)
  const { secureConnecting, servername } = socket as Undocumented
  // A Finished message of the peer ends its half of the handshake, and comes after its proof that
  // it has the key (RFC 8446 section 4.4). A destroyed socket has none any more.
  const complete = secureConnecting !== true && socket.getPeerFinished() !== undefined
  // Documented as null on a server's side.
  const weAreTheServer = socket.getEphemeralKeyInfo() === null
  const asked = weAreTheServer ? undefined : servername || undefined
  return {
    complete,
    weAreTheServer,
    chain: complete ? chain(socket) : [],
    serverName: serverName ?? asked,
  }
}

/** The certificates that the peer showed, its own first. */
function chain(socket: TLSSocket): Uint8Array[] {
  const shown: Uint8Array[] = []
  // The last one is its own issuer, if it is a root.
  const seen = new Set<DetailedPeerCertificate>()
  // An object without keys where the peer showed none, and null of a closed socket.
  let next = socket.getPeerCertificate(true) as DetailedPeerCertificate | null | undefined
  while (next?.raw && !seen.has(next)) {
    seen.add(next)
    shown.push(next.raw)
    next = next.issuerCertificate
  }
  return shown
}
