//! The terms that a connection must satisfy, and the rustls configuration that they share.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};

use super::witness::Witness;
use crate::clock;
use crate::error::words;
use crate::material::identity::Identity;
use crate::material::pin::Pins;
use crate::material::trust::Trust;
use crate::net::Host;
use crate::process::Once;
use crate::verify::{CrlPolicy, Expected};
use crate::x509::{Key, algorithms};

words! {
    /// The oldest accepted TLS version.
    #[non_exhaustive]
    MinTls {
        /// TLS 1.2, with extended master secret (RFC 7627).
        V1_2 = 2 "1.2",
        /// TLS 1.3.
        V1_3 = 3 "1.3",
    }
}

/// The terms that every connection of one generation must satisfy. Each endpoint has its own, so they are
/// small: the rustls objects belong to the identity and to the TLS version.
#[derive(Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) identity: Identity,
    pub(crate) trust: Trust,
    pub(crate) pins: Option<Pins>,
    /// The endpoint's `server_name`, or else the host of the URL. The handshake sends it as SNI if it is
    /// a DNS name (RFC 6066 section 3).
    pub(crate) server_name: Host,
    pub(crate) expected: Expected,
    pub(crate) crl_policy: CrlPolicy,
    pub(crate) min_tls: MinTls,
    /// Offer a key exchange that resists quantum computers. Its key share fills more than one packet.
    pub(crate) post_quantum: bool,
    /// Records the handshake for a diagnosis. A delivery has none.
    pub(crate) witness: Option<Box<Witness>>,
}

impl Terms {
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The configuration of the connection, without resolver and verifier. It offers TLS 1.2 only if
    /// our key can be used there: the resolver does not learn which version was negotiated.
    pub(super) fn base(&self) -> &'static ClientConfig {
        let tls13_only = self.identity.leaf().parsed().key == Key::MlDsa;
        let min_tls = if tls13_only { MinTls::V1_3 } else { self.min_tls };
        min_tls.base(self.post_quantum)
    }
}

impl MinTls {
    /// The configuration of all connections with this minimum, without resolver and verifier.
    fn base(self, post_quantum: bool) -> &'static ClientConfig {
        static TLS_1_3: [Once<ClientConfig>; 2] = [const { Once::new() }; 2];
        static TLS_1_2: [Once<ClientConfig>; 2] = [const { Once::new() }; 2];
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        let (made, versions) = match self {
            Self::V1_2 => (&TLS_1_2, &both[..]),
            Self::V1_3 => (&TLS_1_3, &both[..1]),
        };
        made[usize::from(post_quantum)].get_or_init(|| base(versions, post_quantum))
    }
}

fn base(versions: &[&'static SupportedProtocolVersion], post_quantum: bool) -> ClientConfig {
    let (provider, clock) = (algorithms::provider(post_quantum).clone(), Arc::new(HandshakeClock));
    let mut base = ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(versions)
        .unwrap_or_else(|_| unreachable!("the provider has suites and groups for both versions"))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(RefuseAll))
        .with_no_client_auth();
    base.resumption = Resumption::disabled();
    base.require_ems = true;
    base.alpn_protocols = vec![b"http/1.1".to_vec()];
    base
}

/// The clock of the crate, as a rustls time provider.
#[derive(Debug)]
struct HandshakeClock;

impl TimeProvider for HandshakeClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = clock::read().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// Refuses every peer. It is the placeholder in the base configuration.
#[derive(Debug)]
struct RefuseAll;

impl ServerCertVerifier for RefuseAll {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        refuse()
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refuse()
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refuse()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Vec::new()
    }
}

fn refuse<T>() -> Result<T, rustls::Error> {
    Err(rustls::Error::General("no verifier was set".into()))
}
