//! The errors of a failed handshake, and the alert that a refused peer receives.

use std::io;

use rustls::{CertificateError, PeerIncompatible};

use super::alert::Alert;
use super::authorities::OurCertificate;
use super::flood::is_flood;
use super::refusal::{may_be_refused, refused_by_alert};
use super::terms::{MinTls, Terms};
use crate::error::{Blame, Error, Kind, Retry, Sent, Stage, cause, key, presented};

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
        if ours.is_requested() && alert.is_about_certificate() {
            return refused_by_alert(alert, &terms.identity, &ours.authorities);
        }
        let name = alert.name();
        let error = Error::new(
            Kind::TlsFailed,
            format!("the consumer ended the handshake with the alert {name}"),
        )
        .blamed(Blame::Theirs)
        .noting(key::ALERT, name);
        return explained_by_alert(error, alert, terms);
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
        return tls_error(tls, terms);
    }
    let lost = Error::new(
        Kind::ConnectionLost,
        format!("the connection broke during the handshake: {}", error.kind()),
    )
    .at(Stage::Handshake)
    .having_sent(Sent::Nothing)
    .caused(&cause::HANDSHAKE_CUT, &[("host", &terms.server_name)]);
    if ours.is_sent { may_be_refused(lost, &terms.identity, &ours.authorities) } else { lost }
}

/// Adds the cause of an alert that is not about our certificate.
fn explained_by_alert(error: Error, alert: Alert, terms: &Terms) -> Error {
    let cause = match alert.number() {
        70 if terms.min_tls == MinTls::V1_3 => &cause::PROTOCOL_MISMATCH,
        70 => &cause::PROTOCOL_TOO_OLD,
        40 | 71 => &cause::NO_COMMON_ALGORITHM,
        112 => &cause::NAME_NOT_SERVED,
        120 => &cause::NO_COMMON_APPLICATION_PROTOCOL,
        // Its cause may pass.
        49 => return error.caused(&cause::ACCESS_DENIED, &[]),
        80 => return error.caused(&cause::CONSUMER_INTERNAL_ERROR, &[]),
        _ => return error,
    };
    error.retried(Retry::AfterRepair, None).caused(cause, &[("host", &terms.server_name)])
}

/// The error of a handshake in which the consumer's messages were not acceptable.
fn tls_error(tls: &rustls::Error, terms: &Terms) -> Error {
    let (message, cause) = match tls {
        rustls::Error::InvalidMessage(_) => {
            ("the peer's answer is not TLS".to_owned(), &cause::NOT_TLS)
        }
        // rustls knows no scheme of the request and does not call the resolver. So no scheme fits.
        rustls::Error::PeerIncompatible(
            PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon,
        ) => return key_unusable(terms),
        rustls::Error::PeerIncompatible(why) => {
            let cause = match why {
                PeerIncompatible::ServerDoesNotSupportTls12Or13 => &cause::PROTOCOL_TOO_OLD,
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
                    &cause::PROTOCOL_MISMATCH
                }
                PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
                    &cause::NO_EXTENDED_MASTER_SECRET
                }
                _ => &cause::NO_COMMON_ALGORITHM,
            };
            (format!("the consumer's TLS is incompatible: {why:?}"), cause)
        }
        other => {
            let message = format!("the handshake failed: {}", presented(&other.to_string()));
            return Error::new(Kind::TlsFailed, message).blamed(Blame::Theirs);
        }
    };
    Error::new(Kind::TlsFailed, message)
        .blamed(Blame::Theirs)
        .retried(Retry::AfterRepair, None)
        .caused(cause, &[("address", &terms.server_name)])
}
