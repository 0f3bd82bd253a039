import { unwrap, wrongType, wrongValue } from './error'
import { material, Options, text, texts, type Body } from './options'
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

/** The options of a {@link JwtBearer}. */
export interface JwtBearerOptions {
  // generated: begin properties jwt_bearer
  /** The key id (kid) of each token. By default the key's thumbprint. */
  keyId?: string | undefined
  /** The issuer (iss) of each token. */
  issuer?: string | undefined
  /** The subject (sub) of each token. */
  subject?: string | undefined
  /** The audience (aud) of each token. */
  audience?: string | undefined
  /**
   * The time from iat to exp, at least 1 s and at most 5 min. In milliseconds; by default 60000.
   */
  lifetimeMs?: number | undefined
  /** Further claims of each token: a JSON object without the claims that the library sets. */
  claims?: Readonly<Record<string, unknown>> | undefined
  /**
   * Whether the claim contentDigest has the SHA-256 of the body. Without it, the token does not
   * cover the body. By default false.
   */
  contentDigest?: boolean | undefined
  // generated: end
}

/**
 * The private key that signs a token (JWT) for each attempt, and what the token says. The token is
 * bound to the certificate that the connection presents (`cnf` with `x5t#S256`, RFC 8705). The
 * request has it as `authorization: Bearer …`. The key determines the algorithm: P-256 signs ES256,
 * Ed25519 signs EdDSA, RSA of 2048 to 8192 bits signs RS256.
 */
export class JwtBearer {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    this.#handle = handle
  }

  /**
   * Reads the private key.
   *
   * @param key PEM or DER (PKCS#8, PKCS#1 or SEC1), not encrypted
   * @param options all are optional
   * @throws {WebhookMtlsError} `pem_invalid`, also for a key of another type or size;
   * `key_encrypted` or `option_invalid`
   */
  static fromPem(key: Body, options?: JwtBearerOptions): JwtBearer {
    const settings = new Options(options, ['jwt_bearer']).settings('jwt_bearer')
    return new JwtBearer(unwrap(native.jwtBearer(material('key', key), settings)))
  }

  /**
   * Reads the private key from a file, which a dispatcher that uses it watches.
   *
   * @param path path of the file; at most 1 MiB
   * @param options all are optional
   * @throws {WebhookMtlsError} as {@link fromPem} does, and `pem_invalid` if the file cannot be read
   */
  static fromFile(path: string, options?: JwtBearerOptions): JwtBearer {
    const settings = new Options(options, ['jwt_bearer']).settings('jwt_bearer')
    return new JwtBearer(unwrap(native.jwtBearerFromFile(text('path', path), settings)))
  }

  /** The algorithm of the key: `ES256`, `EdDSA` or `RS256`. */
  get algorithm(): string {
    return native.jwtBearerAlgorithm(this.#handle)
  }

  /** The public key for consumers, in the form of a JWK (RFC 7517). */
  get publicJwk(): Record<string, string> {
    return JSON.parse(native.jwtBearerPublicJwk(this.#handle)) as Record<string, string>
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'StandardWebhooks, a JwtBearer, or one of each', value)
  }
}

/** How an endpoint signs: by one of the two, or by both. */
export type Signing = StandardWebhooks | JwtBearer | Iterable<StandardWebhooks | JwtBearer>

/** @internal The handles of the option `signing`. */
export interface SigningHandles {
  signing?: Handle
  jwtBearer?: Handle
}

/** @internal */
export function signingHandles(option: string, value: unknown): SigningHandles {
  const isList = typeof value === 'object' && value !== null && Symbol.iterator in value
  const found: SigningHandles = {}
  let count = 0
  for (const item of isList ? (value as Iterable<unknown>) : [value]) {
    count += 1
    const name = item instanceof StandardWebhooks ? 'signing' : 'jwtBearer'
    const handle =
      name === 'signing' ? StandardWebhooks.handle(option, item) : JwtBearer.handle(option, item)
    if (found[name] !== undefined) {
      throw wrongValue(option, 'StandardWebhooks, a JwtBearer, or one of each', 'two of one type')
    }
    found[name] = handle
  }
  if (count === 0) throw wrongValue(option, 'at least one', 'an empty list')
  return found
}
