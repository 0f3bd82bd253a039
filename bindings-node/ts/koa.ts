// Middleware for Koa: the verified peer of each request in `ctx.state.peer`, and the verified webhook in
// `ctx.state.webhook`.

import type { IncomingMessage } from 'node:http'

import { isRefusal, Receiver, type ReceiverOptions, type Refusal } from './receiver'
import type { PeerIdentity } from './peer'
import type { VerifiedWebhook } from './webhook'

export type { PeerIdentity } from './peer'
export type { VerifiedWebhook } from './webhook'
export type { ReceiverOptions } from './receiver'

/** The state of a context: `new Koa<PeerState>()`. */
export interface PeerState {
  /** The verified peer; undefined on an excluded path. */
  peer?: PeerIdentity
  /** The verified webhook; undefined without the option `webhooks`. */
  webhook?: VerifiedWebhook
}

/** The parts of Koa's context that the middleware uses. */
export interface PeerContext {
  req: IncomingMessage
  request: object
  state: PeerState
  status: number
  type: string
  body: unknown
}

/**
 * Creates middleware that verifies the peer of every request. It answers 401 if there is no evidence
 * for a peer, and 403 if the peer is known but not allowed; the body has the kind of the error only.
 * Each refusal is published on the diagnostics channel `webhook-mtls:refused`. With `webhooks`, the
 * body of the request is the Buffer `ctx.request.body`.
 *
 * @param options the verifier; the dialect and the hop of the proxy; the paths that need no peer; a
 * verifier of webhooks
 * @returns the middleware; install it before the handlers
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function peerMiddleware(
  options: ReceiverOptions,
): (context: PeerContext, next: () => Promise<unknown>) => Promise<void> {
  const receiver = new Receiver(options)
  const refuse = (context: PeerContext, { status, body }: Refusal): void => {
    context.status = status
    context.type = 'application/json'
    context.body = body
  }
  return async (context, next) => {
    delete context.state.peer
    delete context.state.webhook
    const found = receiver.receive(context.req)
    if (found !== null && isRefusal(found)) {
      refuse(context, found)
      return
    }
    if (found !== null) {
      context.state.peer = found
      if (receiver.readsBody) {
        const received = await receiver.verify(context.req, found)
        if (isRefusal(received)) {
          refuse(context, received)
          return
        }
        context.state.webhook = received.webhook
        Object.assign(context.request, { body: received.body })
      }
    }
    await next()
  }
}
