//! A path with valid signatures: the checks that need all of it, and the result.

use super::link::Link;
use super::revocation::{self, Revocation};
use super::search::caching_algorithms;
use super::signature_cache::SignatureLimit;
use super::{Expectation, certificate_policies, constraints, failure};
use crate::error::{Error, Kind, key};
use crate::x509::{Certificate, ParsedCertificate, Presented, key_parts};

/// The path from a leaf to its anchor without the leaf: intermediates first, the anchor last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    issuers: Vec<Certificate>,
    revocation: Revocation,
}

impl Path {
    pub(super) fn new<'a>(
        issuers: impl Iterator<Item = &'a Presented<'a>>,
        anchor: &Certificate,
        revocation: Revocation,
    ) -> Self {
        let issuers = issuers.map(Certificate::shared_issuer);
        Self { issuers: issuers.chain([anchor.clone()]).collect(), revocation }
    }

    pub(crate) fn issuers(&self) -> &[Certificate] {
        &self.issuers
    }

    pub(crate) fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// The last instant (Unix seconds) at which every issuer and every CRL of the path is valid.
    pub(crate) fn valid_until(&self) -> i64 {
        let issuers = self.issuers.iter().map(Certificate::not_after);
        issuers.fold(self.revocation.valid_until, i64::min)
    }

    /// Adds the signatures along the path to the cache. Only for accepted chains.
    pub(super) fn cache_signatures(&self, leaf: &ParsedCertificate<'_>, limit: &SignatureLimit) {
        if !limit.has_new_signatures() {
            return;
        }
        let mut signed = leaf.signed;
        for issuer in self.issuers.iter().map(Certificate::parsed) {
            let Some((key_algorithm, key)) = key_parts(issuer.spki) else { continue };
            caching_algorithms(limit)
                .filter(|known| known.algorithm.signature_alg_id().as_ref() == signed.algorithm)
                .filter(|known| known.algorithm.public_key_alg_id().as_ref() == key_algorithm)
                .for_each(|known| known.store(key, signed.message, signed.signature));
            signed = issuer.signed;
        }
    }
}

/// Checks a path with valid signatures: path lengths, name constraints, policies, revocation.
///
/// * `links`: from the leaf to the anchor.
/// * `candidates`: every certificate that the search may use. One may be that of a separate key for CRLs.
///
/// Fails with the failure of highest rank.
pub(super) fn check(
    links: &[Link<'_>],
    candidates: &[Presented<'_>],
    expected: &Expectation<'_>,
) -> Result<Revocation, Error> {
    let mut worst = None;
    let checks = [check_lengths, constraints::check, certificate_policies::check];
    for error in checks.iter().filter_map(|check| check(links).err()) {
        failure::keep_highest(&mut worst, error);
    }
    let revocation = if revocation::is_required(expected) {
        let issuers: Vec<&ParsedCertificate<'_>> =
            links[1..].iter().map(|link| link.parsed).collect();
        revocation::check(links[0].parsed, &issuers, candidates, expected)
    } else {
        Ok(Revocation::default())
    };
    let revocation = revocation.unwrap_or_else(|error| {
        failure::keep_highest(&mut worst, error);
        Revocation::default()
    });
    worst.map_or(Ok(revocation), Err)
}

/// Checks pathLenConstraint. Self-issued certificates do not count (RFC 5280 section 4.2.1.9).
fn check_lengths(links: &[Link<'_>]) -> Result<(), Error> {
    for (at, issuer) in links[1..].iter().enumerate() {
        let Some(most) = issuer.path_length.filter(|most| *most < at as u64) else { continue };
        let below = links[1..=at].iter().filter(|link| !link.is_self_issued()).count();
        if most < below as u64 {
            let why = format!(
                "allows {most} CAs below itself (pathLenConstraint), but the path has {below}"
            );
            return Err(issuer
                .fault(Kind::ConstraintViolated, &why)
                .noting(key::ISSUER, issuer.subject_text())
                .noting(key::SUBJECT, links[0].subject_text()));
        }
    }
    Ok(())
}
