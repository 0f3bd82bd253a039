// What identity and trust are made of: checked when made, never changed.

import { take } from './errors.js'
import { native, type Handle } from './native.js'
import { bytes, keep, optionalText, options, text, texts, wrongType, seen, type Body } from './values.js'

/** Keeps a class from being made with `new` by callers: its values come from its factories. */
export const MADE = Symbol('made by a factory')

abstract class Made {
  protected constructor(made: symbol, handle: Handle) {
    if (made !== MADE) throw wrongType('constructor', 'left alone; use the static methods', 'called')
    keep(this, handle)
  }
}

/** Our certificate chain and private key, checked to fit each other. */
export class Identity extends Made {
  /** @internal */
  static made(handle: Handle): Identity {
    return new Identity(MADE, handle)
  }

  /**
   * Reads PEM files: the chain, leaf first, and its private key.
   *
   * @param cert path of the chain
   * @param key path of the key; may be the same file
   * @param o `passphrase` opens an encrypted PKCS#8 key
   * @throws WebhookMtlsError `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable`
   */
  static fromFiles(cert: string, key: string, o?: { passphrase?: string }): Identity {
    const passphrase = only(o, ['passphrase'])
    return Identity.made(take(native.identityFromFiles(text(cert, 'cert'), text(key, 'key'), optionalText(passphrase['passphrase'], 'passphrase'))))
  }

  /** Reads PEM text or DER; otherwise as `fromFiles`. */
  static fromPem(cert: Body, key: Body, o?: { passphrase?: string }): Identity {
    const passphrase = only(o, ['passphrase'])
    return Identity.made(take(native.identityFromPem(bytes(cert, 'cert'), bytes(key, 'key'), optionalText(passphrase['passphrase'], 'passphrase'))))
  }
}

/** The private CA anchors, known intermediates and CRLs that judge a peer. */
export class Trust extends Made {
  /** @internal */
  static made(handle: Handle): Trust {
    return new Trust(MADE, handle)
  }

  /**
   * Reads PEM files.
   *
   * @param anchors path of the CA certificates that are believed
   * @param o paths of `intermediates` that peers may leave out, and of `crls`
   * @throws WebhookMtlsError `pem_invalid`, `trust_invalid`, `public_root_in_trust`, `crl_unusable`
   */
  static fromFiles(anchors: string, o?: { intermediates?: string; crls?: string }): Trust {
    const given = only(o, ['intermediates', 'crls'])
    return Trust.made(take(native.trustFromFiles(
      text(anchors, 'anchors'),
      optionalText(given['intermediates'], 'intermediates'),
      optionalText(given['crls'], 'crls'),
    )))
  }

  /** Reads PEM text or DER; otherwise as `fromFiles`. */
  static fromPem(anchors: Body, o?: { intermediates?: Body; crls?: Body[] }): Trust {
    const given = only(o, ['intermediates', 'crls'])
    const { intermediates, crls } = given
    if (crls !== undefined && !Array.isArray(crls)) throw wrongType('crls', 'a list', seen(crls))
    return Trust.made(take(native.trustFromPem(
      bytes(anchors, 'anchors'),
      intermediates === undefined ? undefined : bytes(intermediates, 'intermediates'),
      (crls ?? []).map((crl) => bytes(crl, 'crls')),
    )))
  }
}

/** The keys one consumer may have: those in use now, and those announced for the next key. */
export class Pins {
  /**
   * @param current pins in use now: `sha256/…`, curl's `sha256//…`, bare base64, or `cert-sha256/…`
   * @param next pins to be accepted as well while a key is being changed
   * @throws WebhookMtlsError `pin_invalid`
   */
  constructor(current: Iterable<string>, next: Iterable<string> = []) {
    keep(this, take(native.pins(texts(current, 'current'), texts(next, 'next'))))
  }

  /** Reads a file with one pin a line; `next` before a pin announces it, `#` starts a comment. */
  static fromFile(path: string): Pins {
    const pins = Object.create(Pins.prototype) as Pins
    keep(pins, take(native.pinsFromFile(text(path, 'path'))))
    return pins
  }
}

/**
 * The pin (`sha256/…`) of a certificate in PEM or DER; of several, the first.
 *
 * @throws WebhookMtlsError `pem_invalid`
 */
export function pinOf(certificate: Body): string {
  return take(native.pinOf(bytes(certificate, 'certificate')))
}

/** The options of a function that has no row in the core's table. */
function only(given: unknown, known: string[]): Record<string, unknown> {
  const object = options(given, 'options')
  const unknown = Object.keys(object).find((key) => !known.includes(key))
  if (unknown !== undefined) throw wrongType(unknown, `one of ${known.join(', ')}`, 'an unknown option')
  return object
}
