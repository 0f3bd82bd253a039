//! The errors of a failed handshake, and the alert that a refused peer receives.

use std::io;

use rustls::{CertificateError, PeerIncompatible};

use super::alert::Alert;
use super::authorities::OurCertificate;
use super::flood::is_flood;
use super::refusal::{may_be_refused, refused_by_alert};
use super::terms::Terms;
use crate::error::{Blame, Error, Kind, Sent, Stage, key, presented};

/// The rustls error that sends the closest alert. The consumer's operator sees it in their log.
pub(super) fn alert_for(kind: Kind) -> CertificateError {
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

/// The error if the consumer accepts no signature scheme of our key.
pub(super) fn key_unusable(terms: &Terms) -> Error {
    let subject = terms.identity.leaf().subject_text();
    Error::new(
        Kind::ClientCertificateUnusable,
        format!("the consumer accepts no signature scheme that the key of {subject} supports"),
    )
    .noting(key::SUBJECT, subject)
}

/// The error of a handshake that failed in TLS or in the connection.
///
pub(super) fn handshake_error(error: &io::Error, ours: &OurCertificate, terms: &Terms) -> Error {
    if let Some(alert) = Alert::of(error) {
        if ours.is_requested && alert.is_about_certificate() {
            return refused_by_alert(alert, &terms.identity, &ours.authorities);
        }
        let name = alert.name();
        return Error::new(
            Kind::TlsFailed,
            format!("the consumer ended the handshake with the alert {name}"),
        )
        .blamed(Blame::Theirs)
        .noting(key::ALERT, name);
    }
    if is_flood(error) {
        return Error::new(
            Kind::TlsFailed,
            "the consumer's handshake exceeded the limit of TLS bytes",
        )
        .blamed(Blame::Theirs)
        .noting(key::HOW, "flooded");
    }
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let (message, hint) = match tls {
            rustls::Error::InvalidMessage(_) => {
                ("the peer's answer is not TLS".to_owned(), Some("Check that the port speaks TLS."))
            }
            // rustls knows no scheme of the request and does not call the resolver. So no scheme fits.
            rustls::Error::PeerIncompatible(
                PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
            ) => return key_unusable(terms),
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
    if ours.is_sent { may_be_refused(lost, &terms.identity, &ours.authorities) } else { lost }
}
