//! Checks revocation along a path with the CRLs of the trust (RFC 5280 section 6.3).
//!
//! A trust may hold several CRLs of one issuer: earlier and later ones, CRLs for a part of the
//! certificates, CRLs under the former or next key. A certificate is revoked if any usable CRL of its
//! issuer lists it. A certificate that none lists is good if a current CRL covers it.

use super::{Expectation, millis};
use crate::clock::utc_text;
use crate::error::{Error, Kind, key};
use crate::event::{Event, EventName};
use crate::material::trust::Trust;
use crate::verify::policy::CrlPolicy;
use crate::x509::Crl;
use crate::x509::{Certificate, ParsedCertificate, comparable_name, serial_hex};

/// keyUsage cRLSign.
const CRL_SIGN: u8 = 6;

/// The reason why a CRL that names an issuer of the path was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnusedReason {
    /// No CA of that name in the path or in the trust signed it.
    AnotherKey,
    /// Its thisUpdate is in the future.
    NotYetValid,
    /// It covers other certificates of the issuer, and no other CRL covers this one.
    OtherScope,
}

impl UnusedReason {
    /// Its name in events and errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AnotherKey => "another_key",
            Self::NotYetValid => "not_yet_valid",
            Self::OtherScope => "other_scope",
        }
    }
}

/// The result of the CRL checks of a path that passed.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    /// The last instant (Unix seconds) at which the same CRLs lead to the same verdict.
    pub(crate) valid_until: i64,
    /// Whether the trust has CRLs of an issuer, but none that covers its certificate.
    pub(super) unchecked: bool,
    /// The CRLs that name an issuer and were not used.
    pub(crate) unused: Vec<UnusedCrl>,
}

impl Default for Revocation {
    fn default() -> Self {
        Self { valid_until: i64::MAX, unchecked: false, unused: Vec::new() }
    }
}

/// A CRL that names an issuer of a path and was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnusedCrl {
    /// Its index among the CRLs of the trust.
    pub(crate) position: usize,
    pub(crate) why: UnusedReason,
    /// The issuer as text.
    issuer: String,
}

impl UnusedCrl {
    pub(crate) fn event(&self) -> Event {
        Event::new(EventName::CrlUnused)
            .with("name", &*self.issuer)
            .with("position", self.position + 1)
            .with("why", self.why.name())
    }
}

/// Returns whether a path needs CRL checks at all.
pub(super) fn is_required(expected: &Expectation<'_>) -> bool {
    !expected.trust.crls().is_empty() || expected.crl_policy != CrlPolicy::IfPresent
}

/// Checks the leaf and each intermediate with the CRLs of its issuer.
///
/// * `issuers`: from the leaf's issuer to the anchor.
///
/// Fails with `certificate_revoked` or `crl_unusable`.
pub(super) fn check(
    leaf: &ParsedCertificate<'_>,
    issuers: &[&ParsedCertificate<'_>],
    expected: &Expectation<'_>,
) -> Result<Revocation, Error> {
    let mut revocation = Revocation::default();
    let mut subject = leaf;
    for (position, issuer) in issuers.iter().enumerate() {
        let must_be_covered = match expected.crl_policy {
            CrlPolicy::IfPresent => false,
            CrlPolicy::RequireLeaf => position == 0,
            CrlPolicy::Require => true,
        };
        CertificateCheck { subject, issuer, expected, must_be_covered }.check(&mut revocation)?;
        subject = issuer;
    }
    Ok(revocation)
}

/// The revocation check of one certificate with the CRLs of its issuer.
struct CertificateCheck<'a> {
    subject: &'a ParsedCertificate<'a>,
    issuer: &'a ParsedCertificate<'a>,
    expected: &'a Expectation<'a>,
    /// Whether the policy requires a CRL that covers the certificate.
    must_be_covered: bool,
}

/// The CRLs that name an issuer, by their use.
#[derive(Default)]
struct IssuerCrls<'a> {
    /// In force and signed by the issuer, none superseded by another.
    usable: Vec<&'a Crl>,
    /// Signed by the issuer, with a thisUpdate in the future.
    future: Vec<(usize, &'a Crl)>,
    /// Not signed by the issuer.
    foreign: Vec<(usize, &'a Crl)>,
}

impl<'a> CertificateCheck<'a> {
    fn check(&self, revocation: &mut Revocation) -> Result<(), Error> {
        let at = self.expected.at;
        let named = self.named();
        let crls = self.sorted(&named);
        if crls.has_none_of_the_issuer() {
            return self.uncovered(&named, &crls, revocation);
        }
        if self.issuer.key_usage(CRL_SIGN) == Some(false) {
            return Err(self.unusable("keyUsage without cRLSign forbids the CRL"));
        }
        let revoked = |crl: &&Crl| crl.revocation(self.subject.serial).is_some();
        // A CRL with a thisUpdate in the future is not in force, but its entries may be in the past.
        let revoked_before = |(_, crl): &(usize, &Crl)| {
            crl.revocation(self.subject.serial).is_some_and(|date| date <= at)
        };
        if crls.usable.iter().any(revoked) || crls.future.iter().any(revoked_before) {
            return Err(self.revoked());
        }
        let covering = || crls.usable.iter().filter(|crl| crl.covers(self.subject));
        let current = || covering().filter(|crl| at <= crl.next_update);
        // The verdict may change when the next CRL comes into force.
        let until = current().map(|crl| crl.next_update);
        let until = until.chain(crls.future.iter().map(|(_, crl)| crl.this_update - 1));
        let until = until.fold(revocation.valid_until, i64::min);
        if current().next().is_some() {
            revocation.valid_until = until;
            self.record_unused(&crls, revocation);
            return Ok(());
        }
        if let Some(last) = covering().map(|crl| crl.next_update).max() {
            return Err(self
                .unusable(&format!("nextUpdate was on {} in the CRL", utc_text(last)))
                .noting(key::NEXT_UPDATE, millis(last)));
        }
        revocation.valid_until = until;
        self.uncovered(&named, &crls, revocation)
    }

    /// Returns the CRLs with the issuer's name, and their indexes in the trust.
    fn named(&self) -> Vec<(usize, &'a Crl)> {
        let name = self.subject.issuer;
        let comparable = comparable_name(name);
        let all = self.expected.trust.crls().iter().enumerate();
        all.filter(|(_, crl)| crl.is_of(name, &comparable)).collect()
    }

    /// Sorts the CRLs with the issuer's name by their use.
    fn sorted(&self, named: &[(usize, &'a Crl)]) -> IssuerCrls<'a> {
        let mut crls = IssuerCrls::default();
        let mut latest_first = named.to_vec();
        // The latest CRL supersedes the others, so a trust with many costs one signature check.
        latest_first.sort_by(|(_, one), (_, other)| other.recency().cmp(&one.recency()));
        for (at, crl) in latest_first {
            if crls.usable.iter().any(|later| later.supersedes(crl)) {
                continue;
            }
            if !crl.is_signed_by(self.issuer) {
                crls.foreign.push((at, crl));
            } else if crl.this_update > self.expected.at {
                crls.future.push((at, crl));
            } else {
                crls.usable.push(crl);
            }
        }
        crls
    }

    /// Decides about a certificate that no current CRL covers.
    fn uncovered(
        &self,
        named: &[(usize, &Crl)],
        crls: &IssuerCrls<'_>,
        revocation: &mut Revocation,
    ) -> Result<(), Error> {
        if self.must_be_covered {
            return Err(self.missing(crls));
        }
        let Some((first, _)) = named.first() else { return Ok(()) };
        revocation.unchecked = true;
        self.record_unused(crls, revocation);
        if !crls.usable.is_empty() {
            self.record(*first, UnusedReason::OtherScope, revocation);
        }
        Ok(())
    }

    /// Records the CRLs that cannot be used.
    fn record_unused(&self, crls: &IssuerCrls<'_>, revocation: &mut Revocation) {
        for (at, _) in &crls.future {
            self.record(*at, UnusedReason::NotYetValid, revocation);
        }
        for (at, crl) in &crls.foreign {
            // A CRL under the CA's former or next key is used for other certificates.
            if crls.usable.is_empty() || !is_of_known_key(crl, self.expected.trust) {
                self.record(*at, UnusedReason::AnotherKey, revocation);
            }
        }
    }

    fn record(&self, position: usize, why: UnusedReason, revocation: &mut Revocation) {
        let issuer = self.issuer.subject_text();
        revocation.unused.push(UnusedCrl { position, why, issuer });
    }

    /// The error if no current CRL covers a certificate that the policy requires to be covered.
    fn missing(&self, crls: &IssuerCrls<'_>) -> Error {
        let (issuer, subject) = (self.issuer.subject_text(), self.subject.subject_text());
        let (why, used, remedy) = if !crls.usable.is_empty() {
            (
                format!(
                    "no CRL of {issuer} covers {subject}: those of the trust are for other \
                     distribution points or holders"
                ),
                Some(UnusedReason::OtherScope),
                "Supply the CRL of the certificate's distribution point.",
            )
        } else if let Some((_, crl)) = crls.future.first() {
            (
                format!(
                    "the CRL of {issuer} is not valid before {} (thisUpdate)",
                    utc_text(crl.this_update)
                ),
                Some(UnusedReason::NotYetValid),
                "Compare the clocks of both sides, or supply the CRL that is in force.",
            )
        } else if !crls.foreign.is_empty() {
            (
                format!("the CRL with the name of {issuer} is signed by another key"),
                Some(UnusedReason::AnotherKey),
                "Supply the CRL that the issuer's current key has signed.",
            )
        } else {
            (
                format!("the trust has no CRL of {issuer}"),
                None,
                "Supply a current, complete CRL of the issuer.",
            )
        };
        let error = Error::new(Kind::CrlUnusable, why)
            .noting(key::ISSUER, issuer)
            .noting(key::SUBJECT, subject)
            .advising(remedy);
        used.into_iter().fold(error, |error, why| error.noting(key::UNUSED, why.name()))
    }

    fn revoked(&self) -> Error {
        let (issuer, subject) = (self.issuer.subject_text(), self.subject.subject_text());
        Error::new(Kind::CertificateRevoked, format!("{subject} was revoked by {issuer}"))
            .noting(key::SUBJECT, subject)
            .noting(key::ISSUER, issuer)
            .noting(key::SERIAL, serial_hex(self.subject.serial))
    }

    fn unusable(&self, why: &str) -> Error {
        let issuer = self.issuer.subject_text();
        Error::new(Kind::CrlUnusable, format!("{why} of {issuer}")).noting(key::ISSUER, issuer)
    }
}

impl IssuerCrls<'_> {
    fn has_none_of_the_issuer(&self) -> bool {
        self.usable.is_empty() && self.future.is_empty()
    }
}

/// Returns whether a CA of the trust with the name of the CRL's issuer signed it.
fn is_of_known_key(crl: &Crl, trust: &Trust) -> bool {
    let anchors = trust.anchors().iter().map(|anchor| &anchor.certificate);
    anchors
        .chain(trust.intermediates())
        .map(Certificate::parsed)
        .any(|ca| crl.is_of(ca.subject, &comparable_name(ca.subject)) && crl.is_signed_by(&ca))
}
