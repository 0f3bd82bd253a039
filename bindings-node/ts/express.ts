// Middleware for Express and Connect: the verified peer of each request in `req.peer`, and the verified
// webhook in `req.webhook`.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { isRefusal, Receiver, type ReceiverOptions, type Refusal } from './receiver'
import type { PeerIdentity } from './peer'
import type { VerifiedWebhook } from './webhook'

export type { PeerIdentity } from './peer'
export type { VerifiedWebhook } from './webhook'
export type { ReceiverOptions } from './receiver'

declare global {
  // The types of Express read this namespace. It is empty without them.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** The verified peer; undefined on an excluded path. */
      peer?: PeerIdentity
      /** The verified webhook; undefined without the option `webhooks`. */
      webhook?: VerifiedWebhook
    }
  }
}

/** A request with what the middleware adds. */
export interface ReceivedRequest {
  peer?: PeerIdentity
  webhook?: VerifiedWebhook
  /** With the option `webhooks`, the body as it arrived, a Buffer. */
  body?: unknown
}

/** Middleware of Express and Connect. */
export interface PeerMiddleware {
  (
    request: IncomingMessage & ReceivedRequest,
    response: ServerResponse,
    next: (error?: unknown) => void,
  ): void
  /** How many requests were refused, by kind. */
  readonly refused: ReadonlyMap<string, number>
}

/**
 * Creates middleware that verifies the peer of every request. It answers 401 if there is no evidence
 * for a peer, and 403 if the peer is known but not allowed; the body has the kind of the error only.
 * Each refusal is published on the diagnostics channel `webhook-mtls:refused`. With `webhooks`, the
 * body of the request is the Buffer `req.body`, and parsers of bodies leave it as it is.
 *
 * @param options the verifier; the dialect and the hop of the proxy; the paths that need no peer; a
 * verifier of webhooks
 * @returns the middleware; install it before the handlers and the parsers of bodies
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function peerMiddleware(options: ReceiverOptions): PeerMiddleware {
  const receiver = new Receiver(options)
  const refuse = (response: ServerResponse, { status, body }: Refusal): void => {
    response.statusCode = status
    response.setHeader('content-type', 'application/json')
    response.end(body)
  }
  const middleware: (...given: Parameters<PeerMiddleware>) => void = (request, response, next) => {
    delete request.peer
    delete request.webhook
    let found
    try {
      found = receiver.receive(request)
    } catch (error) {
      next(error)
      return
    }
    if (found !== null && isRefusal(found)) {
      refuse(response, found)
      return
    }
    if (found !== null) request.peer = found
    if (found === null || !receiver.readsBody) {
      next()
      return
    }
    receiver.verify(request, found).then((received) => {
      if (isRefusal(received)) {
        refuse(response, received)
        return
      }
      const { body, webhook } = received
      // By `_body`, body-parser knows that the body was read.
      Object.assign(request, { webhook, body, _body: true })
      next()
    }, next)
  }
  return Object.assign(middleware, { refused: receiver.refused })
}
