import { types } from 'node:util'

import { unwrap, wrongType } from './error'
import { isHandle } from './handle'
import { material, Options, text, texts, wholeNumber, type Body } from './options'
import { native, type Handle } from './native'
import { nativeSign, type Sign, type SignerOptions } from './signer'

/** The options to load an identity. */
export interface IdentityOptions {
  /** The passphrase of an encrypted PKCS#8 key. */
  passphrase?: string | undefined
}

/**
 * Our certificate chain and private key. Creation checks that the key belongs to the leaf, and that
 * the leaf is within its validity period, allows clientAuth and signatures, and is not a CA.
 */
export class Identity {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    if (!isHandle(handle)) {
      throw wrongType('identity', 'made by fromFiles, fromPem, fromPkcs12 or fromSigner', handle)
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
   * @param key path of the private key; may be the same file
   * @param options the key's passphrase
   * @throws {WebhookMtlsError} as {@link fromPem} does, and `pem_invalid` if a file cannot be read
   */
  static fromFiles(cert: string, key: string, options?: IdentityOptions): Identity {
    const paths = [text('cert', cert), text('key', key)] as const
    return Identity.of(unwrap(native.identityFromFiles(...paths, passphrase(options))))
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
    const secret = passphrase(options)
    const pem = [material('cert', cert), material('key', key)] as const
    return Identity.of(unwrap(native.identityFromPem(...pem, secret)))
  }

  /**
   * Reads a PKCS#12 file (.p12, .pfx): one private key, its certificate and the CAs above it.
   *
   * @param data the bytes of the file: DER, at most 1 MiB
   * @param passphrase the passphrase of the file; empty if it has none
   * @throws {WebhookMtlsError} `key_encrypted` (the passphrase is wrong, or the key derivation
   * would cost too much), `pem_invalid` (malformed, no key, several keys, no certificate),
   * `key_mismatch`, `identity_unusable`, `clock_implausible` or `option_invalid`
   */
  static fromPkcs12(data: Uint8Array, passphrase: string): Identity {
    if (!types.isUint8Array(data)) throw wrongType('data', 'a Uint8Array', data)
    const checked = [material('data', data), text('passphrase', passphrase)] as const
    return Identity.of(unwrap(native.identityFromPkcs12(...checked)))
  }

  /**
   * Makes an identity whose key stays elsewhere, such as in an HSM or a KMS.
   *
   * @param cert the certificate chain, leaf first, PEM or DER
   * @param sign signs handshakes with the key of the leaf
   * @param options the limits of the signer
   * @throws {WebhookMtlsError} `pem_invalid`, `identity_unusable`, `clock_implausible` or
   * `option_invalid`. A delivery rejects with `signer_failed` or `signer_timeout` if there is no
   * valid signature in time.
   */
  static fromSigner(cert: Body, sign: Sign, options?: SignerOptions): Identity {
    const signer = signerArguments(sign, options)
    return Identity.of(unwrap(native.identityFromSigner(material('cert', cert), ...signer)))
  }

  /**
   * Makes an identity as {@link fromSigner} does, with the chain in a PEM file. A dispatcher that uses
   * the identity watches the file. If its new leaf has another key, `sign` must use that at once.
   *
   * @param cert path of the certificate chain, leaf first; at most 1 MiB
   * @param sign signs handshakes with the key of the leaf
   * @param options the limits of the signer
   * @throws {WebhookMtlsError} as {@link fromSigner} does, and `pem_invalid` if the file cannot be
   * read
   */
  static fromSignerFile(cert: string, sign: Sign, options?: SignerOptions): Identity {
    const signer = signerArguments(sign, options)
    return Identity.of(unwrap(native.identityFromSignerFile(text('cert', cert), ...signer)))
  }

  /**
   * Remarks for the operator about the file of a usable identity, such as a certificate that is not
   * an issuer of ours and not presented.
   */
  get notes(): readonly string[] {
    return native.identityNotes(this.#handle)
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

function signerArguments(sign: unknown, options: unknown) {
  if (typeof sign !== 'function') throw wrongType('sign', 'a function', sign)
  const given = new Options(options, [], ['concurrency', 'schemes'])
  const concurrency = given.optional('concurrency', wholeNumber)
  const schemes = given.optional('schemes', texts) ?? []
  return [nativeSign(sign as Sign), concurrency, schemes] as const
}
