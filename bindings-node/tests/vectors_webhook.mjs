// The webhook cases in Node.

import { JwtKeys, WebhookVerifier } from 'webhook-mtls'

export async function webhook(given, peer, options) {
  const { secrets, keys, seen = false } = given
  const each = (texts) => Object.entries(texts).map(([tenant, text]) => [tenant, new JwtKeys(text)])
  const verifier = new WebhookVerifier({
    ...(secrets !== undefined && { secrets }),
    ...(typeof keys === 'string' && { keys: new JwtKeys(keys) }),
    ...(typeof keys === 'object' && { keys: Object.fromEntries(each(keys)) }),
    ...options(given.options),
    seen: () => seen,
  })
  const at = new Date(given.at * 1000)
  const { keyId, timestamp, ...rest } = await verifier.verifyWebhook(
    peer, given.headers, given.body, { at },
  )
  return { ...rest, key_id: keyId, timestamp_ms: timestamp && timestamp.getTime() }
}
