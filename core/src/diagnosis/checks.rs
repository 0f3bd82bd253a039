//! The table of the checks of a diagnosis. The reference page and the report are made of the same rows.

use crate::error::words;

words! {
    /// The part of a connection that a check is about.
    #[non_exhaustive]
    Group {
        /// Our certificate and key.
        Identity = 1 "identity",
        /// The CAs, CRLs and pins that we believe.
        Trust = 2 "trust",
        /// The way to the consumer.
        Way = 3 "way",
        /// The consumer's side of the handshake.
        Handshake = 4 "handshake",
        /// The consumer's verdict on our certificate.
        Verdict = 5 "verdict",
    }
}

words! {
    /// How a check ended. Exhaustive: a reader must know what each means.
    CheckStatus {
        /// It found nothing wrong.
        Passed = 1 "passed",
        /// Deliveries work, and a person should look at it.
        Warning = 2 "warning",
        /// It found a fault.
        Failed = 3 "failed",
        /// A fault or the deadline ended the diagnosis before.
        NotReached = 4 "not_reached",
        /// It does not apply to this endpoint.
        Skipped = 5 "skipped",
    }
}

words! {
    /// Who must act on a diagnosis. Exhaustive: each is another person to call.
    Addressee {
        /// No action is needed: deliveries work.
        Nobody = 1 "nobody",
        /// The operators of this sender, or of its CA.
        Us = 2 "us",
        /// The operator of the consumer.
        Consumer = 3 "consumer",
        /// The operators of our network, its name servers and firewalls.
        Network = 4 "network",
        /// The operators of the proxy.
        Proxy = 5 "proxy",
    }
}

impl Group {
    /// Returns its headline.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Identity => "Our identity",
            Self::Trust => "Our trust",
            Self::Way => "The way",
            Self::Handshake => "Their handshake",
            Self::Verdict => "Their verdict on us",
        }
    }
}

macro_rules! checks {
    ($($variant:ident = $number:literal $name:literal $group:ident $title:literal $meaning:literal)*) => {
        /// A check of a diagnosis.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Check { $(#[doc = $title] $variant = $number,)* }

        impl Check {
            /// Every check, in the order of a report.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable name, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the group.
            pub const fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)* }
            }

            /// Returns the title, a noun phrase.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Returns what the check compares, and what to do if it fails, for its page.
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// Returns the address of the section about the check.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => {
                        concat!(env!("CARGO_PKG_REPOSITORY"), "/docs/diagnosis.md#", $name)
                    })*
                }
            }
        }
    };
}

checks! {
    IdentityReadable = 101 "identity_readable" Identity "certificate and key"
        "The certificate file and the key file can be read, and are what they should be. A dispatcher that exists has read them; a command line may name a file that is missing, cut off, encrypted or of another format."
    IdentityKey = 102 "identity_key" Identity "key fits the certificate"
        "The public key of our private key is the one in our certificate, and is strong enough. If it is not, certificate and key come from different orders: install the pair that was made together."
    IdentityOrder = 103 "identity_order" Identity "order and strays"
        "Our own certificate stands first, then its issuer, and so on. A certificate that is there twice or that is no issuer of ours is not presented, and the check warns of it: remove it from the file."
    IdentityChain = 104 "identity_chain" Identity "chain that we present"
        "We present our certificate and the intermediates of the file. The consumer finds a path only if each intermediate below its CA is among them. The handshake shows whether the CAs that the consumer names include one of our issuers."
    IdentityPurpose = 105 "identity_purpose" Identity "purpose clientAuth"
        "If our certificate has an extendedKeyUsage, it must list clientAuth. Public CAs issue certificates for servers only: order ours from a private CA."
    IdentitySignature = 106 "identity_signature" Identity "may sign handshakes"
        "If our certificate has a keyUsage, it must contain digitalSignature. Without it no consumer accepts our proof that we hold the key."
    IdentityDates = 107 "identity_dates" Identity "dates against the clock"
        "Our certificate is within its dates by the clock of this machine. If it is not, compare the clock first (timedatectl), then renew the certificate. The check warns when less than a fifth of the lifetime is left."
    IdentityMode = 108 "identity_mode" Identity "mode of the key file"
        "Only the owner or the group of the key file may read it. If every user may, change the mode: chmod 0600, or 0640 with a group of its own."
    TrustReadable = 201 "trust_readable" Trust "CA bundle"
        "The bundle of CAs can be read and contains CA certificates. A key, a CRL or a leaf in its place is named."
    TrustPublicRoots = 202 "trust_public_roots" Trust "no public roots"
        "The bundle contains no public web root, because anyone can get a certificate of one. A trust that was made with dangerous_public is a warning."
    TrustAnchors = 203 "trust_anchors" Trust "anchors and their dates"
        "At least one CA of the bundle is within its dates. An expired one is not used: ask the consumer for its current CA."
    TrustIntermediates = 204 "trust_intermediates" Trust "known intermediates"
        "Intermediates in our configuration complete the chain of a consumer that does not send them. They are not trusted by themselves."
    TrustCrls = 205 "trust_crls" Trust "CRLs and what they cover"
        "Each CRL belongs to a CA of the bundle and is in force; the check names the CAs. A CRL of another CA is not used: its revocations are not checked."
    WayNameServers = 301 "way_name_servers" Way "name servers"
        "The name servers in /etc/resolv.conf, and the answer of each to a query for the host. The check warns if one of several does not serve, and fails if the lookup fails: call our own network team."
    WayAddresses = 302 "way_addresses" Way "addresses and egress"
        "Every address of the host, and the verdict of our egress policy on it. Only an allowed address is connected to. Treat a public name that leads to an internal address as an attack, until its owner has explained it."
    WayProxy = 303 "way_proxy" Way "proxy"
        "The proxy opens a tunnel to the consumer. If it refuses, its operator must allow the address and the port."
    WayTcp = 304 "way_tcp" Way "TCP"
        "Each allowed address accepts a TCP connection. Refused means that the machine is there and nothing listens on the port. Silence means that packets are dropped: a firewall of either side, or a machine that is down."
    HandshakeTls = 401 "handshake_tls" Handshake "version, group and suite"
        "Both sides agree on a version of TLS, a key exchange and a cipher suite. A consumer with TLS 1.2 alone needs min_tls 1.2 on the endpoint."
    HandshakeRequested = 402 "handshake_requested" Handshake "our certificate is requested"
        "The consumer requests our certificate in the handshake. If it does not, a load balancer in front of it may end TLS: mutual TLS is then off without anybody noticing, and nothing is delivered."
    HandshakeAuthorities = 403 "handshake_authorities" Handshake "CAs that the consumer names"
        "The list of CAs in the request for our certificate. It is a hint that may be empty. If it is there and names no issuer of ours, the consumer most likely refuses our certificate: it lacks our CA, or our chain lacks an intermediate."
    HandshakeSchemes = 404 "handshake_schemes" Handshake "signature schemes"
        "The consumer accepts a signature scheme that our key supports. If it does not, we need a key of another type."
    HandshakeChain = 405 "handshake_chain" Handshake "chain as sent and as needed"
        "The certificates that the consumer sends lead to a CA of our bundle, and each of them is sound. A missing intermediate is the most common fault: browsers fetch it, and a sender of webhooks does not."
    HandshakePurpose = 406 "handshake_purpose" Handshake "purpose serverAuth"
        "If the consumer's certificate has an extendedKeyUsage, it must list serverAuth."
    HandshakeName = 407 "handshake_name" Handshake "name"
        "The subjectAltName of the consumer's certificate contains the host of the URL, or the server_name or server_uri of the endpoint. The common name never counts."
    HandshakeDates = 408 "handshake_dates" Handshake "dates"
        "The consumer's certificate is within its dates. The check warns when less than a tenth of the lifetime is left."
    HandshakePins = 409 "handshake_pins" Handshake "pins"
        "The key of the consumer's certificate is one of the pins. Pins are a set: stage the next key before the consumer rotates, or the rotation stops deliveries."
    HandshakeRevocation = 410 "handshake_revocation" Handshake "revocation"
        "Whether our CRLs cover the consumer's certificate, and whether they list it. Without a CRL nothing is checked. A staple of OCSP is not evaluated."
    VerdictCertificate = 501 "verdict_certificate" Verdict "our certificate"
        "What the consumer says of our certificate. In TLS 1.3 it comes after the handshake: an alert, a close, or a session ticket. Silence and tickets do not prove that it was accepted, because servers like nginx judge only when a request arrives. Not reached if a fault of the consumer ended the handshake: our certificate was not presented."
    VerdictHttp = 502 "verdict_http" Verdict "HTTP, without a payload"
        "The answer to a request without a payload (HEAD or OPTIONS), which is made on demand. nginx refuses a certificate with a page: HTTP 400, or 495 and 496. Any other status, also 404 or 405, shows that TLS took our certificate."
    VerdictRequired = 503 "verdict_required" Verdict "a certificate is required"
        "Whether the consumer goes on without a certificate: a second connection presents none. Requested and not required means that anyone can post to the consumer, and that it must look for the certificate in every request. Servers like nginx show it only when a request arrives. Not reached if the consumer refuses us anyway."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_numbered_by_their_groups() {
        for pair in Check::ALL.windows(2) {
            assert!(pair[0] < pair[1], "{}", pair[1].name());
        }
        for check in Check::ALL {
            assert_eq!(*check as i32 / 100, check.group() as i32, "{}", check.name());
            assert!(check.name().starts_with(check.group().name()));
            assert!(check.meaning().ends_with('.'));
        }
    }
}
