//! The parameters of a TLS connection, of a completed handshake or as far as a failed one came.

use std::time::Duration;

use rustls::{ClientConnection, ProtocolVersion};
use serde_json::{Value, json};

use super::authorities::{CertificateAuthorities, OurCertificate};
use super::server_hello::ServerHello;
use crate::error::fraction;

/// The parameters that a handshake negotiated. Of a failed handshake, the parameters that the consumer
/// chose in its ServerHello; an unknown one is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`. If the handshake failed, it may be an older version.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher_suite: &'static str,
    /// The key exchange group by its IANA name.
    pub key_exchange: &'static str,
    /// Whether the consumer requested our certificate. Always true on a receipt. If the handshake failed
    /// before the request was due, it is false, and `null` in the JSON of the error.
    pub client_auth_requested: bool,
    /// How long the signer of our key took, with its failure if it failed. `None` without a signer, or
    /// if it was not called.
    pub signature: Option<Duration>,
    /// Whether the consumer has requested our certificate or can no longer do so.
    pub(super) is_request_known: bool,
    pub(crate) authorities: CertificateAuthorities,
}

impl TlsFacts {
    /// The facts of a completed handshake.
    pub(super) fn of_connection(
        connection: &ClientConnection,
        ours: &mut OurCertificate,
        signature: Option<Duration>,
    ) -> Self {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        };
        let suite = connection.negotiated_cipher_suite();
        let group = connection.negotiated_key_exchange_group();
        Self {
            version,
            cipher_suite: suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default(),
            key_exchange: group.and_then(|group| group.name().as_str()).unwrap_or_default(),
            client_auth_requested: ours.is_requested(),
            signature,
            is_request_known: true,
            authorities: std::mem::take(&mut ours.authorities),
        }
    }

    /// The facts of a handshake that was not completed.
    pub(super) fn of_hello(
        hello: ServerHello,
        ours: &OurCertificate,
        signature: Option<Duration>,
    ) -> Self {
        Self {
            version: hello.version(),
            cipher_suite: hello.cipher_suite(),
            key_exchange: hello.key_exchange(),
            client_auth_requested: ours.is_requested(),
            signature,
            is_request_known: ours.requested.is_some(),
            authorities: ours.authorities.clone(),
        }
    }

    /// Returns the CAs that the consumer named in its certificate request, escaped and cut to 4 KiB. It
    /// accepts certificates of these CAs. Empty if it named none.
    pub fn certificate_authorities(&self) -> Vec<String> {
        self.authorities.texts()
    }

    /// Returns whether the consumer named an issuer of our certificate. `None` if it named no CA.
    pub fn is_issuer_listed(&self) -> Option<bool> {
        self.authorities.lists_our_issuer()
    }

    pub(crate) fn to_json(&self) -> Value {
        let known = |name: &'static str| (!name.is_empty()).then_some(name);
        json!({
            "version": known(self.version),
            "cipher_suite": known(self.cipher_suite),
            "key_exchange": known(self.key_exchange),
            "client_auth_requested": self.is_request_known.then_some(self.client_auth_requested),
            "signature_ms": self.signature.map(fraction),
            "certificate_authorities": self.certificate_authorities(),
            "certificate_authorities_count": self.authorities.count(),
            "issuer_listed": self.is_issuer_listed(),
        })
    }
}
