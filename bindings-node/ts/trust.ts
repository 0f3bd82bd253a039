import { types } from 'node:util'

import { settled, wrongType } from './error'
import { material, Options, several, text, texts, type Body } from './given'
import { native, type Handle } from './native'

/** What a trust has beside its anchors. */
interface TrustBeside {
  /**
   * Pins (`sha256/…`) of the keys of CAs that no path may lead over, such as a compromised
   * intermediate.
   */
  distrusted?: Iterable<string>
}

/** The same, with paths of files. */
export interface TrustFiles extends TrustBeside {
  /** CA certificates that peers may not send; not believed by themselves. */
  intermediates?: string
  /** Certificate revocation lists. */
  crls?: string
}

/** The same, with PEM or DER. */
export interface TrustTexts extends TrustBeside {
  /** CA certificates that peers may not send; not believed by themselves. */
  intermediates?: Body
  /** Certificate revocation lists. */
  crls?: Body[]
}

/**
 * Whom we believe: the anchors of private CAs, known intermediates, CRLs. Never the web's public
 * roots. A bundle is judged when it is made.
 */
export class Trust {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    if (!types.isExternal(handle)) {
      throw wrongType('trust', 'made by one of its static methods', handle)
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
   * @param options paths of `intermediates`, which help to reach an anchor, and of `crls`; the pins
   * of `distrusted` CAs
   * @throws {WebhookMtlsError} as {@link fromPem} does, and `pem_invalid` if a file cannot be read
   */
  static fromFiles(anchors: string, options?: TrustFiles): Trust {
    const given = new Options(options, [], TRUST_KEYS)
    const outcome = native.trustFromFiles(
      text('anchors', anchors),
      given.optional('intermediates', text),
      given.optional('crls', text),
      given.optional('distrusted', texts) ?? [],
    )
    return Trust.of(settled(outcome))
  }

  /**
   * Reads PEM or DER.
   *
   * @param anchors the CA certificates that are believed; an intermediate may be one
   * @param options `intermediates`, which help to reach an anchor where a peer does not send them,
   * `crls`, each with one list or several, and the pins of `distrusted` CAs
   * @throws {WebhookMtlsError} `pem_invalid`, `trust_invalid`, `public_root_in_trust`,
   * `crl_unusable`, `pin_invalid`, `clock_implausible` or `option_invalid`
   */
  static fromPem(anchors: Body, options?: TrustTexts): Trust {
    return Trust.of(settled(native.trustFromPem(...bundle(anchors, options))))
  }

  /**
   * Reads PEM or DER, and takes public web roots, too: for a consumer whose *server* certificate
   * comes from a public CA.
   *
   * Whoever controls a name on the web gets a certificate below such a root. An endpoint takes this
   * trust only together with pins; a `Dispatcher` and a `Verifier` refuse it.
   *
   * @param anchors as {@link fromPem} takes it
   * @param options as {@link fromPem} takes them
   * @throws {WebhookMtlsError} as {@link fromPem} does, but for `public_root_in_trust`
   */
  static dangerousPublic(anchors: Body, options?: TrustTexts): Trust {
    return Trust.of(settled(native.trustDangerousPublic(...bundle(anchors, options))))
  }

  /**
   * What an operator should know of the bundle although it is sound, such as an anchor that has
   * expired and is not used.
   */
  get notes(): readonly string[] {
    return native.trustNotes(this.#handle)
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'a Trust', value)
  }
}

const TRUST_KEYS = ['intermediates', 'crls', 'distrusted']

function bundle(
  anchors: unknown,
  options: unknown,
): [Uint8Array, Uint8Array | undefined, Uint8Array[], string[]] {
  const given = new Options(options, [], TRUST_KEYS)
  return [
    material('anchors', anchors),
    given.optional('intermediates', material),
    given.optional('crls', lists) ?? [],
    given.optional('distrusted', texts) ?? [],
  ]
}

function lists(option: string, value: unknown): Uint8Array[] {
  if (!Array.isArray(value)) throw wrongType(option, 'an array', value)
  return several('material', option, value, material)
}
