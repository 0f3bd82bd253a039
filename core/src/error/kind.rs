//! The table of error kinds: the only place where a kind's name, number, meaning and defaults stand.
//!
//! Numbers are the C status codes. A number is never reused; a retired kind keeps its row.

use super::{Blame, Retry, Scope, Stage};

macro_rules! kinds {
    ($($variant:ident = $number:literal $name:literal $stage:ident $blame:ident $scope:ident $retry:ident
       $title:literal, $remedy:literal;)*) => {
        /// What went wrong. The name and the number of a kind are stable across versions and languages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Kind {
            $(#[doc = $title] $variant = $number,)*
        }

        impl Kind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The stable snake_case name, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// What the kind means, in one line that may be shown to anybody.
            pub const fn title(self) -> &'static str {
                match self { $(Kind::$variant => $title,)* }
            }

            /// What to do about it, unless an error knows better.
            pub const fn remedy(self) -> &'static str {
                match self { $(Kind::$variant => $remedy,)* }
            }

            /// The stage in which the kind usually arises.
            pub const fn stage(self) -> Stage {
                match self { $(Kind::$variant => Stage::$stage,)* }
            }

            /// Whose fault it usually is.
            pub const fn blame(self) -> Blame {
                match self { $(Kind::$variant => Blame::$blame,)* }
            }

            /// What it usually stops.
            pub const fn scope(self) -> Scope {
                match self { $(Kind::$variant => Scope::$scope,)* }
            }

            /// Whether trying again usually helps.
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
        "Correct or remove the header; the headers that frame the request are set by the library.";
    BodyTooLarge = 104 "body_too_large" Config Ours Delivery Never
        "The payload exceeds the limit.",
        "Send a smaller payload, or a reference to it.";
    PemInvalid = 105 "pem_invalid" Config Ours Identity AfterRepair
        "PEM or DER input could not be read.",
        "Supply complete PEM blocks of the expected kind.";
    KeyEncrypted = 106 "key_encrypted" Config Ours Identity AfterRepair
        "The private key is encrypted and could not be opened.",
        "Supply the passphrase that belongs to the private key.";
    KeyMismatch = 107 "key_mismatch" Config Ours Identity AfterRepair
        "The private key does not belong to the certificate.",
        "Supply the key and the certificate of the same issuance.";
    IdentityUnusable = 108 "identity_unusable" Config Ours Identity AfterRepair
        "The identity's certificate cannot be used for client authentication.",
        "Issue a client certificate that is within its dates, allows clientAuth and is no CA.";
    TrustInvalid = 109 "trust_invalid" Config Ours Endpoint AfterRepair
        "The trust bundle cannot be used.",
        "Supply the private CA's certificates, and nothing else.";
    PublicRootInTrust = 110 "public_root_in_trust" Config Ours Endpoint AfterRepair
        "The trust bundle holds a public web root.",
        "Remove it: trust is for the consumer's private CA alone.";
    PinInvalid = 111 "pin_invalid" Config Ours Endpoint AfterRepair
        "A pin, or the set of pins, cannot be used.",
        "Write pins as sha256/ followed by the base64 of the SHA-256 of the SubjectPublicKeyInfo.";
    HandleClosed = 112 "handle_closed" Config Ours Process Never
        "The dispatcher was closed, or the endpoint removed.",
        "Use a dispatcher only until it is closed, and an endpoint only until it is removed.";
    ForkedProcess = 113 "forked_process" Config Ours Process Later
        "The process forked while the delivery was under way.",
        "Deliver again from the process that should own the delivery.";
    ClockImplausible = 114 "clock_implausible" Config Ours Process AfterRepair
        "The system clock shows an impossible date.",
        "Set the clock; certificates cannot be judged without the time.";

    IdentityInUse = 115 "identity_in_use" Config Ours Identity AfterRepair
        "Consumers still depend on the identity.",
        "Give the consumers that are listed the new certificate or its CA, or retire by force.";
    // 2xx: admission. Nothing was sent.
    CircuitOpen = 201 "circuit_open" Admit Theirs Endpoint Later
        "The consumer failed repeatedly and is being left alone for a while.",
        "Wait for retry_after.";
    Overloaded = 202 "overloaded" Admit Ours Process Later
        "Too many deliveries are waiting.",
        "Deliver more slowly, or raise the limits.";
    Canceled = 203 "canceled" Admit Caller Delivery Later
        "The delivery was canceled.",
        "Deliver again if the payload is still wanted; sent says how much of it left.";

    // 3xx: the way to the consumer.
    HostNotFound = 301 "host_not_found" Resolve Theirs Endpoint Later
        "The host name has no address.",
        "Check the host name in the endpoint's URL.";
    ResolveFailed = 302 "resolve_failed" Resolve Path Delivery Later
        "The host name could not be looked up.",
        "Check that the resolver can be reached.";
    EgressDenied = 303 "egress_denied" Resolve Theirs Endpoint AfterRepair
        "The endpoint's address may not be reached from here.",
        "If the address is meant to be reached, allow its network in the dispatcher's egress policy.";
    ConnectFailed = 304 "connect_failed" Connect Path Endpoint Later
        "No connection to the consumer could be opened.",
        "Check that the consumer listens there and that no firewall stands between.";
    ProxyRefused = 305 "proxy_refused" Connect Path Process Later
        "The proxy refused the connection.",
        "Check the proxy's address, credentials and rules.";

    // 4xx: the peer's certificate, our certificate, the handshake.
    CertificateExpired = 401 "certificate_expired" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate has expired.",
        "The peer must renew its certificate.";
    CertificateNotYetValid = 402 "certificate_not_yet_valid" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is not valid yet.",
        "Compare the clocks of both sides; else wait for notBefore.";
    CertificateRevoked = 403 "certificate_revoked" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate was revoked.",
        "The peer must be issued a new certificate.";
    NameMismatch = 404 "name_mismatch" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is for another name.",
        "The certificate must carry the expected name as subjectAltName; the common name does not count.";
    IssuerUnknown = 405 "issuer_unknown" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate does not lead to a trusted CA.",
        "The peer must send its intermediates, or the trust bundle must hold its CA.";
    IssuerRekeyed = 406 "issuer_rekeyed" Handshake Theirs Endpoint AfterRepair
        "A trusted CA's name signed the peer's certificate with another key.",
        "If the CA was re-keyed, add its new certificate to the trust bundle.";
    PurposeNotAllowed = 407 "purpose_not_allowed" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is not for this purpose.",
        "Servers need serverAuth and clients need clientAuth in extendedKeyUsage.";
    CertificateInvalid = 408 "certificate_invalid" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate is malformed, or not fit to identify a peer.",
        "The peer must be issued a proper leaf certificate.";
    KeyWeak = 409 "key_weak" Handshake Theirs Endpoint AfterRepair
        "A key in the peer's chain is too weak.",
        "Use RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519.";
    ChainTooLong = 410 "chain_too_long" Handshake Theirs Endpoint AfterRepair
        "The peer's chain is too long or too costly to judge.",
        "The peer must send its leaf and the intermediates that lead to the CA, no more.";
    CrlUnusable = 411 "crl_unusable" Handshake Ours Endpoint AfterRepair
        "The peer's revocation cannot be judged with the CRLs at hand.",
        "Supply a current, complete CRL of the issuer.";
    ConstraintViolated = 412 "constraint_violated" Handshake Theirs Endpoint AfterRepair
        "The peer's chain breaks a constraint that one of its CAs sets.",
        "Issue the certificate within its CA's path length and name constraints.";
    PinMismatch = 413 "pin_mismatch" Handshake Theirs Endpoint AfterRepair
        "The peer's key is none of those pinned.",
        "If the change was announced, pin the observed key; else treat it as an attack.";
    TenantRefused = 414 "tenant_refused" Verify Theirs Endpoint AfterRepair
        "The peer's certificate names no tenant by the rule.",
        "The certificate must match the tenant rule exactly once.";
    NotAuthorized = 415 "not_authorized" Verify Theirs Endpoint AfterRepair
        "The peer is known but not allowed.",
        "Add the peer to the allow list, if it should be there.";
    ClientAuthNotRequested = 416 "client_auth_not_requested" Handshake Theirs Endpoint AfterRepair
        "The consumer never asked for our certificate.",
        "The consumer must request client certificates in the handshake, wherever its TLS ends.";
    ClientCertificateUnusable = 417 "client_certificate_unusable" Handshake Ours Identity AfterRepair
        "Our certificate cannot answer the consumer's request.",
        "Use an identity whose key and dates fit what the consumer asks for.";
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
        "The certificate was forwarded by something that is not trusted to do so.",
        "Name the proxy as a hop, and let it prove itself.";
    IssuerDistrusted = 422 "issuer_distrusted" Handshake Theirs Endpoint AfterRepair
        "The peer's certificate leads over a CA that was distrusted explicitly.",
        "The peer must be issued a certificate by a CA that is not distrusted.";

    // 6xx: the answer.
    HttpStatus = 601 "http_status" Response Theirs Delivery Later
        "The consumer answered with a status other than 2xx.",
        "See the response that comes with the error.";
    HttpInvalid = 602 "http_invalid" Response Theirs Endpoint Later
        "The consumer's answer is not valid HTTP/1.1.",
        "The consumer must answer POST requests with HTTP/1.1.";
    ResponseTooLarge = 603 "response_too_large" Response Theirs Endpoint AfterRepair
        "The head of the consumer's answer exceeds the limit.",
        "The consumer must answer with at most 100 headers and 16 KiB of them.";

    // 7xx: any stage.
    DeadlineExceeded = 701 "deadline_exceeded" Response Unknown Delivery Later
        "The time allowed ran out.",
        "Try again later; if it recurs, the consumer is too slow or the timeout too short.";
    ConnectionLost = 702 "connection_lost" Response Unknown Delivery Later
        "The connection broke before an answer came.",
        "Try again later; the consumer may hold the payload already unless sent is nothing.";

    // 9xx: us.
    Internal = 901 "internal" Config Ours Process Later
        "The library broke a promise of its own.",
        "Report it with the message; deliveries that follow are not affected.";
}

impl Kind {
    /// The stable number, equal to the C status code.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The kind with this stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind with this number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
