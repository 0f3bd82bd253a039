//! One handshake, with a resolver and a verifier of its own.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, PeerMisbehaved, ProtocolVersion, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authorities::{CertificateAuthorities, OurCertificate};
use super::failure::{alert_for, handshake_error, key_unusable};
use super::stream::PollLimited;
use super::terms::Terms;
use crate::error::{Error, Kind, key};
use crate::process::{self, own};
use crate::verify::policy::Role;
use crate::verify::{Expectation, PeerIdentity, verify};
use crate::x509::algorithms;

/// The parameters that a handshake negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher_suite: &'static str,
    /// The key exchange group by its IANA name.
    pub key_exchange: &'static str,
    /// Whether the consumer requested our certificate. Always true on a receipt.
    pub client_auth_requested: bool,
    pub(crate) authorities: CertificateAuthorities,
}

impl TlsFacts {
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
        json!({
            "version": self.version,
            "cipher_suite": self.cipher_suite,
            "key_exchange": self.key_exchange,
            "client_auth_requested": self.client_auth_requested,
            "certificate_authorities": self.certificate_authorities(),
            "certificate_authorities_count": self.authorities.count(),
            "issuer_listed": self.is_issuer_listed(),
        })
    }
}

/// A finished handshake.
pub(crate) struct Established<IO> {
    pub(crate) stream: TlsStream<IO>,
    pub(crate) peer: PeerIdentity,
    pub(crate) facts: TlsFacts,
}

/// Completes the handshake. Writes nothing of the request.
///
/// Fails with a kind of the 4xx group or with `connection_lost`.
///
/// * `unanswered`: receives how many bytes were written before the first byte of the peer.
pub(crate) async fn handshake<IO>(
    terms: &Arc<Terms>,
    io: IO,
    unanswered: &AtomicUsize,
) -> Result<Established<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + PollLimited + Unpin,
{
    let session = Arc::new(Session { terms: terms.clone(), state: own::Mutex::default() });
    let mut config = terms.base().clone();
    config.client_auth_cert_resolver = session.clone();
    config.dangerous().set_certificate_verifier(session.clone());
    let connector = TlsConnector::from(Arc::new(config));
    let mut connecting = connector.connect(terms.server_name.server_name().to_owned(), io);
    let connecting = poll_fn(|context| {
        connecting.get_mut().into_iter().for_each(IO::begin_poll);
        let polled = Pin::new(&mut connecting).poll(context);
        if let Some(io) = connecting.get_mut() {
            unanswered.store(io.unanswered(), Ordering::Relaxed);
        }
        polled
    });
    // The random number generator and RSA keys contain locks. They must be free at a fork.
    let outcome = process::around_forks(connecting).await;
    let mut state = session.state();
    // The refusal of our verifier explains more than the error of rustls.
    if let Some(refusal) = state.refusal.take() {
        return Err(refusal);
    }
    let stream = outcome.map_err(|error| handshake_error(&error, &state.ours, terms))?;
    let connection = stream.get_ref().1;
    let facts = TlsFacts {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        },
        cipher_suite: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default(),
        key_exchange: connection
            .negotiated_key_exchange_group()
            .and_then(|group| group.name().as_str())
            .unwrap_or_default(),
        client_auth_requested: state.ours.is_requested,
        authorities: std::mem::take(&mut state.ours.authorities),
    };
    // Only now has the peer proved possession of the key (CertificateVerify, or the key exchange).
    let peer =
        state.peer.take().map(PeerIdentity::over_socket).ok_or_else(|| {
            Error::new(Kind::Internal, "a handshake ended without a verified peer")
        })?;
    drop(state);
    Ok(Established { stream, peer, facts })
}

/// The state that resolver and verifier share.
#[derive(Default)]
struct SessionState {
    ours: OurCertificate,
    /// Our key supports a signature scheme that the consumer offers.
    key_fits: bool,
    peer: Option<PeerIdentity>,
    refusal: Option<Error>,
}

/// The resolver and verifier of one connection.
struct Session {
    terms: Arc<Terms>,
    state: own::Mutex<SessionState>,
}

impl Session {
    fn state(&self) -> own::MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify_peer(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, Error> {
        let mut chain = Vec::with_capacity(1 + intermediates.len());
        chain.push(leaf.as_ref());
        chain.extend(intermediates.iter().map(AsRef::as_ref));
        let terms = &*self.terms;
        let peer = verify(
            &chain,
            &Expectation {
                role: Role::Server,
                trust: &terms.trust,
                names: &terms.expected,
                pins: terms.pins.as_ref(),
                tenant: None,
                authorization: None,
                strict_purpose: false,
                crl_policy: terms.crl_policy,
                at: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            },
        )?;
        // rustls calls the verifier after it has processed CertificateRequest, in TLS 1.2 and 1.3.
        let state = self.state();
        if !state.ours.is_requested {
            return Err(Error::new(
                Kind::ClientAuthNotRequested,
                "the consumer's certificate is valid, but the consumer did not request ours in the handshake",
            )
            .noting(key::OBSERVED_PIN, peer.spki_pin())
            .advising(
                "Require client certificates in the handshake, also at a load balancer in front; \
                 a later request, for a path or by renegotiation, is not supported.",
            ));
        }
        if !state.key_fits {
            return Err(key_unusable(terms));
        }
        Ok(peer)
    }
}

impl ResolvesClientCert for Session {
    fn resolve(&self, names: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut state = self.state();
        state.ours.is_requested = true;
        // The names explain a refusal, and decide nothing: the consumer decides which certificates it
        // accepts.
        state.ours.authorities = CertificateAuthorities::new(names, self.terms.identity.chain());
        let certified = self.terms.identity.certified();
        state.key_fits = certified.key.choose_scheme(schemes).is_some();
        Some(certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ServerCertVerifier for Session {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verify_peer(leaf, intermediates, now) {
            Ok(peer) => {
                self.state().peer = Some(peer);
                Ok(ServerCertVerified::assertion())
            }
            Err(refusal) => {
                let alert = alert_for(refusal.kind());
                self.state().refusal = Some(refusal);
                Err(rustls::Error::InvalidCertificate(alert))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !algorithms::is_for_tls12(signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let valid = rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &algorithms::SIGNATURES,
        )?;
        // It is the last check of rustls before our certificate.
        self.state().ours.is_sent = true;
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &algorithms::SIGNATURES,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms::SIGNATURES.supported_schemes()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}
