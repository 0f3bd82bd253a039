//! Path building from the leaf to an anchor. webpki finds the path, and this file checks every issuer
//! on it.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath,
};

use super::revocation::{self, Revocation};
use super::search::Search;
use super::signature_cache::{CachingAlgorithm, MAX_SIGNATURES, SignatureLimit};
use super::{Expectation, MAX_CHAIN, failure};
use crate::error::{Error, Kind, key};
use crate::material::anchors::Anchor;
use crate::verify::policy::Role;
use crate::x509::algorithms;
use crate::x509::{Certificate, KEY_CERT_SIGN, ParsedCertificate, Presented, key_parts, pin_text};

/// The most certificates that one path search may try: six times the number that the longest presented
/// chain needs, for cross-signed CAs.
const MAX_STEPS: usize = 64;

/// The path from a leaf to its anchor without the leaf: intermediates first, the anchor last.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    issuers: Vec<Certificate>,
    revocation: Revocation,
}

impl Path {
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

fn caching_algorithms(limit: &SignatureLimit) -> impl Iterator<Item = CachingAlgorithm<'_>> {
    algorithms::SIGNATURES
        .all
        .iter()
        .map(|algorithm| CachingAlgorithm { algorithm: *algorithm, limit })
}

impl Search<'_> {
    /// Finds a path that satisfies webpki and [`check_path`](Self::check_path).
    ///
    /// * `leaf`: the leaf as webpki has read it.
    ///
    /// Fails with the failure of highest rank among the paths that were tried.
    pub(super) fn build(&self, leaf: &EndEntityCert<'_>) -> Result<Path, Error> {
        let (expected, limit) = (self.expected, self.limit);
        let at = unix_time(expected.at)?;
        // webpki does not check the dates of an anchor, so expired ones are left out here.
        let valid_anchors: Vec<&Anchor> = expected
            .trust
            .anchors()
            .iter()
            .filter(|anchor| anchor.is_valid_at(expected.at))
            .collect();
        let anchors: Vec<_> = valid_anchors.iter().map(|anchor| anchor.webpki.clone()).collect();
        let useful = leading_to_an_anchor(self.issuers, &valid_anchors);

        let caching: Vec<CachingAlgorithm<'_>> = caching_algorithms(limit).collect();
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            caching.iter().map(|algorithm| algorithm as _).collect();

        let refused: RefCell<Option<Error>> = RefCell::new(None);
        let passed = Cell::new(None);
        let check = |path: &VerifiedPath<'_>| match self.check_path(path, &valid_anchors) {
            Ok(path) => {
                passed.set(Some(path));
                Ok(())
            }
            Err(error) => {
                let mut refused = refused.borrow_mut();
                if refused.as_ref().is_none_or(|known| failure::rank(&error) > failure::rank(known))
                {
                    *refused = Some(error);
                }
                Err(webpki::Error::CertDistrusted)
            }
        };
        let usage = PurposeCheck { role: expected.role, limit, steps_left: Cell::new(MAX_STEPS) };
        let verdict =
            leaf.verify_for_usage(&algorithms, &anchors, &useful, at, usage, None, Some(&check));
        match (verdict, passed.take()) {
            // webpki returns the path that it passed to `check` last.
            (Ok(_), Some(path)) => Ok(path),
            (Ok(_), None) => Err(Error::new(Kind::Internal, "a path was accepted unchecked")),
            // A path that `check` refused had passed all checks of webpki, so that failure comes first.
            (Err(error), _) => Err(refused.into_inner().unwrap_or_else(|| {
                if limit.is_exceeded() {
                    return failure::too_costly(MAX_SIGNATURES);
                }
                let why = failure::explain(&error, self, &algorithms);
                if limit.is_exceeded() { failure::too_costly(MAX_SIGNATURES) } else { why }
            })),
        }
    }

    /// Checks the issuers of a path with valid signatures and dates, and revocation along it.
    fn check_path(
        &self,
        path: &VerifiedPath<'_>,
        valid_anchors: &[&Anchor],
    ) -> Result<Path, Error> {
        // webpki returns slices of the certificates that it was given.
        let known = |certificate: CertificateDer<'_>| {
            self.issuers.iter().find(|issuer| *issuer.der() == *certificate)
        };
        let mut presented = Vec::with_capacity(1 + MAX_CHAIN);
        for certificate in path.intermediate_certificates() {
            presented.push(known(certificate.der()).ok_or_else(unknown_issuer)?);
        }
        let anchor = anchor_of(path, valid_anchors).ok_or_else(unknown_issuer)?;
        let anchor_fields = anchor.certificate.parsed();
        let parsed = || presented.iter().map(|issuer| issuer.parsed()).chain([&anchor_fields]);
        for issuer in parsed() {
            check_issuer(issuer, self.expected)?;
        }
        let revocation = if revocation::is_required(self.expected) {
            let issuers: Vec<&ParsedCertificate<'_>> = parsed().collect();
            revocation::check(self.leaf.parsed(), &issuers, self.expected)?
        } else {
            Revocation::default()
        };
        let issuers = presented.iter().copied().map(Certificate::shared_issuer);
        Ok(Path { issuers: issuers.chain([anchor.certificate.clone()]).collect(), revocation })
    }
}

/// The error for a path with a certificate that the search did not give to webpki.
fn unknown_issuer() -> Error {
    Error::new(Kind::Internal, "the path has a certificate that is no candidate")
}

/// Checks one issuer of a path, apart from its signature and dates.
fn check_issuer(issuer: &ParsedCertificate<'_>, expected: &Expectation<'_>) -> Result<(), Error> {
    if expected.trust.distrusts(issuer) {
        let subject = issuer.subject_text();
        return Err(Error::new(
            Kind::IssuerDistrusted,
            format!("the path contains {subject}, whose key is distrusted"),
        )
        .noting(key::ISSUER, subject)
        .noting(key::DISTRUSTED, pin_text(&issuer.spki_digest())));
    }
    if let Some(weakness) = issuer.key.weakness() {
        return Err(failure::key_weak(issuer, &weakness));
    }
    if let Some(why) = issuer.profile_fault.or_else(|| issuer.constraints_fault()) {
        let subject = issuer.subject_text();
        return Err(Error::new(Kind::ConstraintViolated, format!("{subject} {why}"))
            .noting(key::SUBJECT, subject));
    }
    if issuer.key_usage(KEY_CERT_SIGN) == Some(false) {
        return Err(Error::new(
            Kind::ConstraintViolated,
            format!("{} may not sign certificates (keyUsage)", issuer.subject_text()),
        )
        .noting(key::SUBJECT, issuer.subject_text()));
    }
    Ok(())
}

/// Converts Unix seconds for webpki. Fails with `clock_implausible` before 1970.
fn unix_time(seconds: i64) -> Result<UnixTime, Error> {
    let seconds = u64::try_from(seconds)
        .map_err(|_| Error::new(Kind::ClockImplausible, "the instant lies before 1970"))?;
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// Up to this number of issuers, trying every order takes negligible time.
const FEW_ISSUERS: usize = 3;

/// Returns the issuers from which names lead to an anchor, or all if there are only few.
///
/// If ten certificates have the same name, each may be the issuer of each other. Such a set has hundreds
/// of thousands of paths, even if none ends at an anchor.
fn leading_to_an_anchor<'a>(
    issuers: &[Presented<'a>],
    valid_anchors: &[&Anchor],
) -> Vec<CertificateDer<'a>> {
    let der = |issuer: &Presented<'a>| CertificateDer::from(issuer.der());
    if issuers.len() <= FEW_ISSUERS {
        return issuers.iter().map(der).collect();
    }
    let mut reached: HashSet<&[u8]> =
        valid_anchors.iter().map(|anchor| anchor.webpki.subject.as_ref()).collect();
    let mut leads = vec![false; issuers.len()];
    loop {
        let before = reached.len();
        for (issuer, leads) in issuers.iter().zip(&mut leads) {
            if !*leads && reached.contains(issuer.parsed().issuer) {
                *leads = true;
                reached.insert(issuer.parsed().subject);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    issuers.iter().zip(leads).filter(|(_, leads)| *leads).map(|(issuer, _)| der(issuer)).collect()
}

/// Checks extendedKeyUsage. That of a CA limits the purposes of the certificates below it;
/// anyExtendedKeyUsage sets no limit there.
///
/// webpki calls it for every certificate that it adds to a path, so it also counts the steps and ends a
/// search after [`MAX_STEPS`]. The limit of webpki is 200 000 steps.
struct PurposeCheck<'a> {
    role: Role,
    limit: &'a SignatureLimit,
    steps_left: Cell<usize>,
}

impl ExtendedKeyUsageValidator for PurposeCheck<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const ANY: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0x00]);
        const CLIENT_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        const SERVER_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        match self.steps_left.get().checked_sub(1) {
            Some(left) if !self.limit.is_exceeded() => self.steps_left.set(left),
            // An error that makes webpki end the search.
            _ => return Err(webpki::Error::MaximumPathBuildCallsExceeded),
        }
        let (wanted, required) = match self.role {
            Role::Client => (CLIENT_AUTH, KeyUsage::client_auth()),
            Role::Server => (SERVER_AUTH, KeyUsage::server_auth()),
        };
        let mut present = false;
        for purpose in purposes {
            let purpose = purpose?;
            present = true;
            if purpose == wanted || purpose == ANY {
                return Ok(());
            }
        }
        if !present {
            return Ok(());
        }
        let context = RequiredEkuNotFoundContext { required, present: Vec::new() };
        Err(webpki::Error::RequiredEkuNotFoundContext(context))
    }
}

fn anchor_of<'a>(path: &VerifiedPath<'_>, valid_anchors: &[&'a Anchor]) -> Option<&'a Anchor> {
    let (subject, key) = (&path.anchor().subject, &path.anchor().subject_public_key_info);
    valid_anchors
        .iter()
        .find(|anchor| {
            anchor.webpki.subject == *subject && anchor.webpki.subject_public_key_info == *key
        })
        .copied()
}
