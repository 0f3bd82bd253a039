//! From the leaf to an anchor: webpki finds the way, and every issuer on it is judged here.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath,
};

use super::revocation::{self, Revocation};
use super::signature_cache::{Budget, MAX_SIGNATURES, Remembering};
use super::{Expectation, failure};
use crate::error::{Error, Kind};
use crate::material::trust::{Anchor, Trust};
use crate::verify::policy::Role;
use crate::x509::algorithms;
use crate::x509::{Certificate, KEY_CERT_SIGN, ParsedCertificate, key_parts, pin_text};

/// How many certificates one search for a path may take into a path: six times what the longest
/// presented chain needs, for CAs that have signed each other.
const MAX_STEPS: usize = 64;

/// The way from a leaf to its anchor, without the leaf: intermediates first, the anchor last.
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

    /// The last instant (Unix seconds) at which every issuer and every CRL that it rests on is valid.
    pub(crate) fn valid_until(&self) -> i64 {
        let issuers = self.issuers.iter().map(Certificate::not_after);
        issuers.fold(self.revocation.valid_until, i64::min)
    }

    /// Remembers the signatures along it. For chains that were accepted.
    pub(super) fn remember(&self, leaf: &ParsedCertificate<'_>, budget: &Budget) {
        if !budget.has_learned() {
            return;
        }
        let mut signed = leaf.signed;
        for issuer in self.issuers.iter().map(Certificate::parsed) {
            let Some((key_algorithm, key)) = key_parts(issuer.spki) else { continue };
            remembering(budget)
                .filter(|known| known.algorithm.signature_alg_id().as_ref() == signed.algorithm)
                .filter(|known| known.algorithm.public_key_alg_id().as_ref() == key_algorithm)
                .for_each(|known| known.keep(key, signed.message, signed.signature));
            signed = issuer.signed;
        }
    }
}

fn remembering(budget: &Budget) -> impl Iterator<Item = Remembering<'_>> {
    algorithms::SIGNATURES.all.iter().map(|algorithm| Remembering { algorithm: *algorithm, budget })
}

pub(super) fn build(
    leaf_der: &CertificateDer<'_>,
    presented: &[CertificateDer<'_>],
    expected: &Expectation<'_>,
    budget: &Budget,
) -> Result<Path, Error> {
    let Ok(at) = u64::try_from(expected.at) else {
        return Err(Error::new(Kind::ClockImplausible, "the instant lies before 1970"));
    };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let leaf = EndEntityCert::try_from(leaf_der)
        .map_err(|error| failure::unreadable(&error, &super::read_known(leaf_der)))?;

    // An anchor outside its dates is as good as absent; webpki would not look.
    let believed: Vec<&Anchor> =
        expected.trust.anchors().iter().filter(|anchor| anchor.is_valid_at(expected.at)).collect();
    let anchors: Vec<_> = believed.iter().map(|anchor| anchor.webpki.clone()).collect();
    let intermediates = all_intermediates(presented, expected.trust);
    let useful = leading_to_an_anchor(&intermediates, &believed);

    let remembering: Vec<Remembering<'_>> = remembering(budget).collect();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
        remembering.iter().map(|algorithm| algorithm as _).collect();

    let refused: RefCell<Option<Error>> = RefCell::new(None);
    let passed = Cell::new(Revocation::default());
    let judge = |path: &VerifiedPath<'_>| match judge_path(path, leaf_der, &believed, expected) {
        Ok(revocation) => {
            passed.set(revocation);
            Ok(())
        }
        Err(error) => {
            let mut refused = refused.borrow_mut();
            if refused.as_ref().is_none_or(|known| failure::rank(&error) > failure::rank(known)) {
                *refused = Some(error);
            }
            Err(webpki::Error::CertDistrusted)
        }
    };
    let usage = Usage { role: expected.role, budget, steps_left: Cell::new(MAX_STEPS) };
    match leaf.verify_for_usage(
        &algorithms,
        &anchors,
        useful.as_deref().unwrap_or(&intermediates),
        at,
        usage,
        None,
        Some(&judge),
    ) {
        Ok(path) => {
            // webpki returns the path that it asked about last.
            Ok(Path { issuers: issuers_of(&path, &believed), revocation: passed.take() })
        }
        // A path that was refused for a reason of ours was trusted in every other way.
        Err(error) => Err(refused.into_inner().unwrap_or_else(|| {
            if budget.is_exceeded() {
                return failure::too_costly(MAX_SIGNATURES);
            }
            let why = failure::explain(&error, leaf_der, &intermediates, expected, &algorithms);
            if budget.is_exceeded() { failure::too_costly(MAX_SIGNATURES) } else { why }
        })),
    }
}

/// The presented certificates, then the intermediates of the trust.
fn all_intermediates<'a>(
    presented: &'a [CertificateDer<'_>],
    trust: &'a Trust,
) -> Vec<CertificateDer<'a>> {
    let known = trust.intermediates().iter().map(Certificate::as_der);
    let presented = presented.iter();
    presented.map(|certificate| CertificateDer::from(certificate.as_ref())).chain(known).collect()
}

/// Up to this many issuers, every order of them is tried in no time.
const FEW: usize = 3;

/// Those from which an anchor can be reached by name, or `None` where they are few anyway.
///
/// Of ten certificates that all bear one name, each may be the issuer of each other: there are
/// hundreds of thousands of ways through such a mesh, though none ends anywhere.
fn leading_to_an_anchor<'a>(
    issuers: &'a [CertificateDer<'a>],
    believed: &[&Anchor],
) -> Option<Vec<CertificateDer<'a>>> {
    if issuers.len() <= FEW {
        return None;
    }
    let views: Vec<ParsedCertificate<'_>> = issuers.iter().map(super::read_known).collect();
    let mut reached: HashSet<&[u8]> =
        believed.iter().map(|anchor| anchor.webpki.subject.as_ref()).collect();
    let mut leads = vec![false; views.len()];
    loop {
        let before = reached.len();
        for (view, leads) in views.iter().zip(&mut leads) {
            if !*leads && reached.contains(view.issuer) {
                *leads = true;
                reached.insert(view.subject);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    let useful = issuers.iter().zip(leads).filter(|(_, leads)| *leads);
    Some(useful.map(|(issuer, _)| CertificateDer::from(issuer.as_ref())).collect())
}

/// A CA's extendedKeyUsage limits what lies below it; anyExtendedKeyUsage sets no limit there.
///
/// It is asked about every certificate that webpki takes into a path, so it counts the steps as
/// well, and ends the search where it leads nowhere: webpki itself would take 200 000.
struct Usage<'a> {
    role: Role,
    budget: &'a Budget,
    steps_left: Cell<usize>,
}

impl ExtendedKeyUsageValidator for Usage<'_> {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const ANY: KeyPurposeId<'static> = KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0x00]);
        const CLIENT_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
        const SERVER_AUTH: KeyPurposeId<'static> = KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        match self.steps_left.get().checked_sub(1) {
            Some(left) if !self.budget.is_exceeded() => self.steps_left.set(left),
            // Of webpki's errors, one of those that end a search.
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

/// The issuers of a path: the intermediates, then the anchor.
fn issuers_of(path: &VerifiedPath<'_>, believed: &[&Anchor]) -> Vec<Certificate> {
    let intermediates = path.intermediate_certificates();
    let anchor = anchor_of(path, believed).map(|anchor| anchor.certificate.clone());
    intermediates
        .map(|certificate| Certificate::shared_issuer(&certificate.der()))
        .chain(anchor)
        .collect()
}

fn anchor_of<'a>(path: &VerifiedPath<'_>, believed: &[&'a Anchor]) -> Option<&'a Anchor> {
    let (subject, key) = (&path.anchor().subject, &path.anchor().subject_public_key_info);
    believed
        .iter()
        .find(|anchor| {
            anchor.webpki.subject == *subject && anchor.webpki.subject_public_key_info == *key
        })
        .copied()
}

/// Judges every issuer of a path whose signatures and dates are good, and revocation along it.
fn judge_path(
    path: &VerifiedPath<'_>,
    leaf_der: &CertificateDer<'_>,
    believed: &[&Anchor],
    expected: &Expectation<'_>,
) -> Result<Revocation, Error> {
    let intermediates: Vec<CertificateDer<'_>> =
        path.intermediate_certificates().map(webpki::Cert::der).collect();
    let anchor = anchor_of(path, believed).map(|anchor| anchor.certificate.as_der());
    let issuers: Vec<ParsedCertificate<'_>> =
        intermediates.iter().chain(&anchor).map(super::read_known).collect();
    for issuer in &issuers {
        if expected.trust.distrusts(issuer) {
            let subject = issuer.subject_text();
            return Err(Error::new(
                Kind::IssuerDistrusted,
                format!("the path leads over {subject}, whose key is distrusted"),
            )
            .noting("issuer", subject)
            .noting("distrusted", pin_text(&issuer.spki_digest())));
        }
        if let Some(weakness) = issuer.key.weakness() {
            return Err(failure::key_weak(issuer, &weakness));
        }
        if let Some(why) = issuer.profile_fault.or_else(|| issuer.constraints_fault()) {
            let subject = issuer.subject_text();
            return Err(Error::new(Kind::ConstraintViolated, format!("{subject} {why}"))
                .noting("subject", subject));
        }
        if issuer.key_usage(KEY_CERT_SIGN) == Some(false) {
            return Err(Error::new(
                Kind::ConstraintViolated,
                format!("{} may not sign certificates (keyUsage)", issuer.subject_text()),
            )
            .noting("subject", issuer.subject_text()));
        }
    }
    if !revocation::is_asked(expected) {
        return Ok(Revocation::default());
    }
    revocation::check(&super::read_known(leaf_der), &issuers, expected)
}
