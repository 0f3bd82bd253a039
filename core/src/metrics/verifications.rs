//! What a verifier counts, in the words of `$ssl_client_verify`.

use std::collections::BTreeMap;

use super::cells::lock;
use super::table::row;
use super::{BoundedCounts, EventCells, Metrics};
use crate::error::{Error, Kind, key};
use crate::process::own;

/// The counts of one verifier in one process.
#[derive(Default)]
pub(crate) struct VerifierCells {
    /// By the name of the kind; an empty name is a success.
    ended: own::Mutex<BTreeMap<(&'static str, [&'static str; 2]), u64>>,
    /// By the name of the kind.
    refused_requests: own::Mutex<BTreeMap<&'static str, u64>>,
    distrusted: BoundedCounts,
    pub(crate) events: EventCells,
}

impl VerifierCells {
    /// Counts a verification.
    pub(crate) fn verified(&self, error: Option<&Error>) {
        let kind = error.map(Error::kind);
        let words = client_verify(kind).into();
        *lock(&self.ended).entry((kind.map_or("", Kind::name), words)).or_default() += 1;
        if let Some(pin) = error.and_then(|error| error.fact(key::DISTRUSTED)) {
            self.distrusted.count(pin);
        }
    }

    /// Counts a request that middleware has refused.
    pub(crate) fn refused_request(&self, kind: Kind) {
        *lock(&self.refused_requests).entry(kind.name()).or_default() += 1;
    }

    /// Adds what was counted.
    pub(crate) fn show(&self, metrics: &mut Metrics) {
        for ((kind, [result, reason]), count) in &*lock(&self.ended) {
            metrics.count(row::VERIFICATIONS, &[result, reason, kind], *count);
        }
        for (kind, count) in &*lock(&self.refused_requests) {
            metrics.count(row::REFUSED_REQUESTS, &[kind], *count);
        }
        self.distrusted.each(|issuer, count| metrics.count(row::DISTRUSTED, &[issuer], count));
        self.events.show(metrics);
    }
}

/// Returns the result and the reason of a verification as nginx writes them to `$ssl_client_verify`, with
/// the texts of OpenSSL. `None` is a success.
pub(crate) fn client_verify(kind: Option<Kind>) -> (&'static str, &'static str) {
    let Some(kind) = kind else { return ("SUCCESS", "") };
    let reason = match kind {
        Kind::EvidenceMissing => return ("NONE", ""),
        Kind::CertificateExpired => "certificate has expired",
        Kind::CertificateNotYetValid => "certificate is not yet valid",
        Kind::CertificateRevoked => "certificate revoked",
        Kind::NameMismatch => "hostname mismatch",
        Kind::IssuerUnknown => "unable to get local issuer certificate",
        Kind::IssuerRekeyed => "certificate signature failure",
        Kind::IssuerDistrusted => "certificate not trusted",
        Kind::PurposeNotAllowed => "unsuitable certificate purpose",
        Kind::KeyWeak => "EE certificate key too weak",
        Kind::ChainTooLong => "certificate chain too long",
        Kind::CrlUnusable => "unable to get certificate CRL",
        Kind::ConstraintViolated => "permitted subtree violation",
        Kind::PinMismatch | Kind::TenantRefused | Kind::NotAuthorized | Kind::HopUntrusted => {
            "certificate rejected"
        }
        Kind::CertificateInvalid | Kind::PemInvalid => "unspecified certificate verification error",
        _ => "application verification failure",
    };
    ("FAILED", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_result_and_a_reason() {
        for &kind in Kind::ALL {
            let (result, reason) = client_verify(Some(kind));
            assert_eq!(reason.is_empty(), result == "NONE", "{}", kind.name());
        }
        assert_eq!(client_verify(None), ("SUCCESS", ""));
        assert_eq!(client_verify(Some(Kind::EvidenceMissing)), ("NONE", ""));
        let expired = client_verify(Some(Kind::CertificateExpired));
        assert_eq!(expired, ("FAILED", "certificate has expired"));
    }
}
