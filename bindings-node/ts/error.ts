// The one error class, and how an error of the core becomes one.

import { LIMITS } from './limits'
import { native, type Outcome } from './native'
import { camelCase, respelled, snakeCase } from './spelling'
import type { Blame, Kind, Retry, Scope, Sent, Stage } from './words'

/** What the consumer answered. */
export interface ErrorResponse {
  /** The HTTP status. */
  readonly status: number
  /** The headers; names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The first bytes of the body, at most 64 KiB. */
  readonly excerpt: Uint8Array
}

interface ErrorJson {
  kind: string
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
  response: {
    status: number
    headers: Record<string, string>
    excerpt_base64: string
  } | null
}

// Registered, so that two copies of this package know each other's errors.
const BRAND = Symbol.for('webhook-mtls.WebhookMtlsError')

/**
 * Why a delivery or a verification failed, whose fault it is, how much was sent, and what to do.
 *
 * It is thrown by what is synchronous and rejected by what is not; nothing else is. Handle it by
 * `kind`, or leave the verdict to {@link RetryPolicy.decide}.
 */
export class WebhookMtlsError extends Error {
  /**
   * Whether a value is such an error: also one of another copy of this package or another realm,
   * and one that lost its prototype but kept its fields.
   *
   * @param value anything
   */
  static is(this: void, value: unknown): value is WebhookMtlsError {
    if (typeof value !== 'object' || value === null) return false
    return Reflect.get(value, BRAND) === true || hasFields(value)
  }

  /**
   * The error that {@link toJSON} described, so that one that travelled through a queue can be
   * judged again.
   *
   * @param value the parsed JSON
   * @returns an equal error
   * @throws {WebhookMtlsError} `option_invalid` if the value describes no such error
   */
  static fromJSON(this: void, value: unknown): WebhookMtlsError {
    return errorOf(settled(native.errorFromJson(textOf(value))))
  }

  /** @internal */
  static of(json: unknown, options?: ErrorOptions): WebhookMtlsError {
    return new WebhookMtlsError(json as ErrorJson, options)
  }

  readonly #json: ErrorJson

  /** `WMTLS_` and the kind in capitals, as the C constant is called. */
  readonly code: `WMTLS_${string}`
  /** What went wrong; a stable name, equal in every language. */
  readonly kind: Kind
  /** The kind's stable number, equal to the C status. */
  readonly number: number
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
  /** How long to wait before trying again, in milliseconds, where the consumer said so. */
  readonly retryAfterMs?: number
  /** The consumer id, where there is an endpoint. */
  readonly consumer?: string
  /** What to do, in a sentence. */
  readonly remedy: string
  /** Named facts, such as `observedPin`, `alert`, `option`; values as in every language. */
  readonly context: Readonly<Record<string, unknown>>
  /** What the consumer answered, where it answered. */
  readonly response?: ErrorResponse

  private constructor(json: ErrorJson, options?: ErrorOptions) {
    super(json.message, options)
    this.#json = json
    this.code = `WMTLS_${json.kind.toUpperCase()}`
    this.kind = json.kind
    this.number = json.number
    this.stage = json.stage
    this.blame = json.blame
    this.scope = json.scope
    this.sent = json.sent
    this.retry = json.retry
    if (json.retry_after_ms !== null) this.retryAfterMs = json.retry_after_ms
    if (json.consumer !== null) this.consumer = json.consumer
    this.remedy = json.remedy
    this.context = Object.freeze(respelled(json.context, camelCase))
    if (json.response !== null) {
      const { status, headers, excerpt_base64 } = json.response
      this.response = { status, headers, excerpt: Buffer.from(excerpt_base64, 'base64') }
    }
  }

  /**
   * The whole error in the form that every language shows: snake_case keys, milliseconds.
   *
   * @returns a fresh object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }

  /**
   * The part that may be shown to the consumer: no addresses, no internals.
   *
   * @returns a fresh object of plain JSON values with snake_case keys
   */
  public(): Record<string, unknown> {
    return JSON.parse(settled(native.errorPublic(JSON.stringify(this.#json)))) as Record<
      string,
      unknown
    >
  }
}

Object.defineProperties(WebhookMtlsError.prototype, {
  name: { value: 'WebhookMtlsError', configurable: true, writable: true },
  [BRAND]: { value: true },
})

/** @internal The error that a JSON text of the core describes. */
export function errorOf(text: string, options?: ErrorOptions): WebhookMtlsError {
  return WebhookMtlsError.of(JSON.parse(text), options)
}

/** @internal The value of an outcome; throws its error. */
export function settled<T>(outcome: Outcome<T>, options?: ErrorOptions): T {
  if (outcome.error !== undefined) throw errorOf(outcome.error, options)
  return outcome.value as T
}

/** @internal The error for a value that is not of the option's type. It shows the type alone. */
export function wrongType(option: string, expected: string, value: unknown): WebhookMtlsError {
  return errorOf(native.wrongType(option, expected, typeName(value)))
}

/** @internal The error for a name that there is not. It shows the name if it may be shown. */
export function unknownName(name: string, expected: string): WebhookMtlsError {
  return errorOf(native.unknownName(name.slice(0, 1000), expected))
}

/** @internal The error for a word that is not the one to be used. */
export function wrongWord(option: string, expected: string, seen: string): WebhookMtlsError {
  return errorOf(native.wrongType(option, expected, seen))
}

/** @internal The JSON text of an error, or of what describes one. */
export function textOf(value: unknown): string {
  let length = 0
  // Asked for each value before it is written: what is too long is never written.
  const counted = (key: string, item: unknown): unknown => {
    length += key.length + (typeof item === 'string' ? item.length : 1)
    if (length > LIMITS.error) throw new RangeError('longer than an error')
    return item
  }
  try {
    const lostItsMethods =
      WebhookMtlsError.is(value) && typeof (value as { toJSON?: unknown }).toJSON !== 'function'
    return JSON.stringify(lostItsMethods ? jsonOfFields(value) : value, counted) ?? 'null'
  } catch {
    const fault = length > LIMITS.error ? native.tooLong('error', 'error', length) : null
    if (fault !== null) throw errorOf(fault)
    // A cycle or a BigInt: whatever it is, it describes no error.
    return 'null'
  }
}

function jsonOfFields(error: WebhookMtlsError): Record<string, unknown> {
  const { status, headers, excerpt } = error.response ?? {}
  return {
    ...error,
    message: error.message ?? '',
    retry_after_ms: error.retryAfterMs ?? null,
    consumer: error.consumer ?? null,
    context: respelled(error.context, snakeCase),
    response: error.response && {
      status,
      headers,
      excerpt_base64: Buffer.from(excerpt ?? []).toString('base64'),
    },
  }
}

function hasFields(value: object): boolean {
  const field = (name: string): unknown => Reflect.get(value, name)
  const words = ['kind', 'stage', 'blame', 'scope', 'sent', 'retry', 'remedy']
  return (
    words.every((name) => typeof field(name) === 'string') &&
    field('code') === `WMTLS_${String(field('kind')).toUpperCase()}` &&
    typeof field('context') === 'object'
  )
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  return `a ${typeof value}`
}
