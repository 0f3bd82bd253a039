import { unwrap, wrongType } from './error'
import { isHandle } from './handle'
import { crlText, material, Options, several, text, texts, type Body } from './options'
import { native, type Handle } from './native'

/** Options of every trust bundle. */
interface TrustOptions {
  /**
   * Pins (`sha256/…`) of the keys of CAs that no path may contain, such as a compromised
   * intermediate.
   */
  distrusted?: Iterable<string> | undefined
}

/** Options of a trust bundle that is read from files. */
export interface TrustFiles extends TrustOptions {
  /** Path of CA certificates that peers may omit. They are not anchors. */
  intermediates?: string | undefined
  /** Path of certificate revocation lists. */
  crls?: string | undefined
}

/** Options of a trust bundle that is read from PEM or DER. */
export interface TrustTexts extends TrustOptions {
  /** CA certificates that peers may omit. They are not anchors. */
  intermediates?: Body | undefined
  /** Certificate revocation lists. */
  crls?: Body[] | undefined
}

/**
 * The trust in peers: anchors of private CAs, known intermediates, CRLs; or exactly one
 * certificate of a peer. It refuses the public roots of the web. A bundle is validated when it is created.
 */
export class Trust {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    if (!isHandle(handle)) {
      throw wrongType('trust', 'made by one of its static methods', handle)
    }
    this.#handle = handle
  }

  /** @internal */
  static of(handle: Handle): Trust {
    return new Trust(handle)
  }

  /**
   * Reads PEM files: at most 1 MiB each, 64 MiB for CRLs.
   *
   * @param anchors path of the trusted CA certificates
   * @param options paths of `intermediates`, which complete a path to an anchor, and of `crls`; the
   * pins of `distrusted` CAs
   * @throws {WebhookMtlsError} as {@link fromPem} does, and `pem_invalid` if a file cannot be read
   */
  static fromFiles(anchors: string, options?: TrustFiles): Trust {
    const parsed = new Options(options, [], TRUST_KEYS)
    const outcome = native.trustFromFiles(
      text('anchors', anchors),
      parsed.optional('intermediates', text),
      parsed.optional('crls', text),
      parsed.optional('distrusted', texts) ?? [],
    )
    return Trust.of(unwrap(outcome))
  }

  /**
   * Reads PEM or DER.
   *
   * @param anchors the trusted CA certificates; an intermediate may be an anchor
   * @param options `intermediates`, which complete a path to an anchor if a peer omits them,
   * `crls`, each with one or more lists, and the pins of `distrusted` CAs
   * @throws {WebhookMtlsError} `pem_invalid`, `trust_invalid`, `public_root_in_trust`,
   * `crl_unusable`, `pin_invalid`, `clock_implausible` or `option_invalid`
   */
  static fromPem(anchors: Body, options?: TrustTexts): Trust {
    return Trust.of(unwrap(native.trustFromPem(...bundle(anchors, options))))
  }

  /**
   * Reads PEM or DER and also accepts public web roots, for a consumer whose *server* certificate
   * comes from a public CA.
   *
   * Anyone who controls a name on the web can get a certificate from such a root. An endpoint
   * accepts this trust only together with pins. A `Dispatcher` and a `Verifier` refuse it.
   *
   * @param anchors as in {@link fromPem}
   * @param options as in {@link fromPem}
   * @throws {WebhookMtlsError} as {@link fromPem} does, except `public_root_in_trust`
   */
  static dangerousPublic(anchors: Body, options?: TrustTexts): Trust {
    return Trust.of(unwrap(native.trustDangerousPublic(...bundle(anchors, options))))
  }

  /**
   * Trusts one certificate and no CA: for a peer with a self-signed certificate, or for one
   * certificate of a CA that is not trusted.
   *
   * Its dates, names, purpose and pins are checked as for any other peer. A certificate that it has
   * issued is refused.
   *
   * @param certificate the peer's certificate: PEM or DER with exactly one
   * @throws {WebhookMtlsError} `pem_invalid`, `trust_invalid` (several certificates, weak key),
   * `clock_implausible` or `option_invalid`
   */
  static exact(certificate: Body): Trust {
    return Trust.of(unwrap(native.trustExact(material('certificate', certificate))))
  }

  /**
   * Reads the certificate of {@link exact} from a file. A dispatcher or verifier that uses the trust
   * watches it.
   *
   * @param path path of the peer's certificate; at most 1 MiB
   * @throws {WebhookMtlsError} as {@link exact} does, and `pem_invalid` if the file cannot be read
   */
  static exactFromFile(path: string): Trust {
    return Trust.of(unwrap(native.trustExactFromFile(text('path', path))))
  }

  /**
   * Remarks about a valid bundle for its operator, such as an expired anchor that is not used.
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
  const parsed = new Options(options, [], TRUST_KEYS)
  return [
    material('anchors', anchors),
    parsed.optional('intermediates', material),
    parsed.optional('crls', lists) ?? [],
    parsed.optional('distrusted', texts) ?? [],
  ]
}

function lists(option: string, value: unknown): Uint8Array[] {
  if (!Array.isArray(value)) throw wrongType(option, 'an array', value)
  return several('crls', option, value, crlText)
}
