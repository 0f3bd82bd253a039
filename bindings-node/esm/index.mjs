// The same classes for `import`: one copy in a process, however it is loaded.

import api from '../dist/index.js'

export const {
  Authorization, deliver, Dispatcher, Endpoint, Identity, PeerIdentity, pinOf, Pins, Receipt, RetryPolicy,
  TenantRule, Trust, Verifier, verifyPeer, WebhookMtlsError,
} = api
