//! Which check a failure belongs to, the one verdict on all of them, and who must act on it.

use super::checks::{Addressee, Check, CheckStatus, Group};
use super::report::{CheckResult, Verdict};
use crate::error::{Blame, Error, Kind, Stage, cause, key};

/// Returns the check that a failure belongs to.
pub(super) fn check_of(error: &Error) -> Check {
    match error.kind() {
        Kind::IdentityUnusable | Kind::ClientCertificateUnusable
            if error.stage() < Stage::Resolve =>
        {
            identity_check(error)
        }
        Kind::PemInvalid | Kind::KeyEncrypted => Check::IdentityReadable,
        Kind::KeyMismatch => Check::IdentityKey,
        Kind::ClockImplausible | Kind::IdentityUnusable => Check::IdentityDates,
        Kind::PublicRootInTrust => Check::TrustPublicRoots,
        Kind::TrustInvalid => Check::TrustAnchors,
        Kind::HostNotFound | Kind::ResolveFailed if is_of_name_server(error) => {
            Check::WayNameServers
        }
        Kind::UrlInvalid | Kind::HostNotFound | Kind::ResolveFailed | Kind::EgressDenied => {
            Check::WayAddresses
        }
        Kind::ConnectFailed => Check::WayTcp,
        Kind::ProxyRefused => Check::WayProxy,
        Kind::CertificateExpired | Kind::CertificateNotYetValid => Check::HandshakeDates,
        Kind::NameMismatch => Check::HandshakeName,
        Kind::PurposeNotAllowed => Check::HandshakePurpose,
        Kind::PinMismatch => Check::HandshakePins,
        Kind::CertificateRevoked | Kind::CrlUnusable => Check::HandshakeRevocation,
        Kind::IssuerUnknown
        | Kind::IssuerRekeyed
        | Kind::IssuerDistrusted
        | Kind::CertificateInvalid
        | Kind::KeyWeak
        | Kind::ChainTooLong
        | Kind::ConstraintViolated => Check::HandshakeChain,
        Kind::ClientAuthNotRequested => Check::HandshakeRequested,
        Kind::ClientCertificateUnusable => Check::HandshakeSchemes,
        Kind::ClientCertificateRejected => match error.fact(key::VIA).map(String::as_str) {
            Some("http") => Check::VerdictHttp,
            _ => Check::VerdictCertificate,
        },
        Kind::HttpStatus | Kind::HttpInvalid | Kind::ResponseTooLarge => Check::VerdictHttp,
        _ => by_stage(error.stage()),
    }
}

fn identity_check(error: &Error) -> Check {
    let said = |word: &str| error.message().contains(word);
    match error.fact(key::CAUSE).map(String::as_str) {
        Some(name) if name == cause::IDENTITY_EXPIRED.name => Check::IdentityDates,
        Some(name) if name == cause::IDENTITY_NOT_YET_VALID.name => Check::IdentityDates,
        _ if said("digitalSignature") => Check::IdentitySignature,
        _ if said("clientAuth") || said("CA certificate") => Check::IdentityPurpose,
        _ if said("order") || said("after") || said("before") => Check::IdentityOrder,
        _ => Check::IdentityKey,
    }
}

fn is_of_name_server(error: &Error) -> bool {
    error.fact(key::NAME_SERVER).is_some()
}

/// The check that runs at a stage.
pub(super) fn by_stage(stage: Stage) -> Check {
    match stage {
        Stage::Config | Stage::Admit | Stage::Verify => Check::IdentityReadable,
        Stage::Resolve => Check::WayAddresses,
        Stage::Connect => Check::WayTcp,
        Stage::Handshake => Check::HandshakeTls,
        Stage::Request | Stage::Response => Check::VerdictHttp,
    }
}

/// Returns the verdict: the first fault in the order of a connection, which is the one that a delivery
/// meets first.
pub(super) fn of(checks: &[CheckResult]) -> Verdict {
    let failed = checks.iter().filter(|result| result.status == CheckStatus::Failed);
    let first = failed.min_by_key(|result| order(result));
    let Some((result, error)) = first.and_then(|result| Some((result, result.errors.first()?)))
    else {
        return well(checks);
    };
    Verdict {
        check: Some(result.check),
        message: error.message().to_owned(),
        remedy: error.remedy().to_owned(),
        tell: addressee(error),
        error: Some(error.clone()),
    }
}

/// Orders faults as a delivery meets them.
pub(super) fn order(result: &CheckResult) -> (Group, u8) {
    let in_group = match result.check {
        Check::HandshakeTls => 0,
        Check::HandshakeDates => 1,
        Check::HandshakeChain => 2,
        Check::HandshakePurpose | Check::HandshakeRevocation => 3,
        Check::HandshakeName => 4,
        Check::HandshakePins => 5,
        Check::HandshakeRequested | Check::HandshakeSchemes => 6,
        _ => 7,
    };
    (result.check.group(), in_group)
}

fn well(checks: &[CheckResult]) -> Verdict {
    let warnings = checks.iter().filter(|result| result.status == CheckStatus::Warning);
    let first = warnings.clone().next();
    let message = match warnings.count() {
        0 => "nothing is wrong".to_owned(),
        1 => "nothing stops deliveries; one check warns".to_owned(),
        count => format!("nothing stops deliveries; {count} checks warn"),
    };
    let remedy = first.and_then(|result| result.remedy.clone()).unwrap_or_default();
    let check = first.map(|result| result.check);
    Verdict { check, error: None, message, remedy, tell: Addressee::Nobody }
}

/// Returns who must act on a failure.
pub(super) fn addressee(error: &Error) -> Addressee {
    match (error.blame(), error.kind()) {
        // A wrong address or password of the proxy is ours.
        (Blame::Ours, _) => Addressee::Us,
        (_, Kind::ProxyRefused) => Addressee::Proxy,
        // The egress policy and the URL are the sender's.
        (Blame::Unknown, Kind::EgressDenied) => Addressee::Us,
        // The consumer sees the reason in its log, whoever is at fault.
        (Blame::Unknown, _) => Addressee::Consumer,
        (Blame::Theirs, _) => Addressee::Consumer,
        (Blame::Path, _) => Addressee::Network,
        (Blame::Caller, _) => Addressee::Us,
    }
}
