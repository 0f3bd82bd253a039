// The testing kit: a throw-away private CA, and receivers on loopback that demand client
// certificates, record what they got, answer what they are told and misbehave on demand.

import { Dispatcher, type DispatcherOptions } from './dispatcher'
import {
  settled,
  textOf,
  unknownName,
  WebhookMtlsError,
  wrongType,
  wrongWord,
} from './error'
import { number, Options, text } from './given'
import { Identity } from './identity'
import { native, type Handle, type ReceivedRequest } from './native'
import { snakeCase } from './spelling'
import { Trust } from './trust'
import type { Kind, Role } from './words'

/** What a receiver can do instead of behaving. */
export type Misbehaviour =
  | 'never_ask'
  | 'reject_certificate'
  | 'expired'
  | 'wrong_name'
  | 'reset_after_body'
  | 'stall'
  | 'other_ca'

/** A request as a receiver got it. */
export interface Received {
  /** The header `webhook-id`, if it came. */
  readonly id?: string
  /** The method, such as `POST`. */
  readonly method: string
  /** The request target, such as `/webhooks/acme`. */
  readonly path: string
  /** The headers; names in lower case, values of equal names joined with a comma. */
  readonly headers: Readonly<Record<string, string>>
  /** The body. */
  readonly body: Uint8Array
  /** The tenant in the client certificate. */
  readonly tenant: string | null
}

/** A consumer of webhooks on 127.0.0.1 that demands a client certificate of its lab's CA. */
export class Consumer {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    this.#handle = handle
  }

  /** @internal */
  static of(handle: Handle): Consumer {
    return new Consumer(handle)
  }

  /** Where it listens. */
  get url(): string {
    return native.consumerUrl(this.#handle)
  }

  /** The pin of the certificate that the next connection will be shown. */
  get pin(): string {
    return native.consumerPin(this.#handle)
  }

  /** Every complete request so far. */
  get received(): readonly Received[] {
    return native.consumerReceived(this.#handle).map(received)
  }

  /** How many TCP connections were accepted. */
  get connections(): number {
    return native.consumerConnections(this.#handle)
  }

  /**
   * Waits until so many requests are recorded, those included that are kept without an answer.
   *
   * @param count how many
   * @param options `withinMs`: how long to wait at most, in milliseconds
   * @returns a promise of whether they came in time
   */
  async waitFor(count: number, options: { withinMs: number }): Promise<boolean> {
    const within = number('within', new Options(options, [], ['withinMs']).value('withinMs'))
    return settled(await native.consumerWait(this.#handle, whole('count', count), within))
  }

  /**
   * Gives an answer to the next requests, after those that earlier calls spoke for.
   *
   * @param status the HTTP status
   * @param options `retryAfter`: that header, in seconds; `times`: to how many requests, by default
   * 1, 0 for all until told otherwise
   */
  respond(status: number, options?: { retryAfter?: number; times?: number }): void {
    const given = new Options(options, [], ['retryAfter', 'times'])
    native.consumerRespond(
      this.#handle,
      whole('status', status),
      given.optional('retryAfter', whole),
      given.optional('times', whole) ?? 1,
    )
  }

  /**
   * Misbehaves, after the misbehaviours that earlier calls asked for.
   *
   * @param how in which way
   * @param times how many connections or requests, by default 1; 0 for all until told otherwise
   * @throws {WebhookMtlsError} `option_invalid`
   */
  misbehave(how: Misbehaviour, times = 1): void {
    settled(native.consumerMisbehave(this.#handle, text('how', how), whole('times', times)))
  }

  /**
   * Shows a renewed certificate from the next connection on, and closes those that are kept alive.
   *
   * @param options `newKey`: whether with a new key, and so a new pin
   */
  renew(options: { newKey: boolean }): void {
    const newKey = new Options(options, [], ['newKey']).value('newKey')
    if (typeof newKey !== 'boolean') throw wrongType('new_key', 'a boolean', newKey)
    settled(native.consumerRenew(this.#handle, newKey))
  }

  /** The certificate that the next connection will be shown: to revoke it, say. */
  get issued(): Issued {
    return Issued.of(native.consumerIssued(this.#handle))
  }

  /** Shows this certificate from the next connection on, and closes those that are kept alive. */
  show(issued: Issued): void {
    native.consumerShow(this.#handle, Issued.handle(issued))
  }

  /**
   * Shows a certificate of that CA from the next connection on, with the key it had, and closes
   * those that are kept alive.
   */
  certify(authority: Authority): void {
    settled(native.consumerCertify(this.#handle, Authority.handle(authority)))
  }

  /** Accepts client certificates of that CA as well, from the next connection on. */
  accept(authority: Authority): void {
    native.consumerAccept(this.#handle, Authority.handle(authority))
  }

  /**
   * Accepts client certificates of that CA and of no other, from the next connection on, and
   * closes those that are kept alive.
   */
  acceptOnly(authority: Authority): void {
    native.consumerAcceptOnly(this.#handle, Authority.handle(authority))
  }
}

/** A certificate with its chain and private key. */
export class Issued {
  readonly #handle: Handle
  /** The chain, leaf first, as PEM. */
  readonly certPem: string
  /** The private key: unencrypted PKCS#8, as PEM. */
  readonly keyPem: string
  /** The pin of its key. */
  readonly pin: string

  private constructor(handle: Handle) {
    this.#handle = handle
    ;[this.certPem, this.keyPem, this.pin] = native.issuedPem(handle)
  }

  /** @internal */
  static of(handle: Handle): Issued {
    return new Issued(handle)
  }

  /** @internal */
  static handle(value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType('revoked', 'an Issued', value)
  }
}

/** A throw-away private CA: a root, an intermediate that signs, and what it issues. */
export class Authority {
  readonly #handle: Handle
  /** The root, which is what a peer has to trust, as PEM. */
  readonly rootPem: string
  /** The intermediate as PEM. */
  readonly intermediatePem: string

  /** @param name a part of its subjects; no two authorities share a name */
  constructor(name: string)
  /** @internal */
  constructor(name: string, handle: Handle)
  constructor(name: string, handle?: Handle) {
    this.#handle = handle ?? settled(native.authority(text('name', name)))
    ;[this.rootPem, this.intermediatePem] = native.authorityPem(this.#handle)
  }

  /**
   * Issues a certificate with a new key.
   *
   * @param tenant what its SAN URI names
   * @param options `role`: by default `client`; `server` for one that a consumer can show;
   * `notBefore`: by default five minutes ago; `notAfter`: by default a day later
   */
  issue(
    tenant: string,
    options?: { role?: Role; notBefore?: Date; notAfter?: Date },
  ): Issued {
    const given = new Options(options, [], ['role', 'notBefore', 'notAfter'])
    const role = given.optional('role', text) ?? 'client'
    if (role !== 'client' && role !== 'server') throw wrongWord('role', 'client or server', 'another word')
    const [from, until] = [given.optional('notBefore', date), given.optional('notAfter', date)]
    return Issued.of(
      settled(native.authorityIssue(this.#handle, text('tenant', tenant), role === 'server', from, until)),
    )
  }

  /**
   * A CRL of its intermediate, valid for a day, as PEM. A later one replaces it.
   *
   * @param revoked the certificates that are revoked
   */
  crl(revoked: Iterable<Issued> = []): string {
    return settled(native.authorityCrl(this.#handle, Array.from(revoked, Issued.handle)))
  }

  /** @internal */
  static handle(value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType('authority', 'an Authority', value)
  }
}

/**
 * Lets the library believe, in this whole process, that it is then, and that time runs on from
 * there: for tests of what certificates do as they age. The lab's receivers keep to the true time.
 *
 * @param at null for the true time again
 */
export function setClock(at: Date | null): void {
  settled(native.setClock(at === null ? undefined : date('at', at)))
}

/**
 * Returns how many signatures of certificates and CRLs this process has checked so far. A signature
 * that is remembered is not checked again; see `rememberSignatures`.
 */
export function signaturesChecked(): number {
  return native.signaturesChecked()
}

const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/** Everything a test of a dispatcher needs: a CA of its own, an identity, and receivers. */
export class Lab implements AsyncDisposable {
  readonly #handle: Handle
  /** A client identity of the lab's CA, for the tenant `dispatcher`. */
  readonly identity: Identity
  /** Trust in the lab's root and in nothing else. */
  readonly trust: Trust
  /** The same identity as PEM: certificate chain, leaf first, and PKCS#8 key. */
  readonly identityPem: { readonly cert: string; readonly key: string }
  /** The same root as PEM. */
  readonly trustPem: string
  /** The CA behind the lab, to issue and revoke certificates. */
  readonly authority: Authority

  private constructor(handle: Handle) {
    this.#handle = handle
    this.identity = Identity.of(settled(native.labIdentity(handle)))
    this.trust = Trust.of(settled(native.labTrust(handle)))
    const [cert, key, root] = settled(native.labPem(handle))
    this.identityPem = { cert, key }
    this.trustPem = root
    this.authority = new Authority('lab', settled(native.labAuthority(handle)))
  }

  /** Makes the CA. Close the lab with `await using`, or with {@link close}. */
  static async start(): Promise<Lab> {
    return new Lab(settled(await native.labStart()))
  }

  /**
   * The receiver of that name, started when it is first asked for.
   *
   * @param name its tenant: 1 to 64 of `A-Z a-z 0-9 . _ -`
   */
  async consumer(name: string): Promise<Consumer> {
    return Consumer.of(settled(await native.labConsumer(this.#handle, text('name', name))))
  }

  /**
   * A new dispatcher with the lab's identity and trust, which may reach loopback.
   *
   * @param options what differs from that
   */
  dispatcher(options?: DispatcherOptions): Dispatcher {
    return new Dispatcher(options, (given) => native.labDispatcher(this.#handle, given))
  }

  /**
   * Writes `tls.crt`, `tls.key` and `ca.pem`, for programs that take paths.
   *
   * @param directory is made if it is missing
   */
  writeFiles(directory: string): void {
    settled(native.labWriteFiles(this.#handle, text('directory', directory)))
  }

  /** Closes every receiver. What they recorded stays readable. */
  async close(): Promise<void> {
    settled(await native.labClose(this.#handle))
  }

  /** The same as {@link close}; what `await using` calls. */
  async [asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * A well-formed error of that kind, to test one's own handling without a network.
 *
 * @param kind its kind, with the defaults of the table
 * @param fields what differs from them: any field of {@link WebhookMtlsError} but `code` and
 * `number`
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function error(
  kind: Kind,
  fields: Readonly<Record<string, unknown>> = {},
): WebhookMtlsError {
  const made = settled(native.testingError(text('kind', kind)))
  const json = JSON.parse(made) as Record<string, unknown>
  for (const [name, value] of Object.entries(fields)) {
    const key = snakeCase(name)
    if (!(key in json) || key === 'kind' || key === 'number') {
      throw unknownName(name, 'a field of the error')
    }
    json[key] = value
  }
  return WebhookMtlsError.fromJSON(JSON.parse(textOf(json)))
}

function received(request: ReceivedRequest): Received {
  const headers: Record<string, string> = {}
  for (const [name, value] of request.headers) {
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  const { id, method, path, body, tenant } = request
  return { ...(id !== undefined && { id }), method, path, headers, body, tenant: tenant ?? null }
}

function whole(option: string, value: unknown): number {
  const found = number(option, value)
  if (Number.isInteger(found) && found >= 0 && found <= 0xffff_ffff) return found
  throw wrongType(option, 'a whole number', value)
}

function date(option: string, value: unknown): number {
  const instant = value instanceof Date ? value.getTime() : NaN
  if (Number.isNaN(instant)) throw wrongType(option, 'a Date', value)
  return instant
}
