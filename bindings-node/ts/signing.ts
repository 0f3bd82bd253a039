import { unwrap, wrongType } from './error'
import { texts } from './options'
import { native, type Handle } from './native'

/**
 * The secrets that sign the deliveries of an endpoint, as in Standard Webhooks: HMAC-SHA256 (`v1`)
 * and Ed25519 (`v1a`). While a secret is rotated, pass the new and the old one: each secret signs,
 * and the consumer needs only one of the signatures. A delivery to an endpoint that signs requires
 * an `id`.
 */
export class StandardWebhooks {
  readonly #handle: Handle

  /**
   * @param secrets one to eight, each `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the
   * base64 of an Ed25519 private key, as its 32 bytes alone or followed by the public key
   * @throws {WebhookMtlsError} `option_invalid`; it names a secret by its position and never
   * shows it
   */
  constructor(secrets: Iterable<string>) {
    this.#handle = unwrap(native.standardWebhooks(texts('secrets', secrets)))
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'StandardWebhooks', value)
  }
}
