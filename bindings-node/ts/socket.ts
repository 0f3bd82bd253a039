// Reads the handshake facts of a socket of `node:tls`. The core verifies them.

import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'

import { wrongType } from './error'
import type { HandshakeFacts } from './native'

/** Undocumented properties of Node. If they are absent, the documented ones decide. */
interface UndocumentedProperties {
  secureConnecting?: boolean
  servername?: string | false | null
}

/** @internal */
export function handshake(socket: unknown, serverName: string | undefined): HandshakeFacts {
  // Loaded on demand, because most callers do not verify sockets.
  const tls = require('node:tls') as typeof import('node:tls')
  if (!(socket instanceof tls.TLSSocket)) throw wrongType('socket', 'a TLSSocket', socket)
  const { secureConnecting, servername } = socket as UndocumentedProperties
  // The peer's Finished message ends its half of the handshake, and follows its proof of possession
  // of the key (RFC 8446 section 4.4). A destroyed socket no longer has it.
  // Null for a destroyed socket.
  const finished = secureConnecting === true ? undefined : (socket.getPeerFinished() ?? undefined)
  // Documented as null on the server side. Before the handshake, Node 24 would crash.
  const isServerSide = finished !== undefined && socket.getEphemeralKeyInfo() === null
  const requested = isServerSide ? undefined : servername || undefined
  const chain = finished === undefined ? [] : knownChain(socket, finished)
  return {
    isComplete: finished !== undefined,
    isServerSide,
    chain,
    isChainWhole: chain.length !== 1 || !mayLackChain(socket),
    serverName: serverName ?? requested,
  }
}

/**
 * The chain of each socket, with the Finished message of its handshake, which differs after a
 * renegotiation. Node's answer is slow, and no longer complete after other questions about the peer.
 */
const chains = new WeakMap<TLSSocket, { finished: Buffer; chain: Uint8Array[] }>()

function knownChain(socket: TLSSocket, finished: Buffer): Uint8Array[] {
  const known = chains.get(socket)
  if (known?.finished.equals(finished)) return known.chain
  const presented = presentedChain(socket)
  if (presented.length > 0) chains.set(socket, { finished, chain: presented })
  return presented
}

/**
 * Node before 24.22 takes the issuers out of a socket when it is asked for an X509Certificate, which
 * 24.21 does itself before `secureConnection`.
 */
const DROPS_ISSUERS = ((): boolean => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  return major < 24 || (major === 24 && minor < 22)
})()

/** Returns whether the peer may have presented more than its own certificate. */
function mayLackChain(socket: TLSSocket): boolean {
  return DROPS_ISSUERS || socket.isSessionReused()
}

/** Returns the certificates that the peer presented, leaf first. */
function presentedChain(socket: TLSSocket): Uint8Array[] {
  const presented: Uint8Array[] = []
  // Stops at a root, which is its own issuer.
  const seen = new Set<DetailedPeerCertificate>()
  // An object without keys if the peer presented none, and null for a closed socket.
  let next = socket.getPeerCertificate(true) as DetailedPeerCertificate | null | undefined
  while (next?.raw && !seen.has(next)) {
    seen.add(next)
    presented.push(next.raw)
    next = next.issuerCertificate
  }
  return presented
}
