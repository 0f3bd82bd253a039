//! The check of a client's certificate inside the handshake: the verdict is the library's. What the client
//! has sent is kept, also if it is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webhook_mtls::Verifier;
use webhook_mtls::error::{Error, Kind};
use webhook_mtls::verify::PeerIdentity;

/// What one client has sent, and the verdict on it.
#[derive(Debug, Default)]
pub(super) struct Presented {
    /// The certificates, leaf first, as the client sent them.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) verdict: Option<Result<PeerIdentity, Error>>,
}

/// The verifier of one connection.
#[derive(Debug)]
pub(super) struct ConnectionVerifier {
    verifier: Verifier,
    algorithms: WebPkiSupportedAlgorithms,
    authorities: Arc<[DistinguishedName]>,
    presented: Mutex<Presented>,
}

impl ConnectionVerifier {
    pub(super) fn new(
        verifier: Verifier,
        algorithms: WebPkiSupportedAlgorithms,
        authorities: Arc<[DistinguishedName]>,
    ) -> Self {
        Self { verifier, algorithms, authorities, presented: Mutex::default() }
    }

    /// Returns what the client has sent so far.
    pub(super) fn take(&self) -> Presented {
        std::mem::take(&mut *self.presented.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientCertVerifier for ConnectionVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<&[u8]> =
            std::iter::once(leaf).chain(intermediates).map(AsRef::as_ref).collect();
        let verdict = self.verifier.verify_chain(&chain, None, SystemTime::now());
        let refusal = verdict.as_ref().err().map(|error| refusal(error.kind()));
        let chain = chain.into_iter().map(<[u8]>::to_vec).collect();
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) =
            Presented { chain, verdict: Some(verdict) };
        match refusal {
            None => Ok(ClientCertVerified::assertion()),
            Some(refusal) => Err(rustls::Error::InvalidCertificate(refusal)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Returns the reason that rustls turns into the alert of the refusal.
fn refusal(kind: Kind) -> CertificateError {
    match kind {
        Kind::CertificateExpired => CertificateError::Expired,
        Kind::CertificateNotYetValid => CertificateError::NotValidYet,
        Kind::CertificateRevoked => CertificateError::Revoked,
        Kind::IssuerUnknown | Kind::IssuerRekeyed | Kind::IssuerDistrusted => {
            CertificateError::UnknownIssuer
        }
        Kind::PurposeNotAllowed => CertificateError::InvalidPurpose,
        _ => CertificateError::ApplicationVerificationFailure,
    }
}

/// Returns what a failed handshake means, in words for the operator.
///
/// * `start`: the first bytes that the client sent.
pub(super) fn explained(error: &std::io::Error, start: &[u8]) -> String {
    let is_http = [&b"GET "[..], b"POST", b"PUT ", b"HEAD", b"OPTI", b"PRI "];
    if is_http.iter().any(|method| start.starts_with(method)) {
        return "it speaks HTTP without TLS: the URL must begin with https://".to_owned();
    }
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => {
            "it sent no certificate: none is configured, or none that this CA has issued".to_owned()
        }
        Some(rustls::Error::AlertReceived(alert)) => refused_by_client(*alert),
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        Some(rustls::Error::PeerIncompatible(why)) => {
            format!("it has no version, suite or group in common with this receiver ({why:?})")
        }
        Some(rustls::Error::InvalidCertificate(CertificateError::BadSignature)) => {
            "it did not prove that it has the key of its certificate".to_owned()
        }
        Some(other) => format!("the handshake failed: {other}"),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it closed the connection within the handshake".to_owned()
        }
        None => format!("the connection failed: {}", crate::files::reason(error)),
    }
}

fn refused_by_client(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::UnknownCA => {
            "it refused this receiver: it does not trust the CA of the receiver's certificate"
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it refused this receiver's certificate"
        }
        AlertDescription::CertificateExpired => {
            "it refused this receiver: it says that the receiver's certificate has expired"
        }
        // Our library sends it for a pin that does not match.
        AlertDescription::AccessDenied => {
            "it refused this receiver: if it pins keys, compare its pin with `our pin`"
        }
        _ => "it ended the handshake",
    };
    format!("{why} (alert {alert:?})")
}
