// Delivers webhooks over mutual TLS to consumers of a private CA, and verifies the peer at the other
// end of a connection.

export {
  deliver, Dispatcher, Endpoint,
  type DeliverOptions, type DispatcherOptions, type Egress, type EndpointOptions, type EndpointStatus,
} from './dispatcher.js'
export {
  WebhookMtlsError,
  type Blame, type ErrorResponse, type Kind, type Retry, type Scope, type Sent, type Stage,
} from './errors.js'
export { Identity, pinOf, Pins, Trust } from './material.js'
export { PeerIdentity } from './peer.js'
export { Receipt, type TlsFacts } from './receipt.js'
export { RetryPolicy, type Decision } from './retry.js'
export type { Body } from './values.js'
export {
  Authorization, TenantRule, Verifier, verifyPeer, type VerifierOptions, type VerifyOptions,
} from './verifier.js'
