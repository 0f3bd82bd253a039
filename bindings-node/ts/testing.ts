// The testing kit: a temporary private CA, and receivers on loopback that require client
// certificates, record requests, send configured responses and misbehave on demand.

import './native'

import { Dispatcher, type DispatcherOptions } from './dispatcher'
import {
  unwrap,
  errorText,
  unknownName,
  WebhookMtlsError,
  wrongType,
  wrongValue,
} from './error'
import { number, Options, text, wholeNumber } from './options'
import { Identity } from './identity'
import { kit, type ReceivedRequest } from './kit'
import { native, type Handle } from './native'
import { snakeCase } from './spelling'
import { Trust } from './trust'
import type { Dialect, Kind, Role } from './enums'

/** The ways in which a receiver can misbehave. */
export type Misbehavior =
  | 'never_ask'
  | 'reject_certificate'
  | 'expired'
  | 'wrong_name'
  | 'reset_after_body'
  | 'stall'
  | 'other_ca'
  | 'close_after_handshake'
  | 'reject_by_close'
  | 'tls_1_2'

/** The ways in which the headers of a forwarded certificate can be forged. */
export type Forgery =
  | 'repeated'
  | 'capitals'
  | 'underscore'
  | 'underscore_alone'
  | 'not_verified'
  | 'absent'
  | 'malformed'
  | 'too_large'

/** The types of the keys of an {@link Authority} and of the certificates that it issues. */
export type KeyType = 'p256' | 'ml_dsa_44' | 'ml_dsa_65' | 'ml_dsa_87'

/** A request as a receiver recorded it. */
export interface Received {
  /** The header `webhook-id`, if the request had it. */
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
  /**
   * The server name that the client sent in its handshake (SNI); `null` if it sent none, as for a
   * URL with an IP address.
   */
  readonly serverName: string | null
}

/** A consumer of webhooks on 127.0.0.1 that requires a client certificate of its lab's CA. */
export class Consumer {
  readonly #handle: Handle

  private constructor(handle: Handle) {
    this.#handle = handle
  }

  /** @internal */
  static of(handle: Handle): Consumer {
    return new Consumer(handle)
  }

  /** The URL of the consumer. */
  get url(): string {
    return kit.consumerUrl(this.#handle)
  }

  /** The pin of the certificate that it presents on the next connection. */
  get pin(): string {
    return kit.consumerPin(this.#handle)
  }

  /** All complete requests so far. */
  get received(): readonly Received[] {
    return kit.consumerReceived(this.#handle).map(received)
  }

  /** The number of accepted TCP connections. */
  get connections(): number {
    return kit.consumerConnections(this.#handle)
  }

  /**
   * Waits until `count` requests are recorded, including those that stay without a response.
   *
   * @param count the number of requests
   * @param options `withinMs`: the maximum wait in milliseconds
   * @returns a promise of whether they arrived in time
   */
  async waitFor(count: number, options: { withinMs: number }): Promise<boolean> {
    const within = number('within', new Options(options, [], ['withinMs']).value('withinMs'))
    return unwrap(await kit.consumerWait(this.#handle, wholeNumber('count', count), within))
  }

  /**
   * Queues a response for the next requests, after the responses of earlier calls.
   *
   * @param status the HTTP status
   * @param options `retryAfter`: the value of that header, in seconds; `times`: the number of
   * requests, by default 1; 0: all until the next call
   */
  respond(status: number, options?: { retryAfter?: number; times?: number }): void {
    const parsed = new Options(options, [], ['retryAfter', 'times'])
    kit.consumerRespond(
      this.#handle,
      wholeNumber('status', status),
      parsed.optional('retryAfter', wholeNumber),
      parsed.optional('times', wholeNumber) ?? 1,
    )
  }

  /**
   * Queues a misbehavior, after those of earlier calls.
   *
   * @param how the misbehavior
   * @param times the number of connections or requests, by default 1; 0: all until the next call
   * or until `behave`
   * @throws {WebhookMtlsError} `option_invalid`
   */
  misbehave(how: Misbehavior, times = 1): void {
    unwrap(kit.consumerMisbehave(this.#handle, text('how', how), wholeNumber('times', times)))
  }

  /** Removes all pending responses and misbehaviors. */
  behave(): void {
    kit.consumerBehave(this.#handle)
  }

  /**
   * Presents a renewed certificate from the next connection on, and closes idle connections.
   *
   * @param options `newKey`: whether it has a new key, and so a new pin
   */
  renew(options: { newKey: boolean }): void {
    const newKey = new Options(options, [], ['newKey']).value('newKey')
    if (typeof newKey !== 'boolean') throw wrongType('new_key', 'a boolean', newKey)
    unwrap(kit.consumerRenew(this.#handle, newKey))
  }

  /** The certificate that it presents on the next connection, for example to revoke it. */
  get issued(): Issued {
    return Issued.of(kit.consumerIssued(this.#handle))
  }

  /** Presents this certificate from the next connection on, and closes idle connections. */
  show(issued: Issued): void {
    kit.consumerShow(this.#handle, Issued.handle(issued))
  }

  /**
   * Presents a certificate of another CA from the next connection on, with the same key, and closes
   * idle connections.
   */
  certify(authority: Authority): void {
    unwrap(kit.consumerCertify(this.#handle, Authority.handle(authority)))
  }

  /** Accepts client certificates of another CA as well, from the next connection on. */
  accept(authority: Authority): void {
    kit.consumerAccept(this.#handle, Authority.handle(authority))
  }

  /**
   * Accepts only client certificates of this CA from the next connection on, and closes idle
   * connections.
   */
  acceptOnly(authority: Authority): void {
    kit.consumerAcceptOnly(this.#handle, Authority.handle(authority))
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
    ;[this.certPem, this.keyPem, this.pin] = kit.issuedPem(handle)
  }

  /**
   * Returns the header lines that a proxy forwards after this client's handshake, to test a receiver
   * without a proxy.
   *
   * @param dialect how the proxy writes them
   * @param options `forgery`: forges them, so that a receiver must answer 401, also if they come from
   * the hop. `repeated`, `capitals`, `underscore`: a client's own line stands before that of the
   * proxy; `underscore_alone`: the only line has `_` for `-`; `not_verified`: the verdict is
   * negative; `absent`, `malformed`, `too_large`
   * @returns names and values in turn, as `rawHeaders` of `node:http`
   * @throws {WebhookMtlsError} `option_invalid` if a word is unknown, or the dialect has no verdict
   */
  forwarded(dialect: Dialect, options?: { forgery?: Forgery | undefined }): string[] {
    const forgery = new Options(options, [], ['forgery']).optional('forgery', text)
    return unwrap(kit.issuedForwarded(this.#handle, text('dialect', dialect), forgery))
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

/** A temporary private CA: a root, and an intermediate that issues certificates. */
export class Authority {
  readonly #handle: Handle
  /** The root, which peers must trust, as PEM. */
  readonly rootPem: string
  /** The intermediate as PEM. */
  readonly intermediatePem: string

  /**
   * @param name a part of its subjects; use a different name for each authority
   * @param options `keyType`: the type of its keys and of those of its certificates, by default
   * `p256`
   */
  constructor(name: string, options?: { keyType?: KeyType })
  /** @internal */
  constructor(name: string, options: undefined, handle: Handle)
  constructor(name: string, options?: { keyType?: KeyType }, handle?: Handle) {
    const keyType = new Options(options, [], ['keyType']).optional('keyType', text)
    this.#handle = handle ?? unwrap(kit.authority(text('name', name), keyType))
    ;[this.rootPem, this.intermediatePem] = kit.authorityPem(this.#handle)
  }

  /**
   * Issues a certificate with a new key.
   *
   * @param tenant the tenant in its SAN URI
   * @param options `role`: by default `client`; `server` for the certificate of a consumer;
   * `notBefore`: by default five minutes ago; `notAfter`: by default a day later
   * @returns the certificate with its chain and private key
   */
  issue(
    tenant: string,
    options?: { role?: Role; notBefore?: Date; notAfter?: Date },
  ): Issued {
    const parsed = new Options(options, [], ['role', 'notBefore', 'notAfter'])
    const role = parsed.optional('role', text) ?? 'client'
    const isServer = role === 'server'
    if (role !== 'client' && !isServer) {
      throw wrongValue('role', 'client or server', 'another word')
    }
    const [from, until] = [parsed.optional('notBefore', date), parsed.optional('notAfter', date)]
    const name = text('tenant', tenant)
    return Issued.of(unwrap(kit.authorityIssue(this.#handle, name, isServer, from, until)))
  }

  /**
   * Issues a CRL of the intermediate, valid for a day. A later one replaces it.
   *
   * @param revoked the revoked certificates
   * @returns the CRL as PEM
   */
  crl(revoked: Iterable<Issued> = []): string {
    return unwrap(kit.authorityCrl(this.#handle, Array.from(revoked, Issued.handle)))
  }

  /** @internal */
  static handle(value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType('authority', 'an Authority', value)
  }
}

/**
 * Sets the library's clock in this process, to test how certificates age. The time continues from
 * there. The lab's receivers keep the system time.
 *
 * @param at the new time; null for the system time
 */
export function setClock(at: Date | null): void {
  unwrap(native.setClock(at === null ? undefined : date('at', at)))
}

/**
 * Returns the number of signatures of certificates and CRLs that this process has checked so far. A
 * signature in the cache is not checked again; see `rememberSignatures`.
 */
export function signaturesChecked(): number {
  return native.signaturesChecked()
}

const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/** nginx in front of an application, on 127.0.0.1. It runs until it or its lab is closed. */
export class Nginx {
  readonly #handle: Handle
  /** The URL, `https://127.0.0.1:<port>/`. The application gets requests for every path. */
  readonly url: string
  /** The pin of its certificate. */
  readonly pin: string

  private constructor(handle: Handle) {
    this.#handle = handle
    ;[this.url, this.pin] = kit.nginxFacts(handle)
  }

  /** @internal */
  static of(handle: Handle): Nginx {
    return new Nginx(handle)
  }

  /** Ends it. */
  async close(): Promise<void> {
    unwrap(await kit.nginxClose(this.#handle))
  }
}

/** The environment to test a dispatcher: a CA, an identity, and receivers. */
export class Lab implements AsyncDisposable {
  readonly #handle: Handle
  /** A client identity of the lab's CA, for the tenant `dispatcher`. */
  readonly identity: Identity
  /** Trust in only the lab's root. */
  readonly trust: Trust
  /** The same identity as PEM: certificate chain, leaf first, and PKCS#8 key. */
  readonly identityPem: { readonly cert: string; readonly key: string }
  /** The same root as PEM. */
  readonly trustPem: string
  /** The CA behind the lab, to issue and revoke certificates. */
  readonly authority: Authority

  private constructor(handle: Handle) {
    this.#handle = handle
    const [cert, key, root] = unwrap(kit.labPem(handle))
    this.identity = Identity.fromPem(cert, key)
    this.trust = Trust.fromPem(root)
    this.identityPem = { cert, key }
    this.trustPem = root
    this.authority = new Authority('lab', undefined, unwrap(kit.labAuthority(handle)))
  }

  /** Creates the CA. Close the lab with `await using`, or with {@link close}. */
  static async start(): Promise<Lab> {
    return new Lab(unwrap(await kit.labStart()))
  }

  /**
   * Returns the receiver of that name. The first call starts it.
   *
   * @param name its tenant: 1 to 64 characters of `A-Z a-z 0-9 . _ -`
   */
  async consumer(name: string): Promise<Consumer> {
    return Consumer.of(unwrap(await kit.labConsumer(this.#handle, text('name', name))))
  }

  /**
   * Starts nginx in front of an application: a real proxy that ends mutual TLS, requires a certificate
   * of the lab's CA, and forwards it in the dialect `nginx`. A dispatcher of the lab can deliver to its
   * URL. The program must be installed: on Debian, the package nginx-light.
   *
   * @param application host and port of the application, which speaks HTTP
   * @throws {WebhookMtlsError} `option_invalid`, or `internal` if nginx is not installed or does not
   * start
   */
  async nginx(application: string): Promise<Nginx> {
    const started = await kit.labNginx(this.#handle, text('application', application))
    return Nginx.of(unwrap(started))
  }

  /**
   * Creates a dispatcher with the lab's identity and trust, which may connect to loopback.
   *
   * @param options options that differ from these
   */
  dispatcher(options?: DispatcherOptions): Dispatcher {
    return new Dispatcher(options, (given) =>
      native.dispatcher({
        identity: given.identity ?? Identity.handle('identity', this.identity),
        trust: given.trust ?? Trust.handle('trust', this.trust),
        egress: given.egress ?? unwrap(native.egress('public', kit.labNetworks(), [], [])),
        settings: given.settings,
      }),
    )
  }

  /**
   * Writes `tls.crt`, `tls.key` and `ca.pem`, for programs that take paths.
   *
   * @param directory the directory; created if it is missing
   */
  writeFiles(directory: string): void {
    unwrap(kit.labWriteFiles(this.#handle, text('directory', directory)))
  }

  /** Closes every receiver. Recorded requests stay readable. */
  async close(): Promise<void> {
    unwrap(await kit.labClose(this.#handle))
  }

  /** Calls {@link close}; used by `await using`. */
  async [asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Creates a well-formed error of a kind, to test error handling without a network.
 *
 * @param kind the kind, which defines the defaults
 * @param fields fields that differ from the defaults: any field of {@link WebhookMtlsError} except
 * `code` and `number`
 * @returns the error
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function error(
  kind: Kind,
  fields: Readonly<Record<string, unknown>> = {},
): WebhookMtlsError {
  const defaults = unwrap(kit.testingError(text('kind', kind)))
  const json = JSON.parse(defaults) as Record<string, unknown>
  for (const [name, value] of Object.entries(fields)) {
    const key = snakeCase(name)
    if (!(key in json) || key === 'kind' || key === 'number') {
      throw unknownName(name, 'a field of the error')
    }
    json[key] = value
  }
  return WebhookMtlsError.fromJSON(JSON.parse(errorText(json)))
}

function received(request: ReceivedRequest): Received {
  const headers: Record<string, string> = {}
  for (const [name, value] of request.headers) {
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  const { id, method, path, body } = request
  const peer = { tenant: request.tenant ?? null, serverName: request.serverName ?? null }
  return { ...(id !== undefined && { id }), method, path, headers, body, ...peer }
}

function date(option: string, value: unknown): number {
  const instant = value instanceof Date ? value.getTime() : NaN
  if (Number.isNaN(instant)) throw wrongType(option, 'a Date', value)
  return instant
}
