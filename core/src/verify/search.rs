//! The input of a search for a path: the certificates, what is expected of them, and the check of one
//! signature. `walk` performs the search, and `failure` explains a search that found nothing.

use rustls_pki_types::SignatureVerificationAlgorithm;

use super::Expectation;
use super::link::{Link, Place};
use super::signature_cache::{CachingAlgorithm, SignatureLimit};
use crate::material::anchors::Anchor;
use crate::x509::{ParsedCertificate, Presented, Signed, algorithms, key_parts};

/// A search for a path from a leaf to an anchor.
pub(super) struct Search<'a> {
    pub(super) leaf: &'a Presented<'a>,
    /// The certificates that may stand between leaf and anchor: the presented ones, then those of the
    /// trust.
    pub(super) issuers: &'a [Presented<'a>],
    /// The number of presented issuers.
    pub(super) presented: usize,
    pub(super) expected: &'a Expectation<'a>,
    pub(super) limit: &'a SignatureLimit,
}

/// The verdict on one signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignatureVerdict {
    Valid,
    Invalid,
    /// No accepted algorithm has the identifier of the signature.
    UnknownAlgorithm,
}

impl<'a> Search<'a> {
    pub(super) fn anchors(&self) -> &'a [Anchor] {
        self.expected.trust.anchors()
    }

    /// Returns a certificate that may be the subject of another: the leaf is 0, the issuers follow.
    pub(super) fn certificate(&self, at: usize) -> &'a ParsedCertificate<'a> {
        at.checked_sub(1).map_or(self.leaf.parsed(), |issuer| self.issuers[issuer].parsed())
    }

    pub(super) fn link(&self, at: usize) -> Link<'a> {
        let place = match at {
            0 => Place::Leaf,
            at if at <= self.presented => Place::Presented(at + 1),
            _ => Place::Intermediate,
        };
        Link { parsed: self.certificate(at), place }
    }

    /// Returns the algorithms for signatures, with cache and limit.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = CachingAlgorithm<'a>> {
        caching_algorithms(self.limit)
    }

    /// Checks a signature with the key of a SubjectPublicKeyInfo.
    pub(super) fn check_signature(&self, signed: &Signed<&[u8]>, spki: &[u8]) -> SignatureVerdict {
        let Some((key_algorithm, key)) = key_parts(spki) else { return SignatureVerdict::Invalid };
        let mut verdict = SignatureVerdict::UnknownAlgorithm;
        for known in self.algorithms() {
            if known.algorithm.signature_alg_id().as_ref() != signed.algorithm {
                continue;
            }
            verdict = SignatureVerdict::Invalid;
            if known.algorithm.public_key_alg_id().as_ref() == key_algorithm
                && known.verify_signature(key, signed.message, signed.signature).is_ok()
            {
                return SignatureVerdict::Valid;
            }
        }
        verdict
    }
}

pub(super) fn caching_algorithms(
    limit: &SignatureLimit,
) -> impl Iterator<Item = CachingAlgorithm<'_>> {
    algorithms::SIGNATURES
        .all
        .iter()
        .map(move |algorithm| CachingAlgorithm { algorithm: *algorithm, limit })
}

/// An issuer of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issuer {
    /// By the number of [`Search::certificate`].
    Candidate(usize),
    Anchor(usize),
}
