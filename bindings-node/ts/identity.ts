import { types } from 'node:util'

import { settled, wrongType } from './error'
import { material, Options, text, type Body } from './given'
import { native, type Handle } from './native'

/** How a private key is opened. */
export interface IdentityOptions {
  /** Opens an encrypted PKCS#8 key. */
  passphrase?: string
}

/**
 * Who we are: our certificate chain and private key. Checked when it is made: the key belongs to
 * the leaf, and the leaf is within its dates, allows clientAuth and is no CA.
 */
export class Identity {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    if (!types.isExternal(handle)) {
      throw wrongType('identity', 'made by fromFiles, fromPem or fromPkcs12', handle)
    }
    this.#handle = handle
  }

  /** @internal */
  static of(handle: Handle): Identity {
    return new Identity(handle)
  }

  /**
   * Reads PEM files.
   *
   * @param cert path of the certificate chain, leaf first; at most 1 MiB
   * @param key path of the private key; it may be the same file
   * @param options the key's passphrase
   * @throws {WebhookMtlsError} as {@link fromPem} does, and `pem_invalid` if a file cannot be read
   */
  static fromFiles(cert: string, key: string, options?: IdentityOptions): Identity {
    const paths = [text('cert', cert), text('key', key)] as const
    return Identity.of(settled(native.identityFromFiles(...paths, passphrase(options))))
  }

  /**
   * Reads PEM or DER.
   *
   * @param cert the certificate chain, leaf first
   * @param key the private key: PKCS#8, PKCS#1 or SEC1
   * @param options the key's passphrase
   * @throws {WebhookMtlsError} `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable`,
   * `clock_implausible` or `option_invalid`
   */
  static fromPem(cert: Body, key: Body, options?: IdentityOptions): Identity {
    const opened = passphrase(options)
    const texts = [material('cert', cert), material('key', key)] as const
    return Identity.of(settled(native.identityFromPem(...texts, opened)))
  }

  /**
   * Reads a PKCS#12 file (.p12, .pfx): one private key, its certificate and the CAs above it.
   *
   * @param data the bytes of the file: DER, at most 1 MiB
   * @param passphrase opens it; empty where it has none
   * @throws {WebhookMtlsError} `key_encrypted` (the passphrase does not open it, or opening it
   * would cost too much), `pem_invalid` (malformed, no key, several keys, no certificate),
   * `key_mismatch`, `identity_unusable`, `clock_implausible` or `option_invalid`
   */
  static fromPkcs12(data: Uint8Array, passphrase: string): Identity {
    if (!types.isUint8Array(data)) throw wrongType('data', 'a Uint8Array', data)
    const given = [material('data', data), text('passphrase', passphrase)] as const
    return Identity.of(settled(native.identityFromPkcs12(...given)))
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'an Identity', value)
  }
}

function passphrase(options: unknown): string | undefined {
  return new Options(options, [], ['passphrase']).optional('passphrase', text)
}
