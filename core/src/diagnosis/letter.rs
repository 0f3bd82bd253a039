//! The sentences for the operator of the consumer: "your server" is the consumer, "the sender" is us. The
//! titles and remedies of the kinds speak to us, so none of them is used here.

use crate::error::{Error, Kind, cause, key};

/// The fault, and the cure.
pub(super) type Letter = (&'static str, &'static str);

/// Returns the sentences about a fault.
pub(super) fn about(error: &Error) -> Letter {
    let cause = error.fact(key::CAUSE).map(String::as_str);
    let known = cause.and_then(|name| BY_CAUSE.iter().find(|(cause, _)| *cause == name));
    known.map_or_else(|| by_kind(error.kind()), |(_, letter)| *letter)
}

/// The causes that say more than their kind.
const BY_CAUSE: &[(&str, Letter)] = &[
    (
        cause::NOT_TLS.name,
        (
            "The service on this port does not speak TLS.",
            "Check the port: an HTTPS server must listen on it.",
        ),
    ),
    (
        cause::ACCESS_DENIED.name,
        (
            "Your server, or a firewall in front of it, refuses the sender before it has seen its certificate.",
            "Allow the sender in your firewall or rules.",
        ),
    ),
    (cause::PROTOCOL_MISMATCH.name, ("Your server does not offer TLS 1.3.", "Enable TLS 1.3.")),
    (
        cause::PROTOCOL_TOO_OLD.name,
        (
            "Your server offers neither TLS 1.3 nor TLS 1.2.",
            "Enable TLS 1.3 or 1.2. The sender accepts no older version.",
        ),
    ),
    (
        cause::NO_EXTENDED_MASTER_SECRET.name,
        (
            "Your server speaks TLS 1.2 without extended master secret (RFC 7627).",
            "Enable TLS 1.3, or extended master secret for TLS 1.2: an update of the TLS library brings it.",
        ),
    ),
    (
        cause::NO_COMMON_ALGORITHM.name,
        (
            "Your server and the sender have no cipher suite, group or signature scheme in common.",
            "Offer AES-GCM or ChaCha20-Poly1305 with ECDHE on X25519, P-256 or P-384.",
        ),
    ),
    (
        cause::NO_COMMON_APPLICATION_PROTOCOL.name,
        ("Your server refuses HTTP/1.1 (ALPN).", "Offer http/1.1 in ALPN, beside HTTP/2."),
    ),
    (
        cause::NAME_NOT_SERVED.name,
        (
            "Your server has no site of this host name.",
            "Add the host name to the server names in its configuration.",
        ),
    ),
];

fn by_kind(kind: Kind) -> Letter {
    match kind {
        Kind::HostNotFound => (
            "The host name has no address in the DNS.",
            "Check the records of the host name in your DNS zone.",
        ),
        Kind::EgressDenied => (
            "The host name leads to an address that is not public.",
            "Check the records of the host name in your DNS zone.",
        ),
        Kind::ConnectFailed => (
            "Your server does not accept connections on this port.",
            "Check that the server listens on this port and that your firewall lets it be reached.",
        ),
        Kind::ClientAuthNotRequested => (
            "Your server does not ask for a client certificate in the TLS handshake.",
            "Require client certificates for the whole server, also at a load balancer in front of it. A request for one path alone comes too late.",
        ),
        Kind::ClientCertificateUnusable => (
            "Your server accepts no signature that the sender's key can make.",
            "Allow the usual signature schemes: ECDSA with P-256 or P-384, RSA-PSS, Ed25519.",
        ),
        Kind::ClientCertificateRejected => (
            "Your server refuses the sender's certificate.",
            "Find the reason in the log of your TLS server. Compare the CA that you trust for clients with the issuer of the certificate below, and your clock with the true time.",
        ),
        Kind::TlsFailed => (
            "The TLS handshake with your server fails.",
            "Offer TLS 1.3, or 1.2 with extended master secret, and the usual algorithms. The log of your TLS server may have the reason.",
        ),
        Kind::ConnectionLost => (
            "Your server, or a load balancer in front of it, ends the connection without an answer.",
            "Look for this connection in the log of your server, and of a load balancer in front of it.",
        ),
        Kind::DeadlineExceeded => (
            "Your server does not answer in time.",
            "Look for this connection in the log of your server, and of a load balancer in front of it.",
        ),
        Kind::HttpStatus => (
            "Your server answers with an HTTP error.",
            "Allow the certificate below in your application or its rules.",
        ),
        Kind::HttpInvalid | Kind::ResponseTooLarge => (
            "The answer of your server is not valid HTTP/1.1, or too large.",
            "Check that the port serves HTTP/1.1, with at most 100 headers of 16 KiB in all.",
        ),
        other => about_certificate(other),
    }
}

/// The faults of the consumer's certificate, and of those above it.
fn about_certificate(kind: Kind) -> Letter {
    match kind {
        Kind::CertificateExpired => (
            "Your server's certificate, or one above it, has expired.",
            "Renew the certificate that is named here, and reload the server.",
        ),
        Kind::CertificateNotYetValid => (
            "Your server's certificate, or one above it, is not valid yet.",
            "Compare the clock of your CA with the true time.",
        ),
        Kind::CertificateRevoked => (
            "Your server's certificate, or one above it, was revoked by its CA.",
            "Get a new certificate, and reload the server.",
        ),
        Kind::NameMismatch => (
            "Your server's certificate is for another name.",
            "Get a certificate with the expected name as subjectAltName. The common name does not count.",
        ),
        Kind::IssuerUnknown => (
            "Your server's certificate does not lead to the CA that the sender knows of you.",
            "Let the server send its certificate with all intermediates below your CA. If you changed your CA, send its certificate to the sender by the agreed way.",
        ),
        Kind::IssuerRekeyed => (
            "The CA of your server's certificate has the name of the CA that the sender knows, and another key.",
            "If you made your CA again, send its new certificate to the sender by the agreed way.",
        ),
        Kind::IssuerDistrusted => (
            "The sender does not trust a CA above your server's certificate any more.",
            "Ask the sender for the reason, and get a certificate of another CA.",
        ),
        Kind::PurposeNotAllowed => (
            "Your server's certificate, or a CA above it, does not allow its use by a server.",
            "Get a certificate whose extendedKeyUsage lists serverAuth.",
        ),
        Kind::KeyWeak => (
            "A key of your server's certificate, or of one above it, is too weak.",
            "Use RSA of at least 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519, signed with SHA-256 or better.",
        ),
        Kind::ChainTooLong => (
            "Your server sends too many certificates.",
            "Send the server's certificate and the intermediates below your CA, and no others.",
        ),
        Kind::ConstraintViolated => (
            "Your server's certificate is outside of what a CA above it may issue.",
            "Get a certificate within the path length and the name constraints of your CA.",
        ),
        Kind::PinMismatch => (
            "Your server uses a key that the sender does not expect of you.",
            "If you changed the key of your certificate, send its pin by the agreed way. If you did not, treat it as an attack.",
        ),
        _ => (
            "Your server's certificate, or one above it, cannot be used.",
            "Get a new certificate for a server: no CA, with digitalSignature, signed with SHA-256 or better.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Blame;

    /// Words of ours, and names of things that only the sender has.
    const OURS: [&str; 9] = [
        "peer",
        "consumer",
        "endpoint",
        "trust bundle",
        " our ",
        "option",
        "egress",
        "proxy",
        "pinned",
    ];

    fn check(letter: Letter, about: &str) {
        for sentence in [letter.0, letter.1] {
            assert!(sentence.ends_with('.'), "{about}: {sentence}");
            for word in OURS {
                assert!(!sentence.contains(word), "{about}: {word}: {sentence}");
            }
        }
    }

    #[test]
    fn each_letter_speaks_to_the_consumer() {
        for kind in Kind::ALL {
            check(by_kind(*kind), kind.name());
        }
        for (cause, letter) in BY_CAUSE {
            check(*letter, cause);
        }
    }

    #[test]
    fn a_fault_of_the_consumer_has_sentences_of_its_own() {
        let general = about_certificate(Kind::CertificateInvalid);
        for kind in Kind::ALL.iter().filter(|kind| (300..700).contains(&kind.number())) {
            let is_theirs = kind.blame() == Blame::Theirs && kind.number() < 414;
            if is_theirs && *kind != Kind::CertificateInvalid {
                assert_ne!(by_kind(*kind), general, "{}", kind.name());
            }
        }
    }
}
