// The enums. `cargo xtask generate` writes them from the core's tables.

// generated: begin unions stage blame scope sent retry action role evidence dialect note pin=PinSlot min_tls crl_policy circuit_state metrics_format diagnosis_request check_status check_group addressee signature_scheme
/**
 * The step that failed. Exhaustive: a new stage is a new major version.
 * - `config`: Options, material and arguments.
 * - `admit`: Whether the delivery may start: the dispatcher is open, nothing is canceled or
 *   overloaded.
 * - `resolve`: The DNS lookup, and the egress policy.
 * - `connect`: TCP, and the proxy if there is one.
 * - `handshake`: The TLS handshake.
 * - `request`: The request is being written.
 * - `response`: The response is awaited or read.
 * - `verify`: A verifier checks a chain outside any connection.
 */
export type Stage =
  | 'config'
  | 'admit'
  | 'resolve'
  | 'connect'
  | 'handshake'
  | 'request'
  | 'response'
  | 'verify'

/**
 * Whose fault it is, as far as the library can tell. Exhaustive: an alert has one addressee for
 * each.
 * - `ours`: Ours: found locally, or reported by at least three consumers.
 * - `theirs`: The peer's.
 * - `path`: The network or a proxy between us and the peer.
 * - `caller`: The caller canceled.
 * - `unknown`: The library cannot tell.
 */
export type Blame = 'ours' | 'theirs' | 'path' | 'caller' | 'unknown'

/**
 * What the failure stops. Exhaustive: a queue must stop the right deliveries for each.
 * - `delivery`: This payload only.
 * - `endpoint`: Everything for this endpoint.
 * - `identity`: Everything that uses the same identity.
 * - `process`: Everything in this process.
 */
export type Scope = 'delivery' | 'endpoint' | 'identity' | 'process'

/**
 * How much of the request left. Exhaustive: a caller must decide for each whether a duplicate is
 * possible.
 * - `nothing`: No byte of the request entered TLS, or the peer provably refused us before it read
 *   any.
 * - `maybe`: Part of the request may have reached the peer.
 * - `all`: The last byte was written to the kernel: the peer may have the payload.
 */
export type Sent = 'nothing' | 'maybe' | 'all'

/**
 * Whether a retry helps. Exhaustive: a queue must act on each.
 * - `later`: Try again later, after `retry_after` if it is known.
 * - `after_repair`: Park the delivery until a person or a rotation has repaired the cause.
 * - `never`: Do not try again.
 */
export type Retry = 'later' | 'after_repair' | 'never'

/**
 * The action to take for a failed delivery. Exhaustive: a queue must take each.
 * - `retry`: Try again after the delay.
 * - `park`: Hold it until an operator has repaired the cause. Try again after the delay at the
 *   latest.
 * - `drop`: Discard it.
 */
export type Action = 'retry' | 'park' | 'drop'

/**
 * The role of the peer in the connection. Exhaustive: TLS has two.
 * - `client`: The peer connects to us and presents a client certificate.
 * - `server`: We connect to the peer, a TLS server.
 */
export type Role = 'client' | 'server'

/**
 * The source of a certificate.
 * - `socket`: A TLS handshake with us: the peer has proved possession of its key.
 * - `asserted`: Bytes from the caller, who asserts that the peer presented the certificate.
 * - `forwarded`: The headers of a proxy that is believed: the hop.
 */
export type Evidence = 'socket' | 'asserted' | 'forwarded'

/**
 * How a proxy writes the client's certificate into request headers.
 * - `nginx`: nginx and ingress-nginx: the percent-encoded PEM of the leaf in ssl-client-cert, and
 *   ssl-client-verify.
 * - `envoy`: Envoy and Istio: x-forwarded-client-cert as text, with Cert or Chain.
 * - `aws_alb`: The load balancer of AWS in verify mode: x-amzn-mtls-clientcert-leaf.
 * - `aws_alb_passthrough`: The load balancer of AWS in passthrough mode, which verifies nothing:
 *   x-amzn-mtls-clientcert. The verifier alone judges the chain.
 * - `traefik`: Traefik 3 with passTLSClientCert: x-forwarded-tls-client-cert.
 * - `haproxy`: HAProxy: base64 of the DER in ssl-client-cert, ssl-client-verify, ssl-client-used,
 *   and the chain in ssl-client-chain if it is forwarded.
 * - `caddy`: Caddy 2: base64 of the DER of the leaf in ssl-client-cert.
 * - `apache`: Apache httpd 2.4: the PEM of the leaf in one line in ssl-client-cert, and
 *   ssl-client-verify.
 * - `gcp`: The Application Load Balancer of Google Cloud: x-client-cert-leaf,
 *   x-client-cert-chain-verified, and x-client-cert-chain if it is forwarded.
 * - `cloudflare`: Cloudflare: cf-client-cert-der-base64, cf-cert-verified and cf-cert-revoked.
 * - `rfc9440`: RFC 9440: client-cert, and client-cert-chain if it is forwarded.
 * - `envoy_json`: Envoy since 1.38 with the format JSON: x-forwarded-client-cert, with cert or
 *   chain.
 */
export type Dialect =
  | 'nginx'
  | 'envoy'
  | 'aws_alb'
  | 'aws_alb_passthrough'
  | 'traefik'
  | 'haproxy'
  | 'caddy'
  | 'apache'
  | 'gcp'
  | 'cloudflare'
  | 'rfc9440'
  | 'envoy_json'

/**
 * An unusual fact about a peer that passed verification.
 * - `purpose_absent`: The leaf has no extendedKeyUsage (by RFC 5280 section 4.2.1.12, it may
 *   serve any purpose).
 * - `key_id_mismatch`: The authorityKeyIdentifier of a certificate of the path differs from the
 *   subjectKeyIdentifier of its issuer. The signature is valid, so the identifier is wrong.
 * - `anchor_is_intermediate`: The path ends in an intermediate. OpenSSL does not accept an
 *   intermediate as an anchor.
 * - `crl_unused`: A CRL could not be used for the path: another key signed it, its thisUpdate is
 *   in the future, or its issuer is no known CA. The event `crl_unused` tells the reason.
 * - `revocation_unchecked`: The trust has CRLs, but none that covers a certificate of the path
 *   could be used. It is not known whether that certificate was revoked. `revocation_unchecked`
 *   names it.
 * - `serial_unusual`: The serial number of a certificate of the path is 0 or longer than 20
 *   octets, which RFC 5280 section 4.1.2.2 forbids. A CRL may not be able to name it.
 */
export type Note =
  | 'purpose_absent'
  | 'key_id_mismatch'
  | 'anchor_is_intermediate'
  | 'crl_unused'
  | 'revocation_unchecked'
  | 'serial_unusual'

/**
 * The part of a pin set that matched. Exhaustive: a set has two parts.
 * - `current`: A pin in use now.
 * - `next`: A pin announced for the next key.
 */
export type PinSlot = 'current' | 'next'

/**
 * The oldest accepted TLS version.
 * - `1.2`: TLS 1.2, with extended master secret (RFC 7627).
 * - `1.3`: TLS 1.3.
 */
export type MinTls = '1.2' | '1.3'

/**
 * The verdict on a certificate of a path if no usable CRL covers it.
 * - `if_present`: The certificate passes. CRLs are checked if the trust has some.
 * - `require`: The certificate is refused with `crl_unusable`.
 * - `require_leaf`: The leaf is refused with `crl_unusable`. An issuer passes, and CRLs are
 *   checked if the trust has some.
 */
export type CrlPolicy = 'if_present' | 'require' | 'require_leaf'

/**
 * Whether deliveries to an endpoint are admitted. Exhaustive: an operator must understand each.
 * - `closed`: Deliveries are admitted.
 * - `open`: Deliveries fail with circuit_open.
 * - `half_open`: The next delivery is admitted as a trial. The others fail with circuit_open
 *   until it has ended.
 */
export type CircuitState = 'closed' | 'open' | 'half_open'

/**
 * The text form of metrics.
 * - `prometheus`: The text format of Prometheus, version 0.0.4.
 * - `openmetrics`: OpenMetrics, version 1.0.
 */
export type MetricsFormat = 'prometheus' | 'openmetrics'

/**
 * A request without a payload, which shows how an HTTP server judges our certificate.
 * - `head`: HEAD. The answer has no body, so the text of a page is not seen.
 * - `options`: OPTIONS.
 */
export type DiagnosisRequest = 'head' | 'options'

/**
 * How a check ended. Exhaustive: a reader must know what each means.
 * - `passed`: It found nothing wrong.
 * - `warning`: Deliveries work, and a person should look at it.
 * - `failed`: It found a fault.
 * - `not_reached`: A fault or the deadline ended the diagnosis before.
 * - `skipped`: It does not apply to this endpoint.
 */
export type CheckStatus = 'passed' | 'warning' | 'failed' | 'not_reached' | 'skipped'

/**
 * The part of a connection that a check is about.
 * - `identity`: Our certificate and key.
 * - `trust`: The CAs, CRLs and pins that we believe.
 * - `way`: The way to the consumer.
 * - `handshake`: The consumer's side of the handshake.
 * - `verdict`: The consumer's verdict on our certificate.
 */
export type CheckGroup = 'identity' | 'trust' | 'way' | 'handshake' | 'verdict'

/**
 * Who must act on a diagnosis. Exhaustive: each is another person to call.
 * - `nobody`: No action is needed: deliveries work.
 * - `us`: The operators of this sender, or of its CA.
 * - `consumer`: The operator of the consumer.
 * - `network`: The operators of our network, its name servers and firewalls.
 * - `proxy`: The operators of the proxy.
 */
export type Addressee = 'nobody' | 'us' | 'consumer' | 'network' | 'proxy'

/**
 * A signature scheme of TLS, named as in the IANA registry. Its number is the code point.
 * - `rsa_pkcs1_sha256`: RSA with the padding of PKCS#1 v1.5, and SHA-256. In TLS 1.2 only.
 * - `ecdsa_secp256r1_sha256`: ECDSA on P-256 with SHA-256.
 * - `rsa_pkcs1_sha384`: RSA with the padding of PKCS#1 v1.5, and SHA-384. In TLS 1.2 only.
 * - `ecdsa_secp384r1_sha384`: ECDSA on P-384 with SHA-384.
 * - `rsa_pkcs1_sha512`: RSA with the padding of PKCS#1 v1.5, and SHA-512. In TLS 1.2 only.
 * - `ecdsa_secp521r1_sha512`: ECDSA on P-521 with SHA-512.
 * - `rsa_pss_rsae_sha256`: RSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
 * - `rsa_pss_rsae_sha384`: RSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
 * - `rsa_pss_rsae_sha512`: RSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes.
 * - `ed25519`: Ed25519, which signs the message itself.
 * - `mldsa44`: ML-DSA-44, which signs the message itself. In TLS 1.3 only.
 * - `mldsa65`: ML-DSA-65, which signs the message itself. In TLS 1.3 only.
 * - `mldsa87`: ML-DSA-87, which signs the message itself. In TLS 1.3 only.
 */
export type SignatureScheme =
  | 'rsa_pkcs1_sha256'
  | 'ecdsa_secp256r1_sha256'
  | 'rsa_pkcs1_sha384'
  | 'ecdsa_secp384r1_sha384'
  | 'rsa_pkcs1_sha512'
  | 'ecdsa_secp521r1_sha512'
  | 'rsa_pss_rsae_sha256'
  | 'rsa_pss_rsae_sha384'
  | 'rsa_pss_rsae_sha512'
  | 'ed25519'
  | 'mldsa44'
  | 'mldsa65'
  | 'mldsa87'
// generated: end

/** A value by status from 300 to 599, or by class: `3xx`, `4xx`, `5xx`. */
export type StatusRetry = Readonly<Record<string, Retry>>

// generated: begin kinds
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
  | 'signature_invalid'
  | 'token_invalid'
  | 'signer_failed'
  | 'signer_timeout'
  | 'http_status'
  | 'http_invalid'
  | 'response_too_large'
  | 'deadline_exceeded'
  | 'connection_lost'
  | 'internal'
// generated: end

/** The stable name of a failure. Later versions may add kinds, so handle unknown ones too. */
export type Kind = KnownKind | (string & {})
