// Middleware for Koa: the verified peer of each request in `ctx.state.peer`.

import type { IncomingMessage } from 'node:http'

import { isRefusal, Receiver, type ReceiverOptions } from './receiver'
import type { PeerIdentity } from './peer'

export type { PeerIdentity } from './peer'
export type { ReceiverOptions } from './receiver'

/** The state of a context: `new Koa<PeerState>()`. */
export interface PeerState {
  /** The verified peer; undefined on an excluded path. */
  peer?: PeerIdentity
}

/** The parts of Koa's context that the middleware uses. */
export interface PeerContext {
  req: IncomingMessage
  state: PeerState
  status: number
  type: string
  body: unknown
}

/**
 * Creates middleware that verifies the peer of every request. It answers 401 if there is no evidence
 * for a peer, and 403 if the peer is known but not allowed; the body has the kind of the error only.
 * Each refusal is published on the diagnostics channel `webhook-mtls:refused`.
 *
 * @param options the verifier; the dialect and the hop of the proxy; the paths that need no peer
 * @returns the middleware; install it before the handlers
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function peerMiddleware(
  options: ReceiverOptions,
): (context: PeerContext, next: () => Promise<unknown>) => Promise<void> {
  const receiver = new Receiver(options)
  return async (context, next) => {
    delete context.state.peer
    const found = receiver.receive(context.req)
    if (found !== null && isRefusal(found)) {
      context.status = found.status
      context.type = 'application/json'
      context.body = found.body
      return
    }
    if (found !== null) context.state.peer = found
    await next()
  }
}
