// The enums. A test compares each of them with the core's table.

/** The stage that a delivery or a verification had reached. */
export type Stage =
  | 'config'
  | 'admit'
  | 'resolve'
  | 'connect'
  | 'handshake'
  | 'request'
  | 'response'
  | 'verify'

/** Whose fault a failure is, as far as it can be known from here. */
export type Blame = 'ours' | 'theirs' | 'path' | 'caller' | 'unknown'

/**
 * What a failure affects: this payload, its endpoint, all users of the identity, or the process.
 */
export type Scope = 'delivery' | 'endpoint' | 'identity' | 'process'

/**
 * How much of the request was sent: `nothing`, `maybe` a part, or `all` of it, so the consumer may
 * have the payload.
 */
export type Sent = 'nothing' | 'maybe' | 'all'

/** Whether a retry helps: `later`, `after_repair` by a person or a rotation, or `never`. */
export type Retry = 'later' | 'after_repair' | 'never'

/** A value by status from 300 to 599, or by class: `3xx`, `4xx`, `5xx`. */
export type StatusRetry = Readonly<Record<string, Retry>>

/**
 * The action of {@link RetryPolicy.decide}: retry, park until an operator has acted, or give up.
 */
export type Action = 'retry' | 'park' | 'drop'

/** The role of a peer: a `client` connects to us, and we connect to a `server`. */
export type Role = 'client' | 'server'

/**
 * How a certificate was received: with proof of possession (`socket`), or as bytes (`asserted`).
 */
export type Evidence = 'socket' | 'asserted'

/**
 * Unusual properties of a verified peer: no extendedKeyUsage (`purpose_absent`), an
 * authorityKeyIdentifier that its issuer's subjectKeyIdentifier contradicts (`key_id_mismatch`), a
 * path that ends in an intermediate, which OpenSSL does not accept (`anchor_is_intermediate`), a
 * CRL of an issuer that could not be used (`crl_unused`), or a certificate of the path that no
 * usable CRL of its issuer covers (`revocation_unchecked`).
 */
export type Note =
  | 'purpose_absent'
  | 'key_id_mismatch'
  | 'anchor_is_intermediate'
  | 'crl_unused'
  | 'revocation_unchecked'

/** Which part of a pin set matched. */
export type PinSlot = 'current' | 'next'

/** The minimum TLS version that an endpoint accepts. */
export type MinTls = '1.2' | '1.3'

/** Whether every issuer must have a CRL. */
export type CrlPolicy = 'if_present' | 'require'

/** The kinds of failure of this version. */
export type KnownKind =
  | 'option_invalid'
  | 'url_invalid'
  | 'header_invalid'
  | 'body_too_large'
  | 'pem_invalid'
  | 'key_encrypted'
  | 'key_mismatch'
  | 'identity_unusable'
  | 'trust_invalid'
  | 'public_root_in_trust'
  | 'pin_invalid'
  | 'handle_closed'
  | 'forked_process'
  | 'clock_implausible'
  | 'identity_in_use'
  | 'circuit_open'
  | 'overloaded'
  | 'canceled'
  | 'host_not_found'
  | 'resolve_failed'
  | 'egress_denied'
  | 'connect_failed'
  | 'proxy_refused'
  | 'certificate_expired'
  | 'certificate_not_yet_valid'
  | 'certificate_revoked'
  | 'name_mismatch'
  | 'issuer_unknown'
  | 'issuer_rekeyed'
  | 'purpose_not_allowed'
  | 'certificate_invalid'
  | 'key_weak'
  | 'chain_too_long'
  | 'crl_unusable'
  | 'constraint_violated'
  | 'pin_mismatch'
  | 'tenant_refused'
  | 'not_authorized'
  | 'client_auth_not_requested'
  | 'client_certificate_unusable'
  | 'client_certificate_rejected'
  | 'tls_failed'
  | 'evidence_missing'
  | 'hop_untrusted'
  | 'issuer_distrusted'
  | 'http_status'
  | 'http_invalid'
  | 'response_too_large'
  | 'deadline_exceeded'
  | 'connection_lost'
  | 'internal'

/** The stable name of a failure. Later versions may add kinds, so handle unknown ones too. */
export type Kind = KnownKind | (string & {})
