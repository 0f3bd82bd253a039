// Errors as the core describes them, thrown as one class.

import { native, type Outcome } from './native.js'

/** How far a delivery or a verification had come. */
export type Stage = 'config' | 'admit' | 'resolve' | 'connect' | 'handshake' | 'request' | 'response' | 'verify'
/** Whose fault it is, as far as it can be known from here. */
export type Blame = 'ours' | 'theirs' | 'path' | 'caller' | 'unknown'
/** What the failure stops. */
export type Scope = 'delivery' | 'endpoint' | 'identity' | 'process'
/** How much of the request left. */
export type Sent = 'nothing' | 'maybe' | 'all'
/** Whether trying again helps. */
export type Retry = 'later' | 'after_repair' | 'never'
/** What went wrong; docs/errors.md explains each. */
export type Kind =
  | 'option_invalid' | 'url_invalid' | 'header_invalid' | 'body_too_large' | 'pem_invalid' | 'key_encrypted'
  | 'key_mismatch' | 'identity_unusable' | 'trust_invalid' | 'public_root_in_trust' | 'pin_invalid'
  | 'handle_closed' | 'forked_process' | 'clock_implausible'
  | 'circuit_open' | 'overloaded' | 'canceled'
  | 'host_not_found' | 'resolve_failed' | 'egress_denied' | 'connect_failed' | 'proxy_refused'
  | 'certificate_expired' | 'certificate_not_yet_valid' | 'certificate_revoked' | 'name_mismatch'
  | 'issuer_unknown' | 'issuer_rekeyed' | 'purpose_not_allowed' | 'certificate_invalid' | 'key_weak'
  | 'chain_too_long' | 'crl_unusable' | 'constraint_violated' | 'pin_mismatch' | 'tenant_refused'
  | 'not_authorized' | 'client_auth_not_requested' | 'client_certificate_unusable'
  | 'client_certificate_rejected' | 'tls_failed' | 'evidence_missing' | 'hop_untrusted'
  | 'http_status' | 'http_invalid' | 'response_too_large'
  | 'deadline_exceeded' | 'connection_lost'
  | 'internal'

/** What the consumer answered. */
export interface ErrorResponse {
  /** The HTTP status. */
  readonly status: number
  /** Header names in lower case, with their values. */
  readonly headers: Readonly<Record<string, string>>
  /** The first bytes of the body, at most 64 KiB. */
  readonly excerpt: Uint8Array
}

interface ErrorJson {
  kind: Kind
  number: number
  stage: Stage
  blame: Blame
  scope: Scope
  sent: Sent
  retry: Retry
  retry_after_ms: number | null
  consumer: string | null
  message: string
  remedy: string
  context: Record<string, unknown>
  response: { status: number; headers: Record<string, string>; excerpt_base64: string } | null
}

// Shared by every copy of this package in a process.
const BRAND = Symbol.for('webhook-mtls.WebhookMtlsError')

/** Why a delivery or a verification failed, whose fault it is, and how much was sent. */
export class WebhookMtlsError extends Error {
  /** `WMTLS_` and the kind in upper case, as the C constant is called. */
  readonly code: `WMTLS_${string}`
  /** What went wrong. */
  readonly kind: Kind
  /** How far it had come. */
  readonly stage: Stage
  /** Whose fault it is. */
  readonly blame: Blame
  /** What it stops. */
  readonly scope: Scope
  /** How much of the request left. */
  readonly sent: Sent
  /** Whether trying again helps. */
  readonly retry: Retry
  /** How long to wait first, in milliseconds, where the consumer said so. */
  readonly retryAfterMs?: number
  /** The consumer id of the endpoint, where there is one. */
  readonly consumer?: string
  /** What to do, in a sentence. */
  readonly remedy: string
  /** Named facts: observed pin, alert, dates. Keys in camelCase, values as in every language. */
  readonly context: Readonly<Record<string, unknown>>
  /** What the consumer answered, where it answered at all. */
  readonly response?: ErrorResponse
  readonly #text: string

  private constructor(text: string) {
    const json = JSON.parse(text) as ErrorJson
    super(`${json.kind}: ${json.message}`)
    this.name = 'WebhookMtlsError'
    Object.defineProperty(this, BRAND, { value: true })
    this.code = `WMTLS_${json.kind.toUpperCase()}`
    this.kind = json.kind
    this.stage = json.stage
    this.blame = json.blame
    this.scope = json.scope
    this.sent = json.sent
    this.retry = json.retry
    if (json.retry_after_ms !== null) this.retryAfterMs = json.retry_after_ms
    if (json.consumer !== null) this.consumer = json.consumer
    this.remedy = json.remedy
    const facts = Object.entries(json.context).map(([key, value]) => [camel(key), value])
    this.context = Object.freeze(Object.fromEntries(facts) as Record<string, unknown>)
    if (json.response !== null) {
      const { status, headers, excerpt_base64 } = json.response
      this.response = { status, headers, excerpt: Buffer.from(excerpt_base64, 'base64') }
    }
    this.#text = text
  }

  /** Whether a value is such an error, also one of another copy of this package. */
  static is(value: unknown): value is WebhookMtlsError {
    return typeof value === 'object' && value !== null && BRAND in value
  }

  /**
   * The error that `toJSON` described, for one that travelled through a queue.
   *
   * @param value what `JSON.parse` made of it
   * @throws WebhookMtlsError `option_invalid` if the value describes no error
   */
  static fromJSON(value: unknown): WebhookMtlsError {
    return new WebhookMtlsError(take(native.errorFromJson(JSON.stringify(value) ?? 'null')))
  }

  /** @internal */
  static of(text: string): WebhookMtlsError {
    return new WebhookMtlsError(text)
  }

  /** The whole error in the form that every language shows: snake_case keys, milliseconds. */
  toJSON(): Record<string, unknown> {
    return JSON.parse(this.#text) as Record<string, unknown>
  }

  /** The part that may be shown to the consumer: no addresses, no internals. */
  public(): Record<string, unknown> {
    return JSON.parse(take(native.errorPublic(this.#text))) as Record<string, unknown>
  }
}

/** The value of an outcome; its error is thrown. */
export function take<T>(outcome: Outcome<T>): T {
  if (outcome.error !== undefined) throw WebhookMtlsError.of(outcome.error)
  return outcome.value as T
}

/** `not_after_ms` as `notAfterMs`. */
export function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}
