//! Floor 5: TLS. The only module that speaks to rustls' connections.
//!
//! Every connection gets its own resolver and verifier around one state, so that the verifier knows
//! whether our certificate was asked for, and its typed refusal survives the way through rustls.
//! Resumption is off: a resumed session runs no verifier, and changed pins would be bypassed.

mod alert;
mod flood;

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, ProtocolVersion,
    SignatureScheme, SupportedProtocolVersion,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use alert::Alert;
pub(crate) use flood::{Flood, is_flood};

use crate::clock;
use crate::error::{Blame, Error, Kind, Sent, Stage, presented, words};
use crate::material::identity::Identity;
use crate::material::pin::Pins;
use crate::material::trust::Trust;
use crate::process::{self, Once, own};
use crate::verify::policy::{CrlPolicy, Role};
use crate::verify::{Expectation, PeerIdentity, verify};
use crate::x509::Certificate;
use crate::x509::algorithms;

words! {
    /// The oldest TLS version that is accepted.
    MinTls {
        /// TLS 1.2, with extended master secret (RFC 7627).
        V1_2 = 2 "1.2",
        /// TLS 1.3.
        V1_3 = 3 "1.3",
    }
}

/// What a handshake negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher_suite: &'static str,
    /// The key exchange group by its IANA name.
    pub key_exchange: &'static str,
    /// Whether the consumer asked for our certificate. Always true on a receipt.
    pub client_auth_requested: bool,
}

impl TlsFacts {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "version": self.version,
            "cipher_suite": self.cipher_suite,
            "key_exchange": self.key_exchange,
            "client_auth_requested": self.client_auth_requested,
        })
    }
}

/// What every connection of one generation of an endpoint must satisfy. An endpoint has one, so it
/// is small: what rustls needs lies with the identity and with the version.
#[derive(Clone, PartialEq)]
pub(crate) struct Terms {
    pub(crate) identity: Identity,
    pub(crate) trust: Trust,
    pub(crate) pins: Option<Pins>,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) server_uri: Option<Box<str>>,
    pub(crate) min_tls: MinTls,
}

impl Terms {
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl MinTls {
    /// The configuration of every connection with this limit, but for resolver and verifier.
    fn base(self) -> &'static ClientConfig {
        static TLS_1_3: Once<ClientConfig> = Once::new();
        static TLS_1_2: Once<ClientConfig> = Once::new();
        let both = [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            Self::V1_2 => TLS_1_2.get_or_init(|| base(&both)),
            Self::V1_3 => TLS_1_3.get_or_init(|| base(&both[..1])),
        }
    }
}

fn base(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let (provider, clock) = (algorithms::provider().clone(), Arc::new(HandshakeClock));
    let mut base = ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(versions)
        .unwrap_or_else(|_| unreachable!("the provider has suites and groups for both versions"))
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unset))
        .with_no_client_auth();
    base.resumption = Resumption::disabled();
    base.require_ems = true;
    base.alpn_protocols = vec![b"http/1.1".to_vec()];
    base
}

/// How many session tickets have come. They follow the peer's verdict on our certificate.
pub(crate) fn tickets<IO>(stream: &TlsStream<IO>) -> u32 {
    stream.get_ref().1.tls13_tickets_received()
}

/// Whether plaintext, or the end of it, is there without another read.
pub(crate) fn has_plaintext<IO>(stream: &TlsStream<IO>) -> bool {
    !stream.get_ref().1.wants_read()
}

/// The plaintext that is there, or the first part of it. Reads nothing.
pub(crate) fn plaintext<IO>(stream: &mut TlsStream<IO>) -> &[u8] {
    stream.get_mut().1.reader().into_first_chunk().unwrap_or_default()
}

/// A stream that reads and writes only so much in a turn. Where it has had enough it is pending, and
/// wakes its task for the next turn.
pub(crate) trait InTurns {
    /// A turn begins: a poll of the task that reads and writes.
    fn begin_turn(&mut self);
}

/// The crate's clock, as rustls asks for it.
#[derive(Debug)]
struct HandshakeClock;

impl TimeProvider for HandshakeClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = clock::read().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

/// A finished handshake.
pub(crate) struct Established<IO> {
    pub(crate) stream: TlsStream<IO>,
    pub(crate) peer: PeerIdentity,
    pub(crate) facts: TlsFacts,
}

/// Shakes hands. Nothing of the request has been written when this returns.
///
/// Fails with a kind of the 4xx group or with `connection_lost`.
pub(crate) async fn handshake<IO>(terms: &Arc<Terms>, io: IO) -> Result<Established<IO>, Error>
where
    IO: AsyncRead + AsyncWrite + InTurns + Unpin,
{
    let session = Arc::new(Session { terms: terms.clone(), state: own::Mutex::default() });
    let mut config = terms.min_tls.base().clone();
    config.client_auth_cert_resolver = session.clone();
    config.dangerous().set_certificate_verifier(session.clone());
    let connector = TlsConnector::from(Arc::new(config));
    let mut connecting = connector.connect(terms.server_name.clone(), io);
    let connecting = poll_fn(|context| {
        connecting.get_mut().into_iter().for_each(IO::begin_turn);
        Pin::new(&mut connecting).poll(context)
    });
    // Random numbers and RSA keys have locks inside, which a fork must find free.
    let outcome = process::around_forks(connecting).await;
    let mut state = session.state();
    // The verdict on the peer, where there is one, explains more than what TLS makes of it.
    if let Some(refusal) = state.refusal.take() {
        return Err(refusal);
    }
    let stream = outcome.map_err(|error| handshake_fault(&error, &state, terms))?;
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
        client_auth_requested: state.asked,
    };
    // Only now has the peer proved that it holds the key (CertificateVerify, or the key exchange).
    let peer =
        state.peer.take().map(PeerIdentity::over_socket).ok_or_else(|| {
            Error::new(Kind::Internal, "a handshake ended without a verified peer")
        })?;
    drop(state);
    Ok(Established { stream, peer, facts })
}

#[derive(Default)]
struct State {
    asked: bool,
    /// Whether a scheme that the consumer offers fits our key.
    fits: bool,
    peer: Option<PeerIdentity>,
    refusal: Option<Error>,
}

/// One connection's resolver and verifier.
struct Session {
    terms: Arc<Terms>,
    state: own::Mutex<State>,
}

impl Session {
    fn state(&self) -> own::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, Error> {
        let mut chain = Vec::with_capacity(1 + intermediates.len());
        chain.push(CertificateDer::from(leaf.as_ref()));
        chain.extend(
            intermediates.iter().map(|certificate| CertificateDer::from(certificate.as_ref())),
        );
        let terms = &*self.terms;
        let peer = verify(
            &chain,
            &Expectation {
                role: Role::Server,
                trust: &terms.trust,
                server_name: terms.server_uri.is_none().then_some(&terms.server_name),
                server_uri: terms.server_uri.as_deref(),
                pins: terms.pins.as_ref(),
                tenant: None,
                authorization: None,
                strict_purpose: false,
                crl_policy: CrlPolicy::IfPresent,
                at: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            },
        )?;
        // The request for our certificate comes before the consumer's own, in TLS 1.2 and 1.3.
        let state = self.state();
        if !state.asked {
            return Err(Error::new(
                Kind::ClientAuthNotRequested,
                "the consumer's certificate is right, but it did not ask for ours in the handshake",
            )
            .noting("observed_pin", peer.spki_pin())
            .advising(
                "Require client certificates in the handshake, also at a load balancer in front; \
                 asking later, on a path or by renegotiation, is not supported.",
            ));
        }
        if !state.fits {
            return Err(unusable(terms));
        }
        Ok(peer)
    }
}

impl ResolvesClientCert for Session {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // CA hints never stop us: what a consumer accepts is its own verdict to give.
        let mut state = self.state();
        state.asked = true;
        let certified = self.terms.identity.certified();
        state.fits = certified.key.choose_scheme(schemes).is_some();
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
        match self.judge(leaf, intermediates, now) {
            Ok(peer) => {
                self.state().peer = Some(peer);
                Ok(ServerCertVerified::assertion())
            }
            Err(refusal) => {
                let told = told_to_peer(refusal.kind());
                self.state().refusal = Some(refusal);
                Err(rustls::Error::InvalidCertificate(told))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &algorithms::SIGNATURES,
        )
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

/// Stands in the base configuration, and lets nobody pass.
#[derive(Debug)]
struct Unset;

impl ServerCertVerifier for Unset {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        refused()
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refused()
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refused()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Vec::new()
    }
}

fn refused<T>() -> Result<T, rustls::Error> {
    Err(rustls::Error::General("no verifier was set".into()))
}

/// The nearest alert: the consumer's operator sees it in their log.
fn told_to_peer(kind: Kind) -> CertificateError {
    match kind {
        Kind::CertificateExpired => CertificateError::Expired,
        Kind::CertificateNotYetValid => CertificateError::NotValidYet,
        Kind::CertificateRevoked => CertificateError::Revoked,
        Kind::IssuerUnknown | Kind::IssuerRekeyed | Kind::IssuerDistrusted => {
            CertificateError::UnknownIssuer
        }
        Kind::NameMismatch => CertificateError::NotValidForName,
        Kind::PurposeNotAllowed => CertificateError::InvalidPurpose,
        Kind::CertificateInvalid => CertificateError::BadEncoding,
        _ => CertificateError::ApplicationVerificationFailure,
    }
}

/// The consumer said by an alert that it does not take our certificate.
pub(crate) fn rejected(alert: Alert, ours: &Certificate) -> Error {
    let name = alert.name();
    Error::new(
        Kind::ClientCertificateRejected,
        format!(
            "the consumer refused our certificate ({}) with the alert {name}",
            ours.subject_text()
        ),
    )
    .noting("via", "alert")
    .noting("alert", name)
    .noting("identity", ours.subject_text())
}

/// No signature of our key would be taken.
fn unusable(terms: &Terms) -> Error {
    let subject = terms.identity.leaf().subject_text();
    Error::new(
        Kind::ClientCertificateUnusable,
        format!("the consumer takes no signature that the key of {subject} can make"),
    )
    .noting("subject", subject)
}

fn handshake_fault(error: &io::Error, state: &State, terms: &Terms) -> Error {
    if let Some(alert) = Alert::of(error) {
        let name = alert.name();
        if state.asked && alert.is_about_certificate() {
            return Error::new(
                Kind::ClientCertificateRejected,
                format!("the consumer refused our certificate with the alert {name}"),
            )
            .noting("via", "alert")
            .noting("alert", name);
        }
        return Error::new(
            Kind::TlsFailed,
            format!("the consumer ended the handshake with the alert {name}"),
        )
        .blamed(Blame::Theirs)
        .noting("alert", name);
    }
    if is_flood(error) {
        return Error::new(Kind::TlsFailed, "the consumer's handshake has no end: we ended it")
            .blamed(Blame::Theirs)
            .noting("how", "flooded");
    }
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let (message, hint) = match tls {
            rustls::Error::InvalidMessage(_) => {
                ("the peer's answer is not TLS".to_owned(), Some("Check that the port speaks TLS."))
            }
            // Not even asked: no scheme of the request is known here, so none is our key's.
            rustls::Error::PeerIncompatible(
                PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
            ) => return unusable(terms),
            rustls::Error::PeerIncompatible(why) => (
                format!("the consumer's TLS is incompatible: {why:?}"),
                Some(
                    "The consumer must speak TLS 1.3; min_tls 1.2 accepts TLS 1.2 with extended master secret.",
                ),
            ),
            other => (format!("the handshake failed: {}", presented(&other.to_string())), None),
        };
        let fault = Error::new(Kind::TlsFailed, message).blamed(Blame::Theirs);
        return match hint {
            Some(hint) => fault.advising(hint),
            None => fault,
        };
    }
    let lost = Error::new(
        Kind::ConnectionLost,
        format!("the connection broke during the handshake: {}", error.kind()),
    )
    .at(Stage::Handshake)
    .having_sent(Sent::Nothing);
    // In TLS 1.2 our certificate is judged before the handshake ends.
    if state.asked { lost.noting("hint", "client_certificate_may_be_refused") } else { lost }
}

/// The last instant (Unix seconds) at which a connection may be used: both paths are valid until then,
/// and so are the CRLs that the peer was judged by.
///
/// Nothing of a handshake is judged again on an open connection. So it ends when a new handshake
/// would have to be judged by other dates.
pub(crate) fn valid_until(peer: &PeerIdentity, identity: &Identity) -> i64 {
    let ours = identity.chain().iter().map(Certificate::not_after);
    ours.fold(peer.valid_until(), i64::min)
}
