// The error class, and conversions from and to the core's JSON form.

import { inspect } from 'node:util'

import { takeCause } from './causes'
import { LIMITS } from './limits'
import { native, type CallResult } from './native'
import { camelCase, respelled, snakeCase } from './spelling'
import type { Blame, Kind, Retry, Scope, Sent, Stage } from './enums'

/** The final response of the consumer, in a receipt or an error. */
export interface HttpResponse {
  /** The HTTP status. */
  readonly status: number
  /** The headers; names in lower case, values of equal names joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  /** Each header line in order; a name may occur more than once. */
  readonly headerLines: readonly (readonly [name: string, value: string])[]
  /** The first bytes of the body: 1 KiB, or as many as `responseExcerpt` says. */
  readonly excerpt: Uint8Array
  /** Whether the body was longer than the excerpt, or broke off. */
  readonly truncated: boolean
}

/** @internal */
export interface HttpResponseJson {
  status: number
  headers: Record<string, string>
  header_lines: [string, string][]
  excerpt_base64: string
  truncated: boolean
}

/** @internal */
export function httpResponse(json: HttpResponseJson): HttpResponse {
  const { status, headers, header_lines: headerLines, excerpt_base64, truncated } = json
  // In memory of its own: a clone of a slice would hold the pool with the bytes of others.
  const excerpt = Buffer.alloc(Buffer.byteLength(excerpt_base64, 'base64'))
  excerpt.write(excerpt_base64, 'base64')
  return { status, headers, headerLines, excerpt, truncated }
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
  id?: string | null
  attempts?: number | null
  elapsed_ms?: number | null
  message: string
  remedy: string
  help?: string
  context: Record<string, unknown>
  response: HttpResponseJson | null
}

/**
 * The JSON form of an error without its message, as its `cause` unless it has another:
 * structuredClone drops every other property of an Error.
 */
class ErrorFacts {
  constructor(json: ErrorJson) {
    const { message: _, ...facts } = json
    Object.assign(this, facts)
  }

  /** The error shows the same facts as its own fields. */
  [inspect.custom](): string {
    return '[the facts above, which structuredClone keeps here]'
  }
}

// In the global symbol registry, so that two copies of this package recognize each other's errors.
const BRAND = Symbol.for('webhook-mtls.WebhookMtlsError')

/**
 * Tells why a delivery or a verification failed, whose fault it is, how much was sent, and how to
 * fix it.
 *
 * Synchronous functions throw it, and asynchronous ones reject with it. They throw no other error.
 * Handle it by `kind`, or let {@link RetryPolicy.decide} choose an action.
 */
export class WebhookMtlsError extends Error {
  /**
   * Returns whether a value is such an error. Recognizes errors of another copy of this package or
   * another realm, and errors that lost their prototype but kept their fields. An error that
   * structuredClone or `postMessage` has copied keeps its fields in its `cause`; this gives them back.
   * It cannot do so for a `canceled` error whose cause is the reason of an AbortSignal, or a
   * `signer_failed` error whose cause is what the signer threw.
   *
   * @param value any value
   */
  static is(this: void, value: unknown): value is WebhookMtlsError {
    if (typeof value !== 'object' || value === null) return false
    return Reflect.get(value, BRAND) === true || hasFields(value) || restoreFields(value)
  }

  /**
   * Creates the error that {@link toJSON} described, for example after it was stored in a queue.
   *
   * @param value the parsed JSON
   * @returns an equal error
   * @throws {WebhookMtlsError} `option_invalid` if the value describes no such error
   */
  static fromJSON(this: void, value: unknown): WebhookMtlsError {
    return errorOf(unwrap(native.errorFromJson(errorText(value))))
  }

  /** @internal */
  static of(json: unknown, options?: ErrorOptions): WebhookMtlsError {
    return new WebhookMtlsError(json as ErrorJson, options)
  }

  readonly #json: ErrorJson

  /** `WMTLS_` and the kind in upper case: the name of the C constant. */
  declare readonly code: `WMTLS_${string}`
  /** The kind of failure: a stable name, equal in every language. */
  declare readonly kind: Kind
  /** The kind's stable number, equal to the C status. */
  declare readonly number: number
  /** The stage at which it failed. */
  declare readonly stage: Stage
  /** Whose fault it is. */
  declare readonly blame: Blame
  /** What it affects. */
  declare readonly scope: Scope
  /** How much of the request was sent. */
  declare readonly sent: Sent
  /** Whether a retry helps. */
  declare readonly retry: Retry
  /** The time to wait before a retry in milliseconds, if the consumer specified it. */
  declare readonly retryAfterMs?: number
  /** The consumer id, if the failure concerns an endpoint. */
  declare readonly consumer?: string
  /** The event's id, if the error ended a delivery that had one. */
  declare readonly id?: string
  /** How many attempts began, if the error ended a delivery or a probe. */
  declare readonly attempts?: number
  /** The total duration in milliseconds, if the error ended a delivery or a probe. */
  declare readonly elapsedMs?: number
  /** How to fix it, in a sentence. */
  declare readonly remedy: string
  /** The address of the page about the kind: its causes, and the cure of each. */
  declare readonly help?: string
  /**
   * Facts by name, such as `observedPin`, `alert`, `option`. Values are equal in every language.
   */
  declare readonly context: Readonly<Record<string, unknown>>
  /** The response of the consumer, if it sent one. */
  declare readonly response?: HttpResponse

  private constructor(json: ErrorJson, options?: ErrorOptions) {
    super(json.message, options ?? { cause: new ErrorFacts(json) })
    this.#json = json
    // A spread copies it.
    Object.defineProperty(this, 'message', { enumerable: true })
    Object.assign(this, fieldsOf(json))
  }

  /**
   * Returns the error in the JSON form of every language: snake_case keys, milliseconds.
   *
   * @returns a new object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }

  /**
   * Returns {@link toJSON}, or with `full: false` the log record: level, message and fields, below
   * 1 KiB.
   *
   * @returns a new object of plain JSON values
   */
  toObject(options?: { full?: boolean | undefined }): Record<string, unknown> {
    return fullOrLogRecord(this.toJSON(), options)
  }

  /**
   * Returns the part that may be shown to the consumer: no addresses, no internals.
   *
   * @returns a new object of plain JSON values with snake_case keys
   */
  public(): Record<string, unknown> {
    return JSON.parse(unwrap(native.errorPublic(JSON.stringify(this.#json)))) as Record<
      string,
      unknown
    >
  }
}

/** @internal Returns a value in its JSON form, or its log record. */
export function fullOrLogRecord(
  json: Record<string, unknown>,
  options: { full?: boolean | undefined } | undefined,
): Record<string, unknown> {
  if (options?.full !== false) return json
  return JSON.parse(unwrap(native.logRecord(JSON.stringify(json)))) as Record<string, unknown>
}

type Fields = Omit<WebhookMtlsError, keyof Error | 'toJSON' | 'toObject' | 'public'>

/** Returns the fields of an error, except its message. */
function fieldsOf(json: ErrorJson): Fields {
  return {
    code: `WMTLS_${json.kind.toUpperCase()}`,
    kind: json.kind,
    number: json.number,
    stage: json.stage,
    blame: json.blame,
    scope: json.scope,
    sent: json.sent,
    retry: json.retry,
    ...(json.retry_after_ms !== null && { retryAfterMs: json.retry_after_ms }),
    ...(json.consumer !== null && { consumer: json.consumer }),
    ...(typeof json.id === 'string' && { id: json.id }),
    ...(typeof json.attempts === 'number' && { attempts: json.attempts }),
    ...(typeof json.elapsed_ms === 'number' && { elapsedMs: json.elapsed_ms }),
    remedy: json.remedy,
    ...(typeof json.help === 'string' && { help: json.help }),
    context: Object.freeze(respelled(json.context, camelCase)),
    ...(json.response !== null && { response: httpResponse(json.response) }),
  }
}

/** Gives a clone the fields back that its `cause` kept; returns whether it did. */
function restoreFields(value: object): boolean {
  const kept = Object.isExtensible(value) ? keptJson(value) : undefined
  const json = kept && knownJson(kept)
  if (json === undefined) return false
  Object.defineProperty(value, 'name', { value: 'WebhookMtlsError', configurable: true })
  Object.assign(value, fieldsOf(json))
  return true
}

/** Returns the JSON form that the `cause` of a clone may have kept. */
function keptJson(value: object): object | undefined {
  const { message, cause } = value as { message?: unknown; cause?: unknown }
  if (typeof message !== 'string' || typeof cause !== 'object' || cause === null) return undefined
  // An error's whole JSON form may be the cause of another error.
  return Array.isArray(cause) || 'message' in cause ? undefined : { ...cause, message }
}

/** Returns the JSON form of an error, completed by the core; undefined if it is none. */
function knownJson(value: object): ErrorJson | undefined {
  try {
    const { value: text } = native.errorFromJson(errorText(value))
    return text === undefined ? undefined : (JSON.parse(text) as ErrorJson)
  } catch {
    // It is longer than any error.
    return undefined
  }
}

Object.defineProperties(WebhookMtlsError.prototype, {
  name: { value: 'WebhookMtlsError', configurable: true, writable: true },
  [BRAND]: { value: true },
})

/** @internal Creates the error that a JSON text of the core describes. */
export function errorOf(text: string, options?: ErrorOptions): WebhookMtlsError {
  const json = JSON.parse(text) as { signer_call?: number }
  if (json.signer_call === undefined) return WebhookMtlsError.of(json, options)
  const { signer_call: call, ...fields } = json
  return WebhookMtlsError.of(fields, options ?? takeCause(call))
}

/** @internal Returns the value of a result, or throws its error. */
export function unwrap<T>(result: CallResult<T>, options?: ErrorOptions): T {
  if (result.error !== undefined) throw errorOf(result.error, options)
  return result.value as T
}

/** @internal Creates the error for a value of the wrong type. It shows only the type. */
export function wrongType(option: string, expected: string, value: unknown): WebhookMtlsError {
  return errorOf(native.wrongType(option, expected, typeName(value)))
}

/** @internal Creates the error for an item of a list; `position` is from 1. */
export function wrongItem(option: string, position: number, value: unknown): WebhookMtlsError {
  return errorOf(native.wrongItem(option, position, 'a string', typeName(value)))
}

/** @internal Creates the error for the value of a key. */
export function wrongValueOf(option: string, name: string, value: unknown): WebhookMtlsError {
  return errorOf(native.wrongValue(option, name.slice(0, 1000), 'a string', typeName(value)))
}

/** @internal Creates the error for an unknown name. It shows the name unless it may be a secret. */
export function unknownName(name: string, expected: string): WebhookMtlsError {
  return errorOf(native.unknownName(name.slice(0, 1000), expected))
}

/** @internal Creates the error for an invalid value. `seen` describes it. */
export function wrongValue(option: string, expected: string, seen: string): WebhookMtlsError {
  return errorOf(native.wrongType(option, expected, seen))
}

/** @internal Returns the JSON text of an error or of its JSON form. */
export function errorText(value: unknown): string {
  let length = 0
  // Called for each value before it is written, so an oversized text is never built.
  const counted = (key: string, item: unknown): unknown => {
    length += key.length + (typeof item === 'string' ? item.length : 1)
    if (length > LIMITS.error) throw new RangeError('longer than an error')
    return item
  }
  try {
    const hasLostMethods =
      WebhookMtlsError.is(value) && typeof (value as { toJSON?: unknown }).toJSON !== 'function'
    const json = hasLostMethods ? (keptJson(value) ?? jsonOfFields(value)) : value
    return JSON.stringify(json, counted) ?? 'null'
  } catch {
    const fault = length > LIMITS.error ? native.tooLong('error', 'error', length) : null
    if (fault !== null) throw errorOf(fault)
    // A cycle or a BigInt: the value describes no error.
    return 'null'
  }
}

function jsonOfFields(error: WebhookMtlsError): Record<string, unknown> {
  const { headerLines, excerpt, ...response } = error.response ?? {}
  return {
    ...error,
    message: error.message ?? '',
    retry_after_ms: error.retryAfterMs ?? null,
    consumer: error.consumer ?? null,
    elapsed_ms: error.elapsedMs ?? null,
    context: respelled(error.context, snakeCase),
    response: error.response && {
      ...response,
      header_lines: headerLines,
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
