import { types } from 'node:util'

import { settled, wrongType } from './error'
import { bytes, Options, text, type Body } from './given'
import { native, type Handle } from './native'

/**
 * Whom we believe: the anchors of private CAs, known intermediates, CRLs. Never the web's public
 * roots. A bundle is judged when it is made.
 */
export class Trust {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    if (!types.isExternal(handle)) {
      throw wrongType('trust', 'made by fromFiles or fromPem', handle)
    }
    this.#handle = handle
  }

  /** @internal */
  static of(handle: Handle): Trust {
    return new Trust(handle)
  }

  /**
   * Reads PEM files of at most 1 MiB each.
   *
   * @param anchors path of the CA certificates that are believed
   * @param options paths of `intermediates`, which help to reach an anchor, and of `crls`
   * @throws {WebhookMtlsError} as {@link fromPem} does, and `pem_invalid` if a file cannot be read
   */
  static fromFiles(
    anchors: string,
    options?: { intermediates?: string; crls?: string },
  ): Trust {
    const given = new Options(options, [], ['intermediates', 'crls'])
    const outcome = native.trustFromFiles(
      text('anchors', anchors),
      given.optional('intermediates', text),
      given.optional('crls', text),
    )
    return Trust.of(settled(outcome))
  }

  /**
   * Reads PEM or DER.
   *
   * @param anchors the CA certificates that are believed; an intermediate may be one
   * @param options `intermediates`, which help to reach an anchor where a peer does not send them,
   * and `crls`, each with one list or several
   * @throws {WebhookMtlsError} `pem_invalid`, `trust_invalid`, `public_root_in_trust`,
   * `crl_unusable`, `clock_implausible` or `option_invalid`
   */
  static fromPem(anchors: Body, options?: { intermediates?: Body; crls?: Body[] }): Trust {
    const given = new Options(options, [], ['intermediates', 'crls'])
    const outcome = native.trustFromPem(
      bytes('anchors', anchors),
      given.optional('intermediates', bytes),
      given.optional('crls', lists) ?? [],
    )
    return Trust.of(settled(outcome))
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'a Trust', value)
  }
}

function lists(option: string, value: unknown): Uint8Array[] {
  if (!Array.isArray(value)) throw wrongType(option, 'an array', value)
  return value.map((item) => bytes(option, item))
}
