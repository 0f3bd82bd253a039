// Middleware for Express and Connect: the verified peer of each request in `req.peer`.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { isRefusal, Receiver, type ReceiverOptions } from './receiver'
import type { PeerIdentity } from './peer'

export type { PeerIdentity } from './peer'
export type { ReceiverOptions } from './receiver'

declare global {
  // The types of Express read this namespace. It is empty without them.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace Express {
    interface Request {
      /** The verified peer; undefined on an excluded path. */
      peer?: PeerIdentity
    }
  }
}

/** Middleware of Express and Connect. */
export interface PeerMiddleware {
  (
    request: IncomingMessage & { peer?: PeerIdentity },
    response: ServerResponse,
    next: (error?: unknown) => void,
  ): void
  /** How many requests were refused, by kind. */
  readonly refused: ReadonlyMap<string, number>
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
export function peerMiddleware(options: ReceiverOptions): PeerMiddleware {
  const receiver = new Receiver(options)
  const middleware: (...given: Parameters<PeerMiddleware>) => void = (request, response, next) => {
    let found
    try {
      found = receiver.receive(request)
    } catch (error) {
      next(error)
      return
    }
    if (found === null) {
      delete request.peer
      next()
    } else if (isRefusal(found)) {
      response.statusCode = found.status
      response.setHeader('content-type', 'application/json')
      response.end(found.body)
    } else {
      request.peer = found
      next()
    }
  }
  return Object.assign(middleware, { refused: receiver.refused })
}
