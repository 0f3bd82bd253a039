import type { Evidence, Note } from './words'

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
  purpose: 'present' | 'absent'
  notes: Note[]
}

/** A verified peer, as its certificate shows it. Made by verification alone. */
export class PeerIdentity {
  readonly #json: PeerJson

  /**
   * The tenant by the rule; without a rule, the one SAN URI if there is exactly one, and that is a
   * SPIFFE ID or another URI with one spelling.
   */
  readonly tenant: string | null
  /** The subject as RFC 4514 text. */
  readonly subject: string
  /** The subject's common name, if there is exactly one. It identifies nobody by itself. */
  readonly cn: string | null
  /** The DNS names of the subjectAltName. */
  readonly sanDns: readonly string[]
  /** Its IP addresses. */
  readonly sanIp: readonly string[]
  /** Its URIs. */
  readonly sanUri: readonly string[]
  /** Its e-mail addresses. */
  readonly sanEmail: readonly string[]
  /** The pin of the leaf's public key: `sha256/…`. */
  readonly spkiPin: string
  /** The SHA-256 of the whole leaf, as lower-case hex. */
  readonly fingerprint: string
  /** The same as a certificate-bound token has it (RFC 8705). */
  readonly x5tS256: string
  /** The serial number, as lower-case hex. */
  readonly serial: string
  /** The issuer as RFC 4514 text. */
  readonly issuer: string
  /** The first instant of validity. */
  readonly notBefore: Date
  /** The last instant of validity. */
  readonly notAfter: Date
  /** The fraction of the leaf's lifetime that was left when it was verified, 0 to 1. */
  readonly lifetimeLeft: number
  /** The subject of the anchor that the path ends in. */
  readonly anchor: string
  /** The subjects from the leaf to the anchor. */
  readonly path: readonly string[]
  /** The configured pin that matched. */
  readonly matchedPin: string | null
  /** How the certificate reached us. */
  readonly evidence: Evidence
  /** Whether the leaf names its purpose, or leaves it open. */
  readonly purpose: 'present' | 'absent'
  /** What is unusual, and was tolerated. */
  readonly notes: readonly Note[]

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
    this.purpose = json.purpose
    this.notes = json.notes
  }

  /**
   * The whole identity in the form that every language shows: snake_case keys, instants as Unix
   * milliseconds.
   *
   * @returns a fresh object of plain JSON values
   */
  toJSON(): Record<string, unknown> {
    return structuredClone({ ...this.#json })
  }
}
