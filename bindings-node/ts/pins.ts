import { unwrap, wrongType } from './error'
import { material, text, texts, type Body } from './options'
import { native, type Handle } from './native'

/**
 * The public keys that a peer may use, in addition to a valid chain: the current keys, and the keys
 * announced for the next rotation. A pin is `sha256/` and the base64 of the SHA-256 of the DER
 * SubjectPublicKeyInfo. Curl's `sha256//`, bare base64, and `cert-sha256/` for a whole certificate
 * are accepted as well.
 */
export class Pins {
  readonly #handle: Handle

  /**
   * @param current the current pins, at least one
   * @param next pins that are accepted as well while a key is rotated
   * @throws {WebhookMtlsError} `pin_invalid` or `option_invalid`
   */
  constructor(current: Iterable<string>, next?: Iterable<string>)
  /** @internal */
  constructor(current: Iterable<string>, next: Iterable<string> | undefined, handle: Handle)
  constructor(current: Iterable<string>, next: Iterable<string> = [], handle?: Handle) {
    this.#handle = handle ?? unwrap(native.pins(texts('current', current), texts('next', next)))
  }

  /**
   * Reads a file with one pin per line. `next` before a pin marks it as announced; `#` starts a
   * comment.
   *
   * @param path path of the file; at most 1 MiB
   * @throws {WebhookMtlsError} `pem_invalid` if the file cannot be read, `pin_invalid` if a line is
   * invalid
   */
  static fromFile(path: string): Pins {
    return new Pins([], [], unwrap(native.pinsFromFile(text('path', path))))
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'Pins or null', value)
  }
}

/**
 * Returns the pin of a certificate.
 *
 * @param certificate PEM or DER; if it has several certificates, the first, which is the leaf
 * @returns `sha256/…`
 * @throws {WebhookMtlsError} `pem_invalid` or `option_invalid`
 */
export function pinOf(certificate: Body): string {
  return unwrap(native.pinOf(material('certificate', certificate)))
}
