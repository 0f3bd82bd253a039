import type { TLSSocket } from 'node:tls'
import { types } from 'node:util'

import { unwrap, wrongType } from './error'
import { events, expiries, EventSource, REGISTER, type Event, type Expiry } from './event'
import { chain as chainOf, flag, Options, several, text, texts, type Body } from './options'
import { headerLines, Hop, instant, type ForwardedOptions } from './forwarded'
import { METRICS, metricsOf, metricsText, type Metrics, type MetricsTextOptions } from './metrics'
import { native, type Handle } from './native'
import { PeerIdentity } from './peer'
import { Pins } from './pins'
import { handshake } from './socket'
import { Trust } from './trust'
import type { CrlPolicy, Role } from './enums'

/**
 * How a verified certificate names its tenant: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. A peer
 * without such a name is refused.
 */
export class TenantRule {
  readonly #handle: Handle
  /** The kind of rule. */
  readonly kind: 'san_uri' | 'san_dns_suffix' | 'subject_cn'

  private constructor(kind: TenantRule['kind'], handle: Handle) {
    this.kind = kind
    this.#handle = handle
  }

  /**
   * Takes the tenant from a SAN URI that equals the template, byte by byte.
   *
   * @param template such as `spiffe://corp/tenant/{tenant}`; `{tenant}` is one whole path segment
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static sanUri(template: string): TenantRule {
    return new TenantRule('san_uri', unwrap(native.tenantSanUri(text('template', template))))
  }

  /**
   * Takes the tenant from a SAN DNS name with one label before the suffix.
   *
   * @param suffix such as `tenants.corp`, which matches `acme.tenants.corp`
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static sanDnsSuffix(suffix: string): TenantRule {
    const handle = unwrap(native.tenantSanDnsSuffix(text('suffix', suffix)))
    return new TenantRule('san_dns_suffix', handle)
  }

  /**
   * Takes the tenant from the subject's common name. Safe only if the CA writes nothing else there.
   */
  static subjectCn(): TenantRule {
    return new TenantRule('subject_cn', native.tenantSubjectCn())
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'a TenantRule', value)
  }
}

/** The peers that may pass. To accept every peer of the CA, use {@link caMembers} explicitly. */
export class Authorization {
  readonly #handle: Handle
  /** The kind of rule. */
  readonly kind: 'san_uris' | 'trust_domain' | 'ca_members'

  private constructor(kind: Authorization['kind'], handle: Handle) {
    this.kind = kind
    this.#handle = handle
  }

  /**
   * Accepts peers with one of these SAN URIs, compared byte by byte.
   *
   * @param uris at least one
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static sanUris(uris: Iterable<string>): Authorization {
    const handle = unwrap(native.authorizationSanUris(texts('authorization', uris)))
    return new Authorization('san_uris', handle)
  }

  /**
   * Accepts peers with exactly one SPIFFE ID, which belongs to this trust domain.
   *
   * @param domain such as `corp`
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static trustDomain(domain: string): Authorization {
    const handle = unwrap(native.authorizationTrustDomain(text('authorization', domain)))
    return new Authorization('trust_domain', handle)
  }

  /**
   * Accepts every peer with a valid certificate. Safe only if the CA issues to no other parties.
   */
  static caMembers(): Authorization {
    return new Authorization('ca_members', native.authorizationCaMembers())
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'an Authorization', value)
  }
}

/** The options of a verifier. */
export interface VerifierOptions {
  // generated: begin properties verifier
  /** The role of the peers: client or server. */
  role: Role
  /** The trust for the peers' certificates. */
  trust: Trust
  /** The keys that a peer may have. */
  pins?: Pins | null | undefined
  /**
   * The rule by which a certificate names its tenant. The role client requires this or an
   * authorization.
   */
  tenant?: TenantRule | undefined
  /** The peers that are allowed. The role client requires this or a tenant rule. */
  authorization?: Authorization | undefined
  /** The SAN URI that a server's certificate must contain. */
  serverUri?: string | undefined
  /** Whether to refuse a certificate without extendedKeyUsage. By default false. */
  strictPurpose?: boolean | undefined
  /**
   * The certificates of a peer that a CRL must cover: if_present (none), require (all but the
   * anchor) or require_leaf. By default `if_present`.
   */
  crlPolicy?: CrlPolicy | undefined
  /**
   * The interval at which the files of trust and pins are checked for changes. 0 checks only in
   * reload(). In milliseconds; by default 10000.
   */
  reloadMs?: number | undefined
  /**
   * The remaining fraction of a lifetime at which the first expiry event is raised. More follow
   * at 0.1, 0.05 and 0. By default 0.2.
   */
  expiryWarning?: number | undefined
  // generated: end
}

/** The options of one verification. */
export interface VerifyOptions {
  /**
   * The requested DNS name or IP address. Required for servers unless `serverUri` is set, refused
   * for clients.
   */
  serverName?: string | undefined
  /** The time of verification; by default now. */
  at?: Date | undefined
}

/** The options to verify a socket's peer. */
export interface SocketOptions {
  /** As in {@link VerifyOptions}; by default the name that the socket connected to. */
  serverName?: string | undefined
}

/** Verifies the certificates of peers: of TLS sockets, or as bytes. */
export class Verifier extends EventSource {
  readonly #handle: Handle

  /**
   * @param options role and trust; for clients, also a tenant rule or an authorization
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options: VerifierOptions) {
    super()
    this.#handle = verifierHandle(new Options(options, ['verifier']))
  }

  /**
   * Verifies a chain.
   *
   * @param chain leaf first: PEM, concatenated DER, or an array with the DER of each certificate;
   * the trust's intermediates are added
   * @param options the server name, the time
   * @returns the verified peer; its evidence is `asserted`, because bytes do not prove possession
   * @throws {WebhookMtlsError} with stage `verify` and the kind of the refusal, or `pem_invalid` or
   * `option_invalid`
   */
  verify(chain: Body | readonly Uint8Array[], options?: VerifyOptions): PeerIdentity {
    return verifyWith(this.#handle, chain, new Options(options, [], VERIFY_KEYS))
  }

  /**
   * Verifies the peer of a TLS connection of `node:tls`, at the current time. The chain is read once
   * and kept for the socket. Read it here before you call `getPeerX509Certificate`, which takes the
   * intermediates out of the socket; or pass them to the trust.
   *
   * @param socket a socket whose handshake is complete (`secureConnect`, `secureConnection`)
   * @param options the server name
   * @returns the verified peer; its evidence is `socket`, because it proved possession of the key
   * @throws {WebhookMtlsError} as {@link verify} does; `evidence_missing` if the handshake is not
   * complete, the socket is closed, or the peer presented no certificate
   */
  verifySocket(socket: TLSSocket, options?: SocketOptions): PeerIdentity {
    const name = new Options(options, [], ['serverName']).optional('serverName', text)
    const result = native.verifyHandshake(this.#handle, handshake(socket, name))
    return new PeerIdentity(JSON.parse(unwrap(result)))
  }

  /**
   * Verifies the client certificate that a proxy forwards in the headers of a request. Most proxies
   * forward the leaf alone: give the trust the intermediates.
   *
   * @param rawHeaders `req.rawHeaders`: every header line of the request as it arrived. Not
   * `req.headers`, which hides a second line.
   * @param options the dialect and the hop, the peer of the transport, the time
   * @returns the verified peer; its evidence is `forwarded`, and `hop` is the name of the hop
   * @throws {WebhookMtlsError} `hop_untrusted` if the request does not come from the hop, or if a
   * client could have written the headers; `evidence_missing` if the hop forwards no readable
   * certificate; otherwise as {@link verify} does
   */
  verifyForwarded(rawHeaders: readonly string[], options: ForwardedOptions): PeerIdentity {
    const given = new Options(options, [], ['dialect', 'hop', 'remote', 'at'])
    const result = native.verifyForwarded(
      this.#handle,
      headerLines(rawHeaders),
      text('dialect', given.value('dialect')),
      Hop.handle('hop', given.value('hop')),
      given.optional('remote', text),
      given.optional('at', instant),
    )
    return new PeerIdentity(JSON.parse(unwrap(result)))
  }

  /** @internal Checks the options of {@link verifyForwarded} that middleware has before any request. */
  checkForwarding(dialect: unknown, hop: unknown): void {
    Hop.handle('hop', hop)
    unwrap(native.checkForwarding(this.#handle, text('dialect', dialect)))
  }

  /** @internal Counts a request that middleware has refused. */
  countRefusedRequest(kind: string): void {
    native.countRefusedRequest(this.#handle, text('kind', kind))
  }

  /**
   * Checks the watched files of trust and pins now and puts changed material into use.
   *
   * @returns the events; an unusable file causes `rotation_failed`, and the previous material stays
   * in use
   */
  reload(): Event[] {
    return events(native.verifierReload(this.#handle))
  }

  /**
   * Lists the anchors, intermediates and CRLs with their expiry. The smallest remaining fraction of
   * a lifetime comes first.
   *
   * @returns the expiries
   * @throws {WebhookMtlsError} `clock_implausible`
   */
  expiries(): Expiry[] {
    return expiries(native.verifierExpiries(this.#handle))
  }

  /**
   * Returns the metrics of this verifier in this process. A forked child starts at zero.
   */
  metrics(): Metrics {
    return metricsOf(this[METRICS]())
  }

  /**
   * Returns the metrics as the text of one response to a scrape.
   *
   * @param options the format, and other dispatchers and verifiers to add
   * @throws {WebhookMtlsError} `option_invalid`
   */
  metricsText(options?: MetricsTextOptions): string {
    return metricsText(this[METRICS](), options)
  }

  /** @internal */
  [METRICS](): Handle {
    return unwrap(native.verifierMetrics(this.#handle))
  }

  /** @internal */
  override [REGISTER](callback: (json: string) => void): void {
    unwrap(native.verifierOnEvent(this.#handle, callback))
  }
}

/**
 * Verifies one chain: creates a {@link Verifier} and calls its `verify`.
 *
 * @param chain as in {@link Verifier.verify}
 * @param options the options of both
 * @returns the verified peer
 * @throws {WebhookMtlsError} the errors of both
 */
export function verifyPeer(
  chain: Body | readonly Uint8Array[],
  options: VerifierOptions & VerifyOptions,
): PeerIdentity {
  const parsed = new Options(options, ['verifier'], VERIFY_KEYS)
  return verifyWith(verifierHandle(parsed), chain, parsed)
}

/**
 * Turns the signature cache off or on for the whole process, including its workers. Intended for
 * measurements. The cache is on by default. Its entries are kept while it is off.
 *
 * @param enabled whether a signature that was found valid is not checked again; all other checks
 * run on every verification
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function rememberSignatures(enabled: boolean): void {
  native.rememberSignatures(flag('enabled', enabled))
}

const VERIFY_KEYS = ['serverName', 'at']

function verifierHandle(options: Options): Handle {
  const pins = options.value('pins')
  const result = native.verifier({
    role: text('role', options.value('role')),
    trust: Trust.handle('trust', options.value('trust')),
    pins: pins === undefined || pins === null ? undefined : Pins.handle('pins', pins),
    tenant: options.optional('tenant', TenantRule.handle),
    authorization: options.optional('authorization', Authorization.handle),
    settings: options.settings('verifier'),
  })
  return unwrap(result)
}

function verifyWith(verifier: Handle, chain: unknown, options: Options): PeerIdentity {
  const name = options.optional('serverName', text)
  const at = options.optional('at', instant)
  const result = Array.isArray(chain)
    ? native.verifyChain(verifier, several('chain', 'chain', chain, certificate), name, at)
    : native.verify(verifier, chainOf('chain', chain), name, at)
  return new PeerIdentity(JSON.parse(unwrap(result)))
}

function certificate(option: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw wrongType(option, 'an array of Uint8Array', value)
  return chainOf(option, value)
}
