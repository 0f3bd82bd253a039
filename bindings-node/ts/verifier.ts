import type { TLSSocket } from 'node:tls'
import { types } from 'node:util'

import { settled, wrongType } from './error'
import { events, expiries, listener, type Event, type Expiry } from './event'
import { chain as chainOf, flag, Options, several, text, texts, type Body } from './given'
import { native, type Handle } from './native'
import { PeerIdentity } from './peer'
import { Pins } from './pins'
import { handshake } from './socket'
import { Trust } from './trust'
import type { CrlPolicy, Role } from './words'

/**
 * How a verified certificate names its tenant: 1 to 64 of `A-Z a-z 0-9 . _ -`. A peer whose
 * certificate does not is refused.
 */
export class TenantRule {
  readonly #handle: Handle
  /** Which rule it is. */
  readonly kind: 'san_uri' | 'san_dns_suffix' | 'subject_cn'

  private constructor(kind: TenantRule['kind'], handle: Handle) {
    this.kind = kind
    this.#handle = handle
  }

  /**
   * A SAN URI equal to the template, compared byte by byte.
   *
   * @param template such as `spiffe://corp/tenant/{tenant}`; `{tenant}` is one whole path segment
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static sanUri(template: string): TenantRule {
    return new TenantRule('san_uri', settled(native.tenantSanUri(text('template', template))))
  }

  /**
   * A SAN DNS name of one label before the suffix.
   *
   * @param suffix such as `tenants.corp`, which takes `acme.tenants.corp`
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static sanDnsSuffix(suffix: string): TenantRule {
    const handle = settled(native.tenantSanDnsSuffix(text('suffix', suffix)))
    return new TenantRule('san_dns_suffix', handle)
  }

  /** The subject's common name. Right only where the CA writes nothing else there. */
  static subjectCn(): TenantRule {
    return new TenantRule('subject_cn', native.tenantSubjectCn())
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'a TenantRule', value)
  }
}

/** Who may pass. There is no "anybody": where every member of the CA may, say so. */
export class Authorization {
  readonly #handle: Handle
  /** Which rule it is. */
  readonly kind: 'san_uris' | 'trust_domain' | 'ca_members'

  private constructor(kind: Authorization['kind'], handle: Handle) {
    this.kind = kind
    this.#handle = handle
  }

  /**
   * Peers with one of these SAN URIs, compared byte by byte.
   *
   * @param uris at least one
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static sanUris(uris: Iterable<string>): Authorization {
    const handle = settled(native.authorizationSanUris(texts('authorization', uris)))
    return new Authorization('san_uris', handle)
  }

  /**
   * Peers with exactly one SPIFFE ID, which belongs to this trust domain.
   *
   * @param domain such as `corp`
   * @throws {WebhookMtlsError} `option_invalid`
   */
  static trustDomain(domain: string): Authorization {
    const handle = settled(native.authorizationTrustDomain(text('authorization', domain)))
    return new Authorization('trust_domain', handle)
  }

  /** Every peer with a valid certificate. Right only where the CA issues to nobody else. */
  static caMembers(): Authorization {
    return new Authorization('ca_members', native.authorizationCaMembers())
  }

  /** @internal */
  static handle(option: string, value: unknown): Handle {
    if (typeof value === 'object' && value !== null && #handle in value) return value.#handle
    throw wrongType(option, 'an Authorization', value)
  }
}

/** What a verifier expects. */
export interface VerifierOptions {
  /** What the peers are. */
  role: Role
  /** Whom we believe. */
  trust: Trust
  /** The keys a peer may have, beside a valid chain; by default any. */
  pins?: Pins | null
  /** How a certificate names its tenant. Clients need this or an authorization. */
  tenant?: TenantRule
  /** Which peers may pass. Clients need this or a tenant rule. */
  authorization?: Authorization
  /** The SAN URI that a server's certificate must carry, instead of its name. */
  serverUri?: string
  /** Whether a certificate without extendedKeyUsage is refused; by default it passes. */
  strictPurpose?: boolean
  /** Whether a CRL of every issuer is required; by default `if_present`. */
  crlPolicy?: CrlPolicy
  /** How often the files of trust and pins are looked at, in milliseconds; 0: by `reload()`. */
  reloadMs?: number
  /** The fraction of a lifetime left at which an expiry event comes first; by default 0.2. */
  expiryWarning?: number
}

/** What one verification asks beside the chain. */
export interface VerifyOptions {
  /** The DNS name or IP address that was asked for; required for servers, refused for clients. */
  serverName?: string
  /** The instant to judge at; by default now. */
  at?: Date
}

/** What the verification of a socket's peer asks beside the socket. */
export interface SocketOptions {
  /** As {@link VerifyOptions} has it; by default the name that the socket connected to. */
  serverName?: string
}

/** Verifies the certificates of peers, wherever their connection ends. */
export class Verifier {
  readonly #handle: Handle

  /**
   * @param options role and trust, and for clients who may pass
   * @throws {WebhookMtlsError} `option_invalid`
   */
  constructor(options: VerifierOptions) {
    this.#handle = verifierHandle(new Options(options, ['verifier']))
  }

  /**
   * Judges a chain.
   *
   * @param chain leaf first: PEM, concatenated DER, or an array with the DER of each certificate;
   * the trust's intermediates are added
   * @param options the server's name, the instant
   * @returns the verified peer; its evidence is `asserted`, for bytes prove no possession
   * @throws {WebhookMtlsError} stage `verify` and the kind of the refusal, or `pem_invalid` or
   * `option_invalid`
   */
  verify(chain: Body | readonly Uint8Array[], options?: VerifyOptions): PeerIdentity {
    return judged(this.#handle, chain, new Options(options, [], VERIFY_KEYS))
  }

  /**
   * Judges the peer of a TLS connection of `node:tls`, now.
   *
   * @param socket a socket whose handshake is complete (`secureConnect`, `secureConnection`)
   * @param options the server's name
   * @returns the verified peer; its evidence is `socket`, for it has proved that it holds the key
   * @throws {WebhookMtlsError} as {@link verify} does; `evidence_missing` where the handshake is
   * not complete, the socket is closed, or the peer showed no certificate
   */
  verifySocket(socket: TLSSocket, options?: SocketOptions): PeerIdentity {
    const name = new Options(options, [], ['serverName']).optional('serverName', text)
    const outcome = native.verifyHandshake(this.#handle, handshake(socket, name))
    return new PeerIdentity(JSON.parse(settled(outcome)))
  }

  /**
   * Looks at the watched files of trust and pins now, and believes from now on what they hold.
   *
   * @returns what there is to tell; an unusable file is `rotation_failed`, and what was believed
   * before stays
   */
  reload(): Event[] {
    return events(native.verifierReload(this.#handle))
  }

  /**
   * What expires: anchors, intermediates and CRLs, the least of its lifetime left first.
   *
   * @throws {WebhookMtlsError} `clock_implausible`
   */
  expiries(): Expiry[] {
    return expiries(native.verifierExpiries(this.#handle))
  }

  /**
   * Has every event from now on handed to a listener, as `Dispatcher.on` does.
   *
   * @param name `event`
   * @param callback takes the event
   * @throws {WebhookMtlsError} `option_invalid`
   */
  on(name: 'event', callback: (event: Event) => void): this {
    settled(native.verifierOnEvent(this.#handle, listener(name, callback)))
    return this
  }
}

/**
 * Judges one chain: {@link Verifier} and its `verify` in one call.
 *
 * @param chain as {@link Verifier.verify} takes it
 * @param options as both take them
 * @returns the verified peer
 * @throws {WebhookMtlsError} as both do
 */
export function verifyPeer(
  chain: Body | readonly Uint8Array[],
  options: VerifierOptions & VerifyOptions,
): PeerIdentity {
  const given = new Options(options, ['verifier'], VERIFY_KEYS)
  return judged(verifierHandle(given), chain, given)
}

/**
 * Turns the memory of signatures off or on again, for the whole process with its workers: a switch
 * for measurements. It is on at the start; what was remembered before it went off counts again when
 * it is back.
 *
 * @param enabled whether a signature once found good stays good; verdicts are made anew each time
 * @throws {WebhookMtlsError} `option_invalid`
 */
export function rememberSignatures(enabled: boolean): void {
  native.rememberSignatures(flag('enabled', enabled))
}

const VERIFY_KEYS = ['serverName', 'at']

function verifierHandle(given: Options): Handle {
  const pins = given.value('pins')
  const outcome = native.verifier({
    role: text('role', given.value('role')),
    trust: Trust.handle('trust', given.value('trust')),
    pins: pins === undefined || pins === null ? undefined : Pins.handle('pins', pins),
    tenant: given.optional('tenant', TenantRule.handle),
    authorization: given.optional('authorization', Authorization.handle),
    settings: given.settings('verifier'),
  })
  return settled(outcome)
}

function judged(verifier: Handle, chain: unknown, given: Options): PeerIdentity {
  const name = given.optional('serverName', text)
  const at = given.optional('at', instant)
  const outcome = Array.isArray(chain)
    ? native.verifyChain(verifier, several('chain', 'chain', chain, certificate), name, at)
    : native.verify(verifier, chainOf('chain', chain), name, at)
  return new PeerIdentity(JSON.parse(settled(outcome)))
}

function certificate(option: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw wrongType(option, 'an array of Uint8Array', value)
  return chainOf(option, value)
}

function instant(option: string, value: unknown): number {
  if (types.isDate(value) && !Number.isNaN(value.getTime())) return value.getTime()
  throw wrongType(option, 'a valid Date', value)
}
