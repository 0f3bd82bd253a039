//! The checks of one issuer of a path, apart from its signature: dates, key, rights and purposes. An anchor
//! is checked as an intermediate is.

use super::link::{Link, Place};
use super::{Expectation, failure};
use crate::error::{Blame, Error, Kind, key};
use crate::verify::policy::Role;
use crate::x509::{KEY_CERT_SIGN, Purpose, pin_text};

/// A reason to refuse an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Distrusted,
    OutsideDates,
    Nameless,
    NoCa,
    WeakKey,
    Critical,
    Profile(&'static str),
    MayNotSign,
    Purpose,
}

/// Finds the first fault of an issuer. Costs no allocation, because every search asks.
pub(super) fn find_fault(issuer: &Link<'_>, expected: &Expectation<'_>) -> Option<Fault> {
    let purpose = || match expected.role {
        Role::Client => issuer.client_purpose(),
        Role::Server => issuer.server_purpose(),
    };
    if expected.trust.distrusts(issuer) {
        return Some(Fault::Distrusted);
    }
    if !(issuer.not_before..=issuer.not_after).contains(&expected.at) {
        return Some(Fault::OutsideDates);
    }
    if issuer.version != 3 || !issuer.is_ca {
        return Some(Fault::NoCa);
    }
    if issuer.subject.is_empty() {
        return Some(Fault::Nameless);
    }
    if issuer.key.weakness().is_some() {
        return Some(Fault::WeakKey);
    }
    if issuer.unknown_critical.is_some() {
        return Some(Fault::Critical);
    }
    if let Some(why) = issuer.profile_fault.or_else(|| issuer.constraints_fault()) {
        return Some(Fault::Profile(why));
    }
    if issuer.key_usage(KEY_CERT_SIGN) == Some(false) {
        return Some(Fault::MayNotSign);
    }
    // The purposes of a CA limit those of the certificates below it; anyExtendedKeyUsage sets no limit.
    (purpose() == Purpose::Refused).then_some(Fault::Purpose)
}

/// Checks an issuer. Fails with the error of its first fault.
pub(super) fn check_issuer(issuer: &Link<'_>, expected: &Expectation<'_>) -> Result<(), Error> {
    let Some(fault) = find_fault(issuer, expected) else { return Ok(()) };
    Err(match fault {
        Fault::Distrusted => {
            let subject = issuer.subject_text();
            Error::new(
                Kind::IssuerDistrusted,
                format!("the path contains {subject}, whose key is distrusted"),
            )
            .noting(key::ISSUER, subject)
            .noting(key::DISTRUSTED, pin_text(&issuer.spki_digest()))
        }
        Fault::OutsideDates => outside_dates(issuer, expected),
        Fault::Nameless => issuer.invalid("has no subject, so it cannot be an issuer"),
        Fault::NoCa if issuer.version != 3 => issuer.fault(
            Kind::ConstraintViolated,
            &format!("is of version {}, so it cannot be a CA", issuer.version),
        ),
        Fault::NoCa => issuer.fault(
            Kind::ConstraintViolated,
            "issued a certificate of the path, but it is not a CA (basicConstraints)",
        ),
        Fault::WeakKey => failure::key_weak(issuer, &issuer.key.weakness().unwrap_or_default()),
        Fault::Critical => failure::critical_extension(issuer),
        Fault::Profile(why) => issuer.fault(Kind::ConstraintViolated, why),
        Fault::MayNotSign => {
            issuer.fault(Kind::ConstraintViolated, "may not sign certificates (keyUsage)")
        }
        Fault::Purpose => purpose_error(issuer, expected.role),
    })
}

fn outside_dates(issuer: &Link<'_>, expected: &Expectation<'_>) -> Error {
    let fault = failure::check_dates(issuer, expected.at).err();
    let fault = fault.unwrap_or_else(|| issuer.invalid("has a notAfter before its notBefore"));
    if issuer.place == Place::Anchor {
        return fault
            .blamed(Blame::Ours)
            .advising("Supply the CA's current certificate in the trust bundle.");
    }
    fault
}

fn purpose_error(issuer: &Link<'_>, role: Role) -> Error {
    let wanted = role.purpose_name();
    let listed = issuer.listed_purposes();
    let why = format!("allows only {listed} in its extendedKeyUsage, not {wanted}");
    issuer.fault(Kind::PurposeNotAllowed, &why).noting(key::EXPECTED_PURPOSE, wanted)
}
