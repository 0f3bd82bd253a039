//! One handshake, with a resolver and a verifier of its own.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, PeerMisbehaved, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authorities::CertificateAuthorities;
use super::facts::TlsFacts;
use super::failure::{alert_for, handshake_error, key_unusable};
use super::off_lane;
use super::partial::PartialHandshake;
use super::stream::PollLimited;
use super::terms::Terms;
use super::witness::ders;
use crate::error::{Error, Kind, key};
use crate::process;
use crate::verify::policy::Role;
use crate::verify::{Expectation, PeerIdentity, verify};
use crate::x509::algorithms;

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
/// * `partial`: receives the facts of the handshake as they become known.
/// * `by`: its deadline, which a signer learns. The caller enforces it.
pub(crate) async fn handshake<IO>(
    terms: &Arc<Terms>,
    io: IO,
    partial: &Arc<PartialHandshake>,
    by: Instant,
) -> Result<Established<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + PollLimited + Unpin,
{
    let session = Arc::new(Session { terms: terms.clone(), partial: partial.clone(), by });
    let mut config = terms.base().clone();
    config.client_auth_cert_resolver = session.clone();
    config.dangerous().set_certificate_verifier(session.clone());
    let (config, name) = (Arc::new(config), terms.server_name.server_name().to_owned());
    let outcome = match terms.identity.elsewhere() {
        None => on_lane(config, name, io, partial).await,
        // Boxed, so that the future of other handshakes does not grow.
        Some(key) => Box::pin(off_lane::connect(config, name, io, partial, &key.external)).await?,
    };
    let mut state = partial.state();
    // The refusal of our verifier explains more than the error of rustls.
    if let Some(refusal) = state.refusal.take() {
        return Err(refusal);
    }
    let stream = outcome.map_err(|error| handshake_error(&error, &state.ours, terms))?;
    let signature = state.signature.spent();
    let facts = TlsFacts::of_connection(stream.get_ref().1, &mut state.ours, signature);
    // Only now has the peer proved possession of the key (CertificateVerify, or the key exchange).
    let peer =
        state.peer.take().map(PeerIdentity::over_socket).ok_or_else(|| {
            Error::new(Kind::Internal, "a handshake ended without a verified peer")
        })?;
    drop(state);
    Ok(Established { stream, peer, facts })
}

/// Completes the handshake on this thread: our key is in memory.
async fn on_lane<IO>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: IO,
    partial: &PartialHandshake,
) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + PollLimited + Unpin,
{
    let mut connecting = TlsConnector::from(config).connect(name, io);
    let connecting = poll_fn(|context| {
        connecting.get_mut().into_iter().for_each(IO::begin_poll);
        let polled = Pin::new(&mut connecting).poll(context);
        if let Some(io) = connecting.get_mut() {
            partial.set_unanswered(io.unanswered());
        }
        polled
    });
    // The random number generator and RSA keys contain locks. They must be free at a fork.
    process::around_forks(connecting).await
}

/// The resolver and verifier of one connection.
struct Session {
    terms: Arc<Terms>,
    partial: Arc<PartialHandshake>,
    by: Instant,
}

impl Session {
    fn verify_peer(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, Error> {
        let chain = ders(leaf, intermediates);
        let terms = &*self.terms;
        let expected = Expectation {
            role: Role::Server,
            trust: &terms.trust,
            names: &terms.expected,
            pins: terms.pins.as_ref(),
            tenant: None,
            authorization: None,
            strict_purpose: false,
            crl_policy: terms.crl_policy,
            chain_is_whole: true,
            at: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        };
        if let Some(witness) = &terms.witness {
            witness.judge(&chain, &expected, |pin| self.unsatisfied(pin))?;
        }
        let peer = verify(&chain, &expected)?;
        if let Some(error) = self.unsatisfied(|| peer.spki_pin()) {
            return Err(error);
        }
        if let Some(witness) = &terms.witness {
            witness.may_present()?;
        }
        Ok(peer)
    }

    /// Returns the error if the consumer did not request our certificate, or our key cannot satisfy the
    /// request.
    ///
    /// * `pin`: of the consumer's key.
    fn unsatisfied(&self, pin: impl FnOnce() -> String) -> Option<Error> {
        let state = self.partial.state();
        if !state.ours.is_requested() {
            let error = Error::new(
                Kind::ClientAuthNotRequested,
                "the consumer's certificate is valid, but the consumer did not request ours in the handshake",
            );
            return Some(error.noting(key::OBSERVED_PIN, pin()).advising(
                "Require client certificates in the handshake, also at a load balancer in front; \
                 a later request, for a path or by renegotiation, is not supported.",
            ));
        }
        (!state.key_fits).then(|| key_unusable(&self.terms))
    }
}

impl ResolvesClientCert for Session {
    fn resolve(&self, names: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut state = self.partial.state();
        state.ours.requested = Some(true);
        // The names explain a refusal, and decide nothing: the consumer decides which certificates it
        // accepts.
        state.ours.authorities = CertificateAuthorities::new(names, self.terms.identity.chain());
        let certified = self.terms.identity.certified();
        state.key_fits = certified.key.choose_scheme(schemes).is_some();
        if let Some(witness) = &self.terms.witness {
            witness.request(&state.ours.authorities, schemes, state.key_fits);
            if witness.is_anonymous() {
                return None;
            }
        }
        match self.terms.identity.elsewhere() {
            None => Some(certified.clone()),
            Some(key) => {
                let key = off_lane::HandshakeKey::new(key.clone(), self.partial.clone(), self.by);
                Some(Arc::new(CertifiedKey::new(certified.cert.clone(), Arc::new(key))))
            }
        }
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
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // rustls calls the verifier after it has processed CertificateRequest, in TLS 1.2 and 1.3.
        self.partial.state().ours.requested.get_or_insert(false);
        if let Some(witness) = self.terms.witness.as_ref().filter(|_| !ocsp.is_empty()) {
            witness.stapled();
        }
        match self.verify_peer(leaf, intermediates, now) {
            Ok(peer) => {
                self.partial.state().peer = Some(peer);
                Ok(ServerCertVerified::assertion())
            }
            Err(refusal) => {
                let alert = alert_for(refusal.kind());
                self.partial.state().refusal = Some(refusal);
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
        if let Some(witness) = &self.terms.witness {
            witness.signed(signature.scheme);
        }
        // It is the last check of rustls before our certificate.
        self.partial.state().ours.is_sent = true;
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let valid = rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &algorithms::SIGNATURES,
        )?;
        if let Some(witness) = &self.terms.witness {
            witness.signed(signature.scheme);
        }
        Ok(valid)
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
