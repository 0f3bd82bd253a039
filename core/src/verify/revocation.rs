//! Checks revocation along a path with the CRLs of the trust (RFC 5280 section 6.3).
//!
//! A trust may hold several CRLs of one issuer: earlier and later ones, CRLs for a part of the
//! certificates or of the reasons, CRLs under the former or next key. A certificate is revoked if any
//! usable CRL of its issuer lists it. A certificate that none lists is good if current CRLs cover it for
//! all reasons together.

use std::cell::Cell;

use super::{Expectation, millis};
use crate::clock::utc_text;
use crate::error::{Error, Kind, key, presented};
use crate::event::{Event, EventName};
use crate::verify::policy::CrlPolicy;
use crate::x509::{
    Certificate, Crl, ParsedCertificate, Presented, Reasons, algorithms, comparable_name,
    name_text, points_to_another_issuer, serial_hex,
};

/// keyUsage cRLSign.
const CRL_SIGN: u8 = 6;

/// The most signatures of CRLs that the verdict on one path may depend on. It does not matter which of
/// them are known already, so that the verdict is always the same. A path of ten certificates with CRLs
/// for eight reasons each needs eighty.
const MAX_SIGNATURES: usize = 256;

/// The most certificates of separate keys for CRLs that count for one CRL. A CA has one.
const MAX_CRL_KEYS: usize = 4;

/// The reason why a CRL of the trust was not used for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnusedReason {
    /// No CA of that name in the path or in the trust signed it.
    AnotherKey,
    /// Its thisUpdate is in the future.
    NotYetValid,
    /// It covers other certificates of the issuer, and no other CRL covers this one.
    OtherScope,
    /// No CA of the path or of the trust has the name of its issuer.
    UnknownIssuer,
}

impl UnusedReason {
    /// Its name in events and errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AnotherKey => "another_key",
            Self::NotYetValid => "not_yet_valid",
            Self::OtherScope => "other_scope",
            Self::UnknownIssuer => "unknown_issuer",
        }
    }
}

/// The result of the CRL checks of a path that passed.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    /// The last instant (Unix seconds) at which the same CRLs lead to the same verdict.
    pub(crate) valid_until: i64,
    /// The certificates of the path that no CRL covers, although the trust has CRLs that may have been
    /// meant for them. 0 is the leaf.
    pub(super) unchecked: Vec<usize>,
    /// The CRLs that may have been meant for the path and were not used.
    pub(crate) unused: Vec<UnusedCrl>,
}

impl Default for Revocation {
    fn default() -> Self {
        Self { valid_until: i64::MAX, unchecked: Vec::new(), unused: Vec::new() }
    }
}

/// A CRL of the trust that was not used for a path.
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
/// * `others`: certificates outside the path. One may be that of a separate key that signs CRLs.
///
/// Fails with `certificate_revoked` or `crl_unusable`.
pub(super) fn check(
    leaf: &ParsedCertificate<'_>,
    issuers: &[&ParsedCertificate<'_>],
    others: &[Presented<'_>],
    expected: &Expectation<'_>,
) -> Result<Revocation, Error> {
    let mut revocation = Revocation::default();
    let signatures_left = Cell::new(MAX_SIGNATURES);
    let subjects = || std::iter::once(leaf).chain(issuers.iter().copied());
    // The CRLs with the name of each issuer.
    let crls = expected.trust.crls();
    let groups: Vec<Option<usize>> =
        subjects().zip(issuers).map(|(subject, _)| crls.group_of(subject.issuer)).collect();
    for (position, (subject, issuer)) in subjects().zip(issuers).enumerate() {
        let must_be_covered = match expected.crl_policy {
            CrlPolicy::IfPresent => false,
            CrlPolicy::RequireLeaf => position == 0,
            CrlPolicy::Require => true,
        };
        let check = CertificateCheck {
            subject,
            position,
            issuer,
            above: &issuers[position..],
            groups_above: &groups[position..],
            others,
            expected,
            must_be_covered,
            signatures_left: &signatures_left,
        };
        check.check(&mut revocation)?;
    }
    if groups.contains(&None) {
        revocation.note_strays(&groups, expected);
    }
    Ok(revocation)
}

impl Revocation {
    /// Notes certificates without any CRL of their issuer, if the caller gave CRLs that have no other
    /// use: of unknown CAs, or in the wrong file. They may have been meant for these certificates.
    ///
    /// * `groups`: the CRLs with the name of each certificate's issuer.
    fn note_strays(&mut self, groups: &[Option<usize>], expected: &Expectation<'_>) {
        let crls = expected.trust.crls();
        let is_used = |group: &usize| groups.contains(&Some(*group));
        let mut strays = crls.stray_groups().filter(|group| !is_used(group)).peekable();
        if strays.peek().is_none() && !crls.has_misplaced {
            return;
        }
        for (position, crl) in strays.flat_map(|group| crls.members(group)) {
            let issuer = presented(&name_text(&crl.issuer));
            self.unused.push(UnusedCrl { position, why: UnusedReason::UnknownIssuer, issuer });
        }
        self.unchecked.extend((0..groups.len()).filter(|position| groups[*position].is_none()));
        self.unchecked.sort_unstable();
    }
}

/// The revocation check of one certificate with the CRLs of its issuer.
struct CertificateCheck<'a> {
    subject: &'a ParsedCertificate<'a>,
    /// 0 is the leaf.
    position: usize,
    issuer: &'a ParsedCertificate<'a>,
    /// The issuers of the path from this one on, and the CRLs with the name of each.
    above: &'a [&'a ParsedCertificate<'a>],
    groups_above: &'a [Option<usize>],
    /// Certificates outside the path.
    others: &'a [Presented<'a>],
    expected: &'a Expectation<'a>,
    /// Whether the policy requires a CRL that covers the certificate.
    must_be_covered: bool,
    signatures_left: &'a Cell<usize>,
}

/// The CRLs that name an issuer, by their use for one certificate.
#[derive(Default)]
struct IssuerCrls<'a> {
    /// In force and signed by the issuer, none superseded by another.
    usable: Vec<(Reasons, &'a Crl)>,
    /// Signed by the issuer, with a thisUpdate in the future.
    future: Vec<(usize, &'a Crl)>,
    /// Not signed by the issuer.
    foreign: Vec<(usize, &'a Crl)>,
    /// Neither covers nor lists the certificate. Their signatures are not checked.
    elsewhere: Vec<(usize, &'a Crl)>,
    /// A CA signed a CRL that its keyUsage does not let it sign.
    is_forbidden: bool,
}

impl<'a> CertificateCheck<'a> {
    fn check(&self, revocation: &mut Revocation) -> Result<(), Error> {
        let at = self.expected.at;
        let crls = self.sorted()?;
        if crls.usable.is_empty() && crls.future.is_empty() {
            return self.uncovered(&crls, revocation);
        }
        if crls.is_forbidden {
            return Err(self.unusable("keyUsage without cRLSign forbids the CRL"));
        }
        let revoked = |(_, crl): &(_, &Crl)| crl.revocation(self.subject.serial).is_some();
        // A CRL with a thisUpdate in the future is not in force, but its entries may be in the past.
        let revoked_before = |(_, crl): &(usize, &Crl)| {
            crl.revocation(self.subject.serial).is_some_and(|date| date <= at)
        };
        if crls.usable.iter().any(revoked) || crls.future.iter().any(revoked_before) {
            return Err(self.revoked());
        }
        let covering = || crls.usable.iter().filter(|(reasons, _)| !reasons.is_none());
        let current = || covering().filter(|(_, crl)| at <= crl.next_update);
        // The verdict may change when the next CRL comes into force.
        let until = current().map(|(_, crl)| crl.next_update);
        let until = until.chain(crls.future.iter().map(|(_, crl)| crl.this_update - 1));
        let until = until.fold(revocation.valid_until, i64::min);
        let covered = union(current());
        // An outdated CRL must not make a certificate pass that a current one of its scope may revoke.
        let outdated = covering().filter(|(reasons, _)| !reasons.without(covered).is_none());
        if let Some(last) = outdated.map(|(_, crl)| crl.next_update).max() {
            return Err(self
                .unusable(&format!("nextUpdate was on {} in the CRL", utc_text(last)))
                .noting(key::NEXT_UPDATE, millis(last)));
        }
        revocation.valid_until = until;
        if covered.is_all() {
            self.record_unused(&crls, revocation);
            return Ok(());
        }
        self.uncovered(&crls, revocation)
    }

    /// Sorts the CRLs with the issuer's name by their use. Fails with `crl_unusable` if too many
    /// signatures would have to be checked.
    fn sorted(&self) -> Result<IssuerCrls<'a>, Error> {
        let mut crls = IssuerCrls::default();
        let Some(group) = self.groups_above[0] else { return Ok(crls) };
        let at = self.expected.at;
        for (position, crl) in self.expected.trust.crls().members(group) {
            if crl.is_of_attributes() {
                continue;
            }
            let reasons = crl.reasons_covered(self.subject);
            if reasons.is_none() && crl.revocation(self.subject.serial).is_none() {
                crls.elsewhere.push((position, crl));
                continue;
            }
            if self.is_superseded(crl, &crls)? {
                continue;
            }
            let Some(signer) = self.signer(crl)? else {
                crls.foreign.push((position, crl));
                continue;
            };
            crls.is_forbidden |= signer.key_usage(CRL_SIGN) == Some(false);
            if crl.this_update > at {
                crls.future.push((position, crl));
            } else {
                crls.usable.push((reasons, crl));
            }
        }
        Ok(crls)
    }

    /// Returns whether a later CRL of the same scope is in force.
    fn is_superseded(&self, crl: &Crl, crls: &IssuerCrls<'a>) -> Result<bool, Error> {
        if crls.usable.iter().any(|(_, later)| later.supersedes(crl)) {
            return Ok(true);
        }
        for (_, later) in &crls.elsewhere {
            if later.this_update <= self.expected.at
                && later.supersedes(crl)
                && self.signer(later)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the CA that signed the CRL: the issuer, or another CA of its name that the path vouches
    /// for (RFC 5280 section 6.3.3 (f)).
    fn signer(&self, crl: &Crl) -> Result<Option<&'a ParsedCertificate<'a>>, Error> {
        // A CA that renews its key issues certificates for the former or the next one to itself.
        for (ca, group) in self.above.iter().copied().zip(self.groups_above) {
            if *group == self.groups_above[0] && self.is_signed(crl, ca)? {
                return Ok(Some(ca));
            }
        }
        let others =
            self.others.iter().map(Presented::parsed).filter(|other| self.may_sign_crls(other));
        for ca in others.take(MAX_CRL_KEYS) {
            // A peer may present any certificate. One that the path does not vouch for must not make
            // the verifier hash large CRLs.
            if self.is_vouched_for(ca)? && self.is_signed(crl, ca)? {
                return Ok(Some(ca));
            }
        }
        Ok(None)
    }

    /// Returns whether a certificate outside the path is that of a key for CRLs of the issuer, if the
    /// path vouches for it.
    fn may_sign_crls(&self, other: &ParsedCertificate<'_>) -> bool {
        let expected = self.expected;
        let is_in_time = || (other.not_before..=other.not_after).contains(&expected.at);
        other.key_usage(CRL_SIGN) == Some(true)
            && expected.trust.crls().group_of(other.subject) == self.groups_above[0]
            && is_in_time()
            && other.key.weakness().is_none()
            && other.unknown_critical.is_none()
            && other.profile_fault.is_none()
            && !expected.trust.distrusts(other)
            && !self.above.iter().any(|ca| ca.spki == other.spki)
    }

    /// Returns whether a CA of the path issued the certificate of a key for CRLs, and has not revoked it.
    fn is_vouched_for(&self, other: &'a ParsedCertificate<'a>) -> Result<bool, Error> {
        let name = comparable_name(other.issuer);
        for (at, ca) in self.above.iter().enumerate() {
            if comparable_name(ca.subject) != name {
                continue;
            }
            self.take_signature()?;
            if other.signed.is_made_by(ca.spki, algorithms::SIGNATURES.all) {
                let groups = &self.groups_above[at..];
                let check = CertificateCheck {
                    subject: other,
                    issuer: ca,
                    above: &self.above[at..],
                    groups_above: groups,
                    // A key for CRLs does not vouch for another one.
                    others: &[],
                    ..*self
                };
                return Ok(check.check(&mut Revocation::default()).is_ok());
            }
        }
        Ok(false)
    }

    /// Returns whether the key of this CA signed the CRL.
    fn is_signed(&self, crl: &Crl, ca: &ParsedCertificate<'_>) -> Result<bool, Error> {
        self.take_signature()?;
        Ok(crl.is_signed_by(ca))
    }

    /// Counts one signature. Fails with `crl_unusable` if there are too many.
    fn take_signature(&self) -> Result<(), Error> {
        let Some(left) = self.signatures_left.get().checked_sub(1) else {
            let why = format!("more than {MAX_SIGNATURES} signatures count in the CRLs");
            return Err(self
                .unusable(&why)
                .advising("Remove CRLs that a later one replaces, or that are of no CA in use."));
        };
        self.signatures_left.set(left);
        Ok(())
    }

    /// Decides about a certificate that no current CRL covers.
    fn uncovered(&self, crls: &IssuerCrls<'_>, revocation: &mut Revocation) -> Result<(), Error> {
        if self.must_be_covered {
            return Err(self.missing(crls));
        }
        if self.groups_above[0].is_none() {
            return Ok(());
        }
        revocation.unchecked.push(self.position);
        self.record_unused(crls, revocation);
        if let Some((position, _)) = crls.elsewhere.first() {
            self.record(*position, UnusedReason::OtherScope, revocation);
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
            if crls.usable.is_empty() || !self.is_of_known_key(crl) {
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
        let is_elsewhere = crls.future.is_empty() && crls.foreign.is_empty();
        let is_elsewhere = is_elsewhere && !crls.elsewhere.is_empty();
        let (why, used, remedy) = if !crls.usable.is_empty() || is_elsewhere {
            let (why, remedy) = self.other_scope(crls, &issuer, &subject);
            (why, Some(UnusedReason::OtherScope), remedy)
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

    /// Says why the CRLs of the issuer do not cover the certificate, and what to do.
    fn other_scope(
        &self,
        crls: &IssuerCrls<'_>,
        issuer: &str,
        subject: &str,
    ) -> (String, &'static str) {
        let covered = union(crls.usable.iter());
        if !covered.is_none() {
            let missing = Reasons::ALL.without(covered).names();
            return (
                format!(
                    "the CRLs of {issuer} cover {subject} only for some reasons of revocation; \
                     missing: {missing}"
                ),
                "Supply the issuer's CRLs for the other reasons (onlySomeReasons), or one for all.",
            );
        }
        if points_to_another_issuer(self.subject) {
            return (
                format!(
                    "{subject} points to the CRL of another issuer (cRLIssuer), which would be \
                     indirect: that is not supported, and no CRL of {issuer} covers it"
                ),
                "Supply a CRL that the certificate's own issuer signs.",
            );
        }
        (
            format!(
                "no CRL of {issuer} covers {subject}: those of the trust are for other distribution \
                 points or holders"
            ),
            "Supply the CRL of the certificate's distribution point.",
        )
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

    /// Returns whether a CA of the trust with the name of the CRL's issuer signed it.
    fn is_of_known_key(&self, crl: &Crl) -> bool {
        let trust = self.expected.trust;
        let anchors = trust.anchors().iter().map(|anchor| &anchor.certificate);
        let mut cas = anchors.chain(trust.intermediates()).map(Certificate::parsed);
        // The trust compared them when it was loaded, so their results are known.
        cas.any(|ca| crl.known_signer(&ca) == Some(true) && is_of(crl, &ca))
    }
}

/// Returns whether the CRL has the name of the CA (RFC 5280 section 7.1).
fn is_of(crl: &Crl, ca: &ParsedCertificate<'_>) -> bool {
    crl.issuer == ca.subject || crl.comparable_issuer == comparable_name(ca.subject)
}

/// The reasons that some of these CRLs cover.
fn union<'a>(crls: impl Iterator<Item = &'a (Reasons, &'a Crl)>) -> Reasons {
    crls.fold(Reasons::NONE, |union, (reasons, _)| union.or(*reasons))
}
