//! The table of error kinds: the only place that has a kind's name, number, meaning and defaults.
//!
//! Numbers are the C status codes. A number is never reused; a retired kind keeps its row.

use super::{Blame, Retry, Scope, Stage};

macro_rules! kinds {
    ($($variant:ident = $number:literal $name:literal $stage:ident $blame:ident $scope:ident $retry:ident
       $title:literal, $remedy:literal;)*) => {
        /// The kind of a failure. Its name and number are stable across versions and languages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Kind {
            $(#[doc = $title] $variant = $number,)*
        }

        impl Kind {
            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// Returns the stable snake_case name, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// Returns what the kind means, in one line without secrets.
            pub const fn title(self) -> &'static str {
                match self { $(Kind::$variant => $title,)* }
            }

            /// Returns what to do about it, unless an error has its own remedy.
            pub const fn remedy(self) -> &'static str {
                match self { $(Kind::$variant => $remedy,)* }
            }

            /// Returns the address of the page about the kind, with the causes and the cure of each.
            pub const fn help(self) -> &'static str {
                match self { $(Kind::$variant => {
                    concat!(env!("CARGO_PKG_REPOSITORY"), "/docs/errors/", $name, ".md")
                },)* }
            }

            /// Returns the stage in which the kind usually occurs.
            pub const fn stage(self) -> Stage {
                match self { $(Kind::$variant => Stage::$stage,)* }
            }

            /// Returns whose fault it usually is.
            pub const fn blame(self) -> Blame {
                match self { $(Kind::$variant => Blame::$blame,)* }
            }

            /// Returns what it usually stops.
            pub const fn scope(self) -> Scope {
                match self { $(Kind::$variant => Scope::$scope,)* }
            }

            /// Returns whether a retry usually helps.
            pub const fn retry(self) -> Retry {
                match self { $(Kind::$variant => Retry::$retry,)* }
            }
        }
    };
}

kinds! {
    // 1xx: configuration. Found locally, before anything is sent.
    OptionInvalid = 101 "option_invalid" Config Ours Process AfterRepair
        "An option is unknown, missing or out of range.",
        "Correct the option that the message names.";
    UrlInvalid = 102 "url_invalid" Config Ours Endpoint AfterRepair
        "The endpoint's URL cannot be used.",
        "Give an absolute https:// URL without user name, password or fragment.";
    HeaderInvalid = 103 "header_invalid" Config Ours Delivery Never
        "A request header cannot be sent.",
        "Correct or remove the header. The library sets the headers that frame the request.";
    BodyTooLarge = 104 "body_too_large" Config Ours Delivery Never
        "The payload exceeds the limit.",
        "Send a smaller payload, or a reference to it.";
    PemInvalid = 105 "pem_invalid" Config Ours Identity AfterRepair
        "PEM or DER input could not be read.",
        "Supply complete PEM blocks of the expected kind.";
    KeyEncrypted = 106 "key_encrypted" Config Ours Identity AfterRepair
        "The private key is encrypted and could not be decrypted.",
        "Supply the passphrase of the private key.";
    KeyMismatch = 107 "key_mismatch" Config Ours Identity AfterRepair
        "The private key does not belong to the certificate.",
        "Supply a key and a certificate that belong together.";
    IdentityUnusable = 108 "identity_unusable" Config Ours Identity AfterRepair
        "The identity's certificate cannot be used for client authentication.",
        "Issue a client certificate that is within its validity period, allows clientAuth and is not a CA.";
    TrustInvalid = 109 "trust_invalid" Config Ours Endpoint AfterRepair
        "The trust bundle cannot be used.",
        "Supply only the certificates of the private CA.";
    PublicRootInTrust = 110 "public_root_in_trust" Config Ours Endpoint AfterRepair
        "The trust bundle contains a public web root.",
        "Remove the public root. A trust bundle must contain only the consumer's private CA.";
    PinInvalid = 111 "pin_invalid" Config Ours Endpoint AfterRepair
        "A pin, or the set of pins, cannot be used.",
        "Write pins as sha256/ followed by the base64 of the SHA-256 of the SubjectPublicKeyInfo.";
    HandleClosed = 112 "handle_closed" Config Ours Process Later
        "The dispatcher was closed, or the endpoint removed.",
        "Deliver through an open dispatcher: make a new one, or let another process deliver. An endpoint that was removed must be made again.";
    ForkedProcess = 113 "forked_process" Config Ours Process Later
        "The process forked during the delivery.",
        "Let the parent finish its delivery. The child may deliver only what the parent does not.";
    ClockImplausible = 114 "clock_implausible" Config Ours Process AfterRepair
        "The system clock shows an impossible date.",
        "Set the clock. Certificates cannot be verified without the time.";
    IdentityInUse = 115 "identity_in_use" Config Ours Identity AfterRepair
        "Consumers still depend on the identity.",
        "Give the listed consumers the new certificate or its CA, or retire the identity by force.";

    // 2xx: admission. Nothing was sent.
    CircuitOpen = 201 "circuit_open" Admit Theirs Endpoint Later
        "The consumer failed repeatedly, so deliveries to it are paused.",
        "Wait for the duration in retry_after.";
    Overloaded = 202 "overloaded" Admit Ours Process Later
        "Too many deliveries are waiting.",
        "Deliver more slowly, or raise the limits.";
    Canceled = 203 "canceled" Admit Caller Delivery Later
        "The delivery was canceled.",
        "Deliver again if the payload is still wanted. The field sent says how much of the request left.";

    // 3xx: the way to the consumer.
    HostNotFound = 301 "host_not_found" Resolve Theirs Endpoint Later
        "The host name has no address.",
        "Check the host name in the endpoint's URL.";
    ResolveFailed = 302 "resolve_failed" Resolve Path Delivery Later
        "The host name could not be looked up.",
        "Check that the DNS resolver is reachable.";
    EgressDenied = 303 "egress_denied" Resolve Theirs Endpoint AfterRepair
        "The egress policy denies the endpoint's address.",
        "If deliveries to this address are intended, allow its network in the dispatcher's egress policy.";
    ConnectFailed = 304 "connect_failed" Connect Path Endpoint Later
        "No connection to the consumer could be opened.",
        "Check that the consumer listens on this address and that no firewall blocks the connection.";
    ProxyRefused = 305 "proxy_refused" Connect Path Process Later
        "The proxy refused the connection.",
        "Check the proxy's address, credentials and rules.";

    // 4xx: the peer's certificate, our certificate, the handshake.
    CertificateExpired = 401 "certificate_expired" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate has expired.",
        "The peer must renew its certificate.";
    CertificateNotYetValid = 402 "certificate_not_yet_valid" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is not valid yet.",
        "Compare the clocks of both sides. If they agree, wait until notBefore.";
    CertificateRevoked = 403 "certificate_revoked" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate was revoked.",
        "Issue a new certificate to the peer.";
    NameMismatch = 404 "name_mismatch" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is for another name.",
        "The certificate must contain the expected name as subjectAltName. The common name is ignored.";
    IssuerUnknown = 405 "issuer_unknown" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate does not chain to a trusted CA.",
        "The peer must send its intermediates, or the trust bundle must contain its CA.";
    IssuerRekeyed = 406 "issuer_rekeyed" Handshake Theirs Endpoint AfterRepair
        "The issuer of the peer's certificate has a trusted CA's name but another key.",
        "If the CA was re-keyed, add its new certificate to the trust bundle.";
    PurposeNotAllowed = 407 "purpose_not_allowed" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate does not allow this purpose.",
        "Servers need serverAuth and clients need clientAuth in extendedKeyUsage.";
    CertificateInvalid = 408 "certificate_invalid" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is malformed, or cannot identify a peer.",
        "Issue a valid leaf certificate to the peer.";
    KeyWeak = 409 "key_weak" Handshake Theirs Endpoint AfterRepair
        "A key in the peer's chain is too weak, or of an algorithm that is not supported.",
        "Use RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, Ed25519, or ML-DSA.";
    ChainTooLong = 410 "chain_too_long" Handshake Theirs Endpoint AfterRepair
        "The peer's chain is too long or too expensive to verify.",
        "The peer must send only its leaf and the intermediates up to the CA.";
    CrlUnusable = 411 "crl_unusable" Handshake Ours Endpoint AfterRepair
        "The available CRLs cannot show whether the peer's certificate is revoked.",
        "Supply a current, complete CRL of the issuer.";
    ConstraintViolated = 412 "constraint_violated" Handshake Theirs Endpoint AfterRepair
        "The peer's chain violates a constraint of one of its CAs.",
        "Issue the certificate within the path length and name constraints of its CA.";
    PinMismatch = 413 "pin_mismatch" Handshake Theirs Endpoint AfterRepair
        "The peer's key matches none of the pins.",
        "If the change was announced, pin the observed key; else treat it as an attack.";
    TenantRefused = 414 "tenant_refused" Verify Theirs Endpoint AfterRepair
        "The peer names no tenant, or its certificate and its token name two.",
        "The certificate must match the tenant rule exactly once, and a token must name the same tenant.";
    NotAuthorized = 415 "not_authorized" Verify Theirs Endpoint AfterRepair
        "The peer is verified but not allowed.",
        "Add the peer to the allow list if it should be allowed.";
    ClientAuthNotRequested = 416 "client_auth_not_requested" Handshake Theirs Endpoint AfterRepair
        "The consumer never asked for our certificate.",
        "The consumer must request client certificates where it terminates TLS.";
    ClientCertificateUnusable = 417 "client_certificate_unusable" Handshake Ours Identity AfterRepair
        "Our certificate does not satisfy the consumer's certificate request.",
        "Use an identity whose key type and dates satisfy the consumer's request.";
    ClientCertificateRejected = 418 "client_certificate_rejected" Handshake Unknown Endpoint AfterRepair
        "The consumer refused our certificate.",
        "Compare the CA that the consumer trusts for clients with the issuer of our certificate.";
    TlsFailed = 419 "tls_failed" Handshake Unknown Endpoint Later
        "The TLS handshake failed.",
        "Compare the TLS versions and algorithms of both sides.";
    EvidenceMissing = 420 "evidence_missing" Verify Theirs Delivery Never
        "No certificate was presented.",
        "The peer must present its certificate.";
    HopUntrusted = 421 "hop_untrusted" Verify Theirs Delivery Never
        "The certificate was forwarded by a hop that is not trusted.",
        "Configure the proxy as a hop, and let it authenticate itself.";
    IssuerDistrusted = 422 "issuer_distrusted" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate chains through a CA that was distrusted explicitly.",
        "Issue the peer's certificate from a CA that is not distrusted.";
    SignatureInvalid = 423 "signature_invalid" Verify Theirs Delivery Never
        "The webhook has no valid signature.",
        "The sender must sign the message by Standard Webhooks, with a secret that the receiver knows.";
    TokenInvalid = 424 "token_invalid" Verify Theirs Delivery Never
        "The webhook has no valid token.",
        "The sender must send a current token, bound to its certificate and signed with a key that the receiver knows.";
    SignerFailed = 425 "signer_failed" Handshake Ours Identity Later
        "The external signer of our key gave no valid signature.",
        "Check the signer and its key: the cause of the error, if it has one, is what the signer raised.";
    SignerTimeout = 426 "signer_timeout" Handshake Ours Identity Later
        "The external signer of our key did not answer in time.",
        "Check the token or service that holds the key. If it is expected to be slow, allow more time for the handshake.";

    // 6xx: the response.
    HttpStatus = 601 "http_status" Response Theirs Delivery Later
        "The consumer answered with a status other than 2xx.",
        "See the response in the error.";
    HttpInvalid = 602 "http_invalid" Response Theirs Endpoint Later
        "The consumer's response is not valid HTTP/1.1.",
        "The consumer must answer POST requests with HTTP/1.1.";
    ResponseTooLarge = 603 "response_too_large" Response Theirs Endpoint AfterRepair
        "The head of the consumer's response exceeds the limit.",
        "The consumer must send at most 100 response headers, and at most 16 KiB of them.";

    // 7xx: any stage.
    DeadlineExceeded = 701 "deadline_exceeded" Response Unknown Delivery Later
        "The deadline passed.",
        "Try again later. If it recurs, the consumer is too slow or the timeout is too short.";
    ConnectionLost = 702 "connection_lost" Response Unknown Delivery Later
        "The connection was lost before a response arrived.",
        "Try again later. The consumer may already have the payload, unless sent is nothing.";

    // 9xx: faults of this library.
    Internal = 901 "internal" Config Ours Process Later
        "The library failed in a way that it should rule out.",
        "Report it with the message. Later deliveries are not affected.";
}

impl Kind {
    /// Returns the stable number, equal to the C status code.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the HTTP status with which a receiver answers a request whose peer failed the verification
    /// with this kind: 403 if the peer is known and not allowed, 413 if the body is too large, 401 for any
    /// other fault of the peer, and 500 for a fault of ours.
    pub const fn answer(self) -> u16 {
        match self {
            Self::TenantRefused | Self::NotAuthorized => 403,
            Self::BodyTooLarge => 413,
            Self::CrlUnusable
            | Self::ClientCertificateUnusable
            | Self::SignerFailed
            | Self::SignerTimeout => 500,
            _ => match self.number() {
                400..=499 => 401,
                _ => 500,
            },
        }
    }

    /// Returns the kind with this stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Returns the kind with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_peer_that_is_not_allowed_gets_403_and_no_evidence_401() {
        let answers = |kinds: &[Kind], status| {
            assert!(kinds.iter().all(|kind| kind.answer() == status), "{status}");
        };
        answers(&[Kind::NotAuthorized, Kind::TenantRefused], 403);
        answers(&[Kind::EvidenceMissing, Kind::HopUntrusted, Kind::CertificateRevoked], 401);
        answers(&[Kind::SignatureInvalid, Kind::TokenInvalid], 401);
        answers(&[Kind::BodyTooLarge], 413);
        answers(&[Kind::CrlUnusable, Kind::OptionInvalid, Kind::Internal], 500);
    }

    #[test]
    fn names_and_numbers_are_unique_and_ordered() {
        for pair in Kind::ALL.windows(2) {
            assert!(
                pair[0].number() < pair[1].number(),
                "{} before {}",
                pair[0].name(),
                pair[1].name()
            );
        }
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
    }
}
