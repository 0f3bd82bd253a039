// A plugin for Fastify: the verified peer of each request in `request.peer`, and the verified webhook in
// `request.webhook`.

import { Readable } from 'node:stream'

import type { FastifyPluginCallback } from 'fastify'

import { isRefusal, Receiver, type ReceiverOptions } from './receiver'
import type { PeerIdentity } from './peer'
import type { VerifiedWebhook } from './webhook'

export type { PeerIdentity } from './peer'
export type { VerifiedWebhook } from './webhook'
export type { ReceiverOptions } from './receiver'

declare module 'fastify' {
  interface FastifyRequest {
    /** The verified peer; null on an excluded path. */
    peer: PeerIdentity | null
    /** The verified webhook; null without the option `webhooks`. */
    webhook: VerifiedWebhook | null
  }
}

const plugin: FastifyPluginCallback<ReceiverOptions> = (fastify, options, done) => {
  // Fastify passes `prefix` and its other options as well.
  const { verifier, dialect, hop, exclude, webhooks } = options
  const receiver = new Receiver({ verifier, dialect, hop, exclude, webhooks })
  fastify.decorateRequest('peer', null)
  fastify.decorateRequest('webhook', null)
  fastify.addHook('onRequest', (request, reply, next) => {
    let found
    try {
      found = receiver.receive(request.raw)
    } catch (error) {
      next(error as Error)
      return
    }
    if (found !== null && isRefusal(found)) {
      void reply.code(found.status).type('application/json').send(found.body)
      return
    }
    request.peer = found
    next()
  })
  if (receiver.readsBody) {
    fastify.addHook('preParsing', async (request, reply, payload) => {
      if (request.peer === null) return payload
      const received = await receiver.verify(request.raw, request.peer, payload)
      if (isRefusal(received)) {
        await reply.code(received.status).type('application/json').send(received.body)
        return payload
      }
      request.webhook = received.webhook
      const { body } = received
      // Fastify compares the length with the header content-length.
      return Object.assign(Readable.from([body]), { receivedEncodedLength: body.length })
    })
  }
  done()
}

/**
 * Verifies the peer of every request of the instance that registers it, and of the plugins within. It
 * answers 401 if there is no evidence for a peer, and 403 if the peer is known but not allowed; the
 * body has the kind of the error only. Each refusal is published on the diagnostics channel
 * `webhook-mtls:refused`. Its options are {@link ReceiverOptions}.
 */
export const peerPlugin: FastifyPluginCallback<ReceiverOptions> = Object.assign(plugin, {
  // As fastify-plugin marks a plugin: its hook applies to the instance itself.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'webhook-mtls',
})
