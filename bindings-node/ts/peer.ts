// What a verification yields.

/** A verified peer. */
export class PeerIdentity {
  readonly #json: Record<string, unknown>

  /** @internal */
  constructor(json: Record<string, unknown>) {
    this.#json = json
  }

  /** The tenant by the rule; without a rule, the certificate's one SAN URI if it has exactly one. */
  get tenant(): string | null { return this.#json['tenant'] as string | null }
  /** The subject as RFC 4514 text. */
  get subject(): string { return this.#json['subject'] as string }
  /** The subject's one common name. It identifies nobody by itself. */
  get cn(): string | null { return this.#json['cn'] as string | null }
  /** The DNS names of the subjectAltName. */
  get sanDns(): string[] { return this.#json['san_dns'] as string[] }
  /** The IP addresses of the subjectAltName. */
  get sanIp(): string[] { return this.#json['san_ip'] as string[] }
  /** The URIs of the subjectAltName. */
  get sanUri(): string[] { return this.#json['san_uri'] as string[] }
  /** The e-mail addresses of the subjectAltName. */
  get sanEmail(): string[] { return this.#json['san_email'] as string[] }
  /** The pin of the leaf's public key: `sha256/…`. */
  get spkiPin(): string { return this.#json['spki_pin'] as string }
  /** The SHA-256 of the whole leaf, lower-case hex. */
  get fingerprint(): string { return this.#json['fingerprint'] as string }
  /** The SHA-256 of the whole leaf as a certificate-bound token has it (RFC 8705). */
  get x5tS256(): string { return this.#json['x5t_s256'] as string }
  /** The serial number, lower-case hex. */
  get serial(): string { return this.#json['serial'] as string }
  /** The issuer as RFC 4514 text. */
  get issuer(): string { return this.#json['issuer'] as string }
  /** The first instant of validity. */
  get notBefore(): Date { return new Date(this.#json['not_before_ms'] as number) }
  /** The last instant of validity. */
  get notAfter(): Date { return new Date(this.#json['not_after_ms'] as number) }
  /** The fraction of the lifetime that was left at the verdict, 0 to 1. */
  get lifetimeLeft(): number { return this.#json['lifetime_left'] as number }
  /** The subject of the anchor. */
  get anchor(): string { return this.#json['anchor'] as string }
  /** The subjects from the leaf to the anchor. */
  get path(): string[] { return this.#json['path'] as string[] }
  /** The configured pin that matched. */
  get matchedPin(): string | null { return this.#json['matched_pin'] as string | null }
  /** How the certificate reached us. */
  get evidence(): 'socket' | 'asserted' { return this.#json['evidence'] as 'socket' | 'asserted' }
  /** Whether the leaf names its purpose or leaves it open. */
  get purpose(): 'present' | 'absent' { return this.#json['purpose'] as 'present' | 'absent' }

  /** The whole identity in the form that every language shows. */
  toJSON(): Record<string, unknown> {
    return structuredClone(this.#json)
  }
}
