// The verifier, and the rules it is given.

import { take } from './errors.js'
import { MADE, Pins, Trust } from './material.js'
import { native, type Handle } from './native.js'
import { PeerIdentity } from './peer.js'
import {
  bytes, handleOf, keep, noun, optionalNoun, optionalText, options, seen, settings, text, texts, wrongType, type Body,
} from './values.js'

/** How a verified certificate names its tenant. */
export class TenantRule {
  /** @internal */
  constructor(made: symbol, handle: Handle) {
    if (made !== MADE) throw wrongType('constructor', 'left alone; use the static methods', 'called')
    keep(this, handle)
  }

  /** A SAN URI equal to the template, in which `{tenant}` is one whole path segment. */
  static sanUri(template: string): TenantRule {
    return new TenantRule(MADE, take(native.tenantSanUri(text(template, 'tenant'))))
  }

  /** A SAN DNS name of one label before the suffix. */
  static sanDnsSuffix(suffix: string): TenantRule {
    return new TenantRule(MADE, take(native.tenantSanDnsSuffix(text(suffix, 'tenant'))))
  }

  /** The subject's one common name. */
  static subjectCn(): TenantRule {
    return new TenantRule(MADE, native.tenantSubjectCn())
  }
}

/** Which peers may pass. There is no "anybody". */
export class Authorization {
  /** @internal */
  constructor(made: symbol, handle: Handle) {
    if (made !== MADE) throw wrongType('constructor', 'left alone; use the static methods', 'called')
    keep(this, handle)
  }

  /** Peers with one of these SAN URIs. */
  static sanUris(uris: Iterable<string>): Authorization {
    return new Authorization(MADE, take(native.authorizationSanUris(texts(uris, 'authorization'))))
  }

  /** Peers with exactly one SPIFFE ID, of this trust domain. */
  static trustDomain(domain: string): Authorization {
    return new Authorization(MADE, take(native.authorizationTrustDomain(text(domain, 'authorization'))))
  }

  /** Every peer with a valid certificate of the trusted CA. */
  static caMembers(): Authorization {
    return new Authorization(MADE, native.authorizationCaMembers())
  }
}

/** What a verifier shall expect. */
export interface VerifierOptions {
  /** What the peers are. */
  role: 'client' | 'server'
  /** Whom we believe. */
  trust: Trust
  /** The keys a peer may have. */
  pins?: Pins | null
  /** How a certificate names its tenant; clients need this or an authorization. */
  tenant?: TenantRule
  /** Which peers may pass; clients need this or a tenant rule. */
  authorization?: Authorization
  /** The SAN URI that a server's certificate must carry. */
  serverUri?: string
  /** Whether a certificate without extendedKeyUsage is refused. */
  strictPurpose?: boolean
  /** Whether a CRL of every issuer is required. */
  crlPolicy?: 'if_present' | 'require'
}

/** What one verdict is about. */
export interface VerifyOptions {
  /** The DNS name or IP address that was asked for; for servers. */
  serverName?: string
  /** The instant to judge at; now unless said. */
  at?: Date
}

/** Verifies the certificates of peers, wherever their connection ends. */
export class Verifier {
  /** @throws WebhookMtlsError `option_invalid` */
  constructor(o: VerifierOptions) {
    const given = options(o, 'options')
    const pins = optionalNoun(given['pins'], Pins, 'pins')
    const tenant = optionalNoun(given['tenant'], TenantRule, 'tenant')
    const authorization = optionalNoun(given['authorization'], Authorization, 'authorization')
    keep(this, take(native.verifier({
      role: text(given['role'], 'role'),
      trust: noun(given['trust'], Trust, 'trust'),
      ...(pins && { pins }), ...(tenant && { tenant }), ...(authorization && { authorization }),
      settings: settings(given, ['role', 'trust', 'pins', 'tenant', 'authorization']),
    })))
  }

  /**
   * Judges a chain, leaf first. The result's evidence is `asserted`.
   *
   * @param chain PEM text, concatenated DER, or a list of DER certificates
   * @throws WebhookMtlsError of stage `verify`, or `option_invalid`
   */
  verify(chain: Body | Uint8Array[], o?: VerifyOptions): PeerIdentity {
    const { serverName, at, ...others } = options(o, 'options')
    const unknown = Object.keys(others)[0]
    if (unknown !== undefined) throw wrongType(unknown, 'serverName or at', 'an unknown option')
    if (at !== undefined && !(at instanceof Date && !Number.isNaN(at.getTime()))) {
      throw wrongType('at', 'a valid Date', seen(at))
    }
    const given = [optionalText(serverName, 'server_name'), at?.getTime()] as const
    const outcome = Array.isArray(chain)
      ? native.verifyChain(handleOf(this), chain.map((der) => bytes(der, 'chain')), ...given)
      : native.verify(handleOf(this), bytes(chain, 'chain'), ...given)
    return new PeerIdentity(JSON.parse(take(outcome)) as Record<string, unknown>)
  }
}

/** Judges one chain: `new Verifier` and `verify` in one call. */
export function verifyPeer(chain: Body | Uint8Array[], o: VerifierOptions & VerifyOptions): PeerIdentity {
  const { serverName, at, ...rest } = options(o, 'options') as unknown as typeof o
  return new Verifier(rest).verify(chain, { ...(serverName !== undefined && { serverName }), ...(at !== undefined && { at }) })
}
