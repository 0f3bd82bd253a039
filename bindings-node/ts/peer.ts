import type { Evidence, Note } from './enums'

interface PeerJson {
  tenant: string | null
  subject: string
  cn: string | null
  san_dns: string[]
  san_ip: string[]
  san_uri: string[]
  san_email: string[]
  spki_pin: string
  fingerprint: string
  x5t_s256: string
  serial: string
  issuer: string
  not_before_ms: number
  not_after_ms: number
  lifetime_left: number
  anchor: string
  path: string[]
  matched_pin: string | null
  evidence: Evidence
  hop: string | null
  purpose: 'present' | 'absent'
  notes: Note[]
  revocation_unchecked: string[]
}

/** The identity of a verified peer, from its certificate. Only verification creates it. */
export class PeerIdentity {
  readonly #json: PeerJson

  /**
   * The tenant by the tenant rule. Without a rule, the SAN URI if the certificate has exactly one,
   * and it is a SPIFFE ID or another URI in canonical form.
   */
  readonly tenant: string | null
  /** The subject as RFC 4514 text. */
  readonly subject: string
  /**
   * The subject's common name, if there is exactly one. It does not identify the peer by itself.
   */
  readonly cn: string | null
  /** The DNS names of the subjectAltName. */
  readonly sanDns: readonly string[]
  /** The IP addresses of the subjectAltName. */
  readonly sanIp: readonly string[]
  /** The URIs of the subjectAltName. */
  readonly sanUri: readonly string[]
  /** The e-mail addresses of the subjectAltName. */
  readonly sanEmail: readonly string[]
  /** The pin of the leaf's public key: `sha256/…`. */
  readonly spkiPin: string
  /** The SHA-256 of the leaf certificate, as lower-case hex. */
  readonly fingerprint: string
  /** The same hash as `x5t#S256` of a certificate-bound token (RFC 8705). */
  readonly x5tS256: string
  /** The serial number, as lower-case hex. */
  readonly serial: string
  /** The issuer as RFC 4514 text. */
  readonly issuer: string
  /** The first instant of validity. */
  readonly notBefore: Date
  /** The last instant of validity. */
  readonly notAfter: Date
  /** The remaining fraction of the leaf's lifetime at the time of verification, 0 to 1. */
  readonly lifetimeLeft: number
  /** The subject of the anchor at the end of the path. */
  readonly anchor: string
  /** The subjects from the leaf to the anchor. */
  readonly path: readonly string[]
  /** The configured pin that matched. */
  readonly matchedPin: string | null
  /** How the certificate was received. */
  readonly evidence: Evidence
  /** The name of the hop that forwarded the certificate, if the evidence is `forwarded`. */
  readonly hop: string | null
  /** Whether the leaf has an extendedKeyUsage. */
  readonly purpose: 'present' | 'absent'
  /** Unusual properties that verification tolerates. */
  readonly notes: readonly Note[]
  /**
   * The subjects of the certificates of the path whose revocation is not checked, although the trust
   * has CRLs. The note `revocation_unchecked` is about them.
   */
  readonly revocationUnchecked: readonly string[]

  /** @internal */
  constructor(value: unknown) {
    const json = value as PeerJson
    this.#json = json
    this.tenant = json.tenant
    this.subject = json.subject
    this.cn = json.cn
    this.sanDns = json.san_dns
    this.sanIp = json.san_ip
    this.sanUri = json.san_uri
    this.sanEmail = json.san_email
    this.spkiPin = json.spki_pin
    this.fingerprint = json.fingerprint
    this.x5tS256 = json.x5t_s256
    this.serial = json.serial
    this.issuer = json.issuer
    this.notBefore = new Date(json.not_before_ms)
    this.notAfter = new Date(json.not_after_ms)
    this.lifetimeLeft = json.lifetime_left
    this.anchor = json.anchor
    this.path = json.path
    this.matchedPin = json.matched_pin
    this.evidence = json.evidence
    this.hop = json.hop
    this.purpose = json.purpose
    this.notes = json.notes
    this.revocationUnchecked = json.revocation_unchecked
  }

  /**
   * Returns the identity in the JSON form of every language: snake_case keys, times as Unix
   * milliseconds.
   *
   * @returns a new object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }
}
