import { settled, wrongType } from './error'
import { material, text, texts, type Body } from './given'
import { native, type Handle } from './native'

/**
 * The keys a peer may have, beside a valid chain: those in use now, and those announced for the
 * next key. A pin is `sha256/` and the base64 of the SHA-256 of the DER SubjectPublicKeyInfo;
 * curl's `sha256//`, the bare base64, and `cert-sha256/` for a whole certificate are read as well.
 */
export class Pins {
  readonly #handle: Handle

  /**
   * @param current the pins in use now, at least one
   * @param next those to be accepted as well while a key is being changed
   * @throws {WebhookMtlsError} `pin_invalid` or `option_invalid`
   */
  constructor(current: Iterable<string>, next?: Iterable<string>)
  /** @internal */
  constructor(current: Iterable<string>, next: Iterable<string> | undefined, handle: Handle)
  constructor(current: Iterable<string>, next: Iterable<string> = [], handle?: Handle) {
    this.#handle = handle ?? settled(native.pins(texts('current', current), texts('next', next)))
  }

  /**
   * Reads a file with one pin a line; `next` before a pin announces it, `#` starts a comment.
   *
   * @param path the file; at most 1 MiB
   * @throws {WebhookMtlsError} `pem_invalid` if it cannot be read, `pin_invalid` if a line cannot
   */
  static fromFile(path: string): Pins {
    return new Pins([], [], settled(native.pinsFromFile(text('path', path))))
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'Pins or null', value)
  }
}

/**
 * The pin of a certificate.
 *
 * @param certificate PEM or DER; of several certificates the first, which is the leaf
 * @returns `sha256/…`
 * @throws {WebhookMtlsError} `pem_invalid` or `option_invalid`
 */
export function pinOf(certificate: Body): string {
  return settled(native.pinOf(material('certificate', certificate)))
}
