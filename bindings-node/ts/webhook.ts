import { unwrap, wrongType, wrongValue } from './error'
import { events, EventSource, REGISTER, type Event } from './event'
import { body as bodyOf, headerPairs, material, Options, text, texts, type Body } from './options'
import { native, type Handle } from './native'
import { PeerIdentity } from './peer'
import { instant } from './forwarded'

/**
 * The public keys of a sender, each with its key id. The type of a key fixes the algorithm: P-256
 * verifies ES256, Ed25519 verifies EdDSA, RSA of 2048 to 8192 bits verifies RS256.
 */
export class JwtKeys {
  readonly #handle: Handle

  /**
   * @param keys PEM (`PUBLIC KEY` or `CERTIFICATE`), DER, a JWK or a JWK set (RFC 7517); at most 16
   * keys. Keys of a set that verify none of the algorithms are ignored.
   * @param options `keyId`: the key id of the only key, for one that has no key id or another. A key
   * without a key id gets its thumbprint (RFC 7638).
   * @throws {WebhookMtlsError} `pem_invalid`, also if a private key is among them; `option_invalid`
   */
  constructor(keys: Body, options?: { keyId?: string | undefined })
  /** @internal */
  constructor(keys: Body, options: undefined, handle: Handle)
  constructor(keys: Body, options?: { keyId?: string | undefined }, handle?: Handle) {
    this.#handle = handle ?? unwrap(native.jwtKeys(material('keys', keys), keyId(options)))
  }

  /**
   * Reads keys from a file, which a verifier that uses them watches.
   *
   * @param path path of the file; at most 1 MiB
   * @param options as for the constructor
   * @throws {WebhookMtlsError} as the constructor does, and `pem_invalid` if the file cannot be read
   */
  static fromFile(path: string, options?: { keyId?: string | undefined }): JwtKeys {
    const handle = unwrap(native.jwtKeysFromFile(text('path', path), keyId(options)))
    return new JwtKeys('', undefined, handle)
  }

  /** The key ids, in the order of the input. */
  get keyIds(): string[] {
    return native.jwtKeysIds(this.#handle)
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'JwtKeys, or an object of them by tenant', value)
  }
}

function keyId(options: unknown): string | undefined {
  const id = new Options(options, [], ['keyId']).optional('keyId', text)
  return id
}

/** What a store for ids is asked. Two tenants may use equal ids. */
export interface ReplayKey {
  /** The tenant that sent the webhook. */
  readonly tenant: string
  /** The id of the webhook. */
  readonly id: string
  /** The time until which the store must keep the id. */
  readonly keepUntil: Date
}

/** The options of a verifier of webhooks. */
export interface WebhookVerifierOptions {
  /**
   * A store for ids: records the key and returns whether it was there, in one step. It is asked
   * last, and a webhook without an id is not asked about.
   */
  seen?: ((key: ReplayKey) => boolean | Promise<boolean>) | undefined
  // generated: begin properties webhook_verifier
  /**
   * The secrets of Standard Webhooks, whsec_ or whpk_: those of each tenant by its name, or those
   * of all. They or keys are required.
   */
  secrets?: Iterable<string> | Readonly<Record<string, Iterable<string>>> | undefined
  /** The public keys of tokens: those of each tenant by its name, or those of all. */
  keys?: JwtKeys | Readonly<Record<string, JwtKeys>> | undefined
  /** The audience (aud) that a token must have. Without it, a token with an audience is refused. */
  audience?: string | undefined
  /** The issuer (iss) that a token must have. */
  issuer?: string | undefined
  /** The claim of a token that must have the tenant of the peer's certificate. */
  tenantClaim?: string | undefined
  /**
   * Whether a webhook of a tenant with secrets must have a signature. A signature or a token is
   * always required. Each is checked that the tenant has secrets or keys for, and must be valid.
   * By default true.
   */
  requireSignature?: boolean | undefined
  /** Whether a webhook of a tenant with keys must have a token. By default true. */
  requireToken?: boolean | undefined
  /**
   * Whether a token must have a digest of the body. A digest that is there is always checked. By
   * default false.
   */
  contentDigest?: boolean | undefined
  /**
   * The most time between the timestamp of a signature and now. In milliseconds; by default
   * 300000.
   */
  timestampToleranceMs?: number | undefined
  /**
   * The most time by which the clocks of sender and receiver differ, for the dates of a token. In
   * milliseconds; by default 30000.
   */
  tokenToleranceMs?: number | undefined
  /**
   * The interval at which the files of keys are checked for changes. 0 checks only in reload().
   * In milliseconds; by default 10000.
   */
  reloadMs?: number | undefined
  // generated: end
}

/** The headers of a request as they arrived: `rawHeaders`, pairs, or an object. */
export type RequestHeaders =
  | Iterable<string>
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>

/** A verified webhook. Only a verification creates it. */
export interface VerifiedWebhook {
  /** The tenant of the peer, the signature and the token. */
  readonly tenant: string
  /** The `webhook-id`; else the `jti` of the token. */
  readonly id: string | null
  /** The time of the attempt: the signed timestamp, or the `iat` of the token. */
  readonly timestamp: Date | null
  /** The scheme of the signature; null if only a token was checked. */
  readonly scheme: 'v1' | 'v1a' | null
  /** The number of the tenant's secret that made the signature; the first is 1. */
  readonly secret: number | null
  /** The algorithm of the token; null if only a signature was checked. */
  readonly algorithm: string | null
  /** The key id of the key that signed the token. */
  readonly keyId: string | null
  /** The claims of the token; empty if only a signature was checked. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Whether the store had seen the id. Answer a duplicate with 2xx. */
  readonly duplicate: boolean
}

interface WebhookJson {
  tenant: string
  id: string | null
  timestamp_ms: number | null
  scheme: 'v1' | 'v1a' | null
  secret: number | null
  algorithm: string | null
  key_id: string | null
  claims: Record<string, unknown>
  keep_until_ms: number
}

/**
 * Verifies received webhooks: that the peer's certificate, the signature and the token speak of one
 * tenant.
 */
export class WebhookVerifier extends EventSource {
  readonly #handle: Handle
  readonly #seen: WebhookVerifierOptions['seen']

  /**
   * @param options secrets or keys
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options: WebhookVerifierOptions) {
    super()
    const parsed = new Options(options, ['webhook_verifier'], ['seen'])
    this.#seen = parsed.optional('seen', store)
    const secrets = parsed.value('secrets')
    const keys = parsed.value('keys')
    const result = native.webhookVerifier({
      secrets: byTenant('secrets', secrets, isIterable, texts).map(([tenant, secrets]) => ({
        tenant,
        secrets,
      })),
      keys: byTenant('keys', keys, isKeys, JwtKeys.handle).map(([tenant, keys]) => ({
        tenant,
        keys,
      })),
      settings: parsed.settings('webhook_verifier'),
    })
    this.#handle = unwrap(result)
  }

  /**
   * Verifies a webhook, then asks the store for ids.
   *
   * @param peer the verified peer that sent it
   * @param headers all headers as they arrived, best as `rawHeaders`
   * @param body the body as it arrived
   * @param options `at`: the time of verification; by default now
   * @returns the webhook; if its `duplicate` is true, answer 2xx and do not process it again
   * @throws {WebhookMtlsError} rejects with `signature_invalid`, `token_invalid`, `tenant_refused`,
   * `option_invalid` or `body_too_large`, or with the error of the store
   */
  async verifyWebhook(
    peer: PeerIdentity,
    headers: RequestHeaders,
    body: Body,
    options?: { at?: Date | undefined },
  ): Promise<VerifiedWebhook> {
    if (!(peer instanceof PeerIdentity)) throw wrongType('peer', 'a PeerIdentity', peer)
    const at = new Options(options, [], ['at']).optional('at', instant)
    const pairs = headerPairs('headers', headers)
    const { tenant, x5tS256 } = peer
    const bytes = bodyOf('body', body)
    const result = native.verifyWebhook(
      this.#handle, tenant ?? undefined, x5tS256, pairs, bytes, at,
    )
    const json = JSON.parse(unwrap(result)) as WebhookJson
    return webhookOf(json, await this.#isDuplicate(json))
  }

  async #isDuplicate(json: WebhookJson): Promise<boolean> {
    if (this.#seen === undefined || json.id === null) return false
    const keepUntil = new Date(json.keep_until_ms)
    const answer: unknown = await this.#seen({ tenant: json.tenant, id: json.id, keepUntil })
    if (typeof answer !== 'boolean') throw wrongType('seen', 'a function that gives a boolean', answer)
    return answer
  }

  /**
   * Checks the watched files of keys now and puts changed keys into use.
   *
   * @returns the events; an unusable file causes `rotation_failed`, and the previous keys stay in
   * use
   */
  reload(): Event[] {
    return events(native.webhookVerifierReload(this.#handle))
  }

  /** @internal */
  override [REGISTER](callback: (json: string) => void): void {
    unwrap(native.webhookVerifierOnEvent(this.#handle, callback))
  }
}

function webhookOf(json: WebhookJson, duplicate: boolean): VerifiedWebhook {
  return {
    tenant: json.tenant,
    id: json.id,
    timestamp: json.timestamp_ms === null ? null : new Date(json.timestamp_ms),
    scheme: json.scheme,
    secret: json.secret,
    algorithm: json.algorithm,
    keyId: json.key_id,
    claims: json.claims,
    duplicate,
  }
}

function store(option: string, value: unknown): NonNullable<WebhookVerifierOptions['seen']> {
  if (typeof value !== 'function') throw wrongType(option, 'a function', value)
  return value as NonNullable<WebhookVerifierOptions['seen']>
}

function isIterable(value: object): boolean {
  return Symbol.iterator in value
}

function isKeys(value: object): boolean {
  return value instanceof JwtKeys
}

/** Returns the values by tenant; the value of all others has no tenant. */
function byTenant<T>(
  option: string,
  value: unknown,
  isOne: (value: object) => boolean,
  read: (option: string, value: unknown) => T,
): [string | undefined, T][] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || isOne(value)) {
    return [[undefined, read(option, value)]]
  }
  const tenants = Object.entries(value)
  if (tenants.length === 0) throw wrongValue(option, 'at least one tenant', 'an empty object')
  return tenants.map(([tenant, item]) => [text(option, tenant), read(option, item)])
}
