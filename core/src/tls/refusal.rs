//! A refusal of our certificate: by an alert, by a page of an HTTP server, or by a close. Its remedy
//! compares the CAs that the consumer named with what we sent.

use super::alert::Alert;
use super::authorities::{CertificateAuthorities, Listed};
use crate::error::cause::{self, Cause};
use crate::error::{Error, Kind, key};
use crate::material::identity::Identity;
use crate::material::presented_identity::PresentedIdentity;
use crate::x509::Certificate;

/// The hint of a connection that ended as after a refusal.
pub(crate) const MAY_BE_REFUSED: &str = "client_certificate_may_be_refused";

/// The alerts that say that the consumer found no CA it knows.
const UNKNOWN_CA: &str = "unknown_ca";

/// The error for an alert that refuses our certificate.
pub(crate) fn refused_by_alert(
    alert: Alert,
    identity: &Identity,
    authorities: &CertificateAuthorities,
) -> Error {
    let (name, subject) = (alert.name(), identity.leaf().subject_text());
    let error = Error::new(
        Kind::ClientCertificateRejected,
        format!("the consumer refused our certificate ({subject}) with the alert {name}"),
    )
    .noting(key::VIA, "alert")
    .noting(key::ALERT, name.clone());
    let error = about(error, identity, authorities);
    let error = match cause_of(alert) {
        Some(cause) => error.caused(cause, &PresentedIdentity::of(identity).values()),
        None => error,
    };
    // The other alerts about a certificate name a cause that is not the CA.
    match name.as_str() {
        UNKNOWN_CA => error.advising(remedy(Refusal::UnknownCa, identity, authorities)),
        "bad_certificate" | "certificate_unknown" => {
            error.advising(remedy(Refusal::Unstated, identity, authorities))
        }
        _ => error,
    }
}

/// Returns the cause that an alert about our certificate states.
fn cause_of(alert: Alert) -> Option<&'static Cause> {
    Some(match alert.number() {
        42 => &cause::ALERT_BAD_CERTIFICATE,
        43 => &cause::ALERT_UNSUPPORTED_CERTIFICATE,
        44 => &cause::ALERT_CERTIFICATE_REVOKED,
        45 => &cause::ALERT_CERTIFICATE_EXPIRED,
        46 => &cause::ALERT_CERTIFICATE_UNKNOWN,
        48 => &cause::ALERT_UNKNOWN_CA,
        49 => &cause::ALERT_ACCESS_DENIED,
        116 => &cause::ALERT_CERTIFICATE_REQUIRED,
        _ => return None,
    })
}

/// Completes the error for a page of an HTTP server that refuses our certificate.
pub(crate) fn refused_by_page(
    page: Error,
    identity: &Identity,
    authorities: &CertificateAuthorities,
) -> Error {
    let page = about(page, identity, authorities);
    // The consumer judged no certificate.
    if page.fact(key::CAUSE).is_some_and(|name| name == cause::PAGE_NOT_SENT.name) {
        return page;
    }
    page.advising(remedy(Refusal::Page, identity, authorities))
}

/// Completes the error for a connection that ended where a consumer refuses our certificate.
pub(crate) fn may_be_refused(
    lost: Error,
    identity: &Identity,
    authorities: &CertificateAuthorities,
) -> Error {
    let remedy = remedy(Refusal::Unstated, identity, authorities);
    let lost = about(lost, identity, authorities).noting(key::HINT, MAY_BE_REFUSED);
    if authorities.lists_our_issuer() == Some(false) {
        return lost.advising(remedy);
    }
    lost.advising(format!(
        "Try again later. If it recurs, the consumer probably refuses our certificate and closes \
         instead of sending an alert, as Node does. {remedy}"
    ))
}

/// The error for a close that refuses our certificate.
///
/// * `lost`: the end of the connection, from [`may_be_refused`].
/// * `former`: the identity that the consumer accepted last, if it is another one.
pub(crate) fn refused_by_close(
    lost: &Error,
    identity: &Identity,
    former: Option<&Identity>,
) -> Error {
    let subject = identity.leaf().subject_text();
    let error = Error::new(
        Kind::ClientCertificateRejected,
        format!("the consumer refused our certificate ({subject}): it closed without an alert"),
    )
    .at(lost.stage())
    .having_sent(lost.sent())
    .noting_all(lost)
    .noting(key::VIA, "close")
    .caused(&cause::CLOSED_AFTER_HANDSHAKE, &PresentedIdentity::of(identity).values());
    match former.filter(|_| lost.fact(key::ISSUER_LISTED) != Some(&false)) {
        Some(former) => error.advising(no_more_accepted(former, identity)),
        None => error.advising(lost.remedy()),
    }
}

fn no_more_accepted(former: &Identity, identity: &Identity) -> String {
    let (before, now) = (leads_to(former.chain()), leads_to(identity.chain()));
    let subject = identity.leaf().subject_text();
    if before == now {
        return format!(
            "The consumer accepted our former certificate, and closes for {subject}, which leads to the \
             same CA {now}. Ask it why it refuses {subject}."
        );
    }
    format!(
        "The consumer accepted our certificate that leads to {before}, and closes for the one that \
         leads to {now}: it most likely lacks {now}. Give it that CA."
    )
}

/// What a completed handshake does not show about our certificate, or `None`.
pub(crate) fn unjudged(
    identity: &Identity,
    version: &str,
    authorities: &CertificateAuthorities,
) -> Option<String> {
    let chain = identity.chain();
    let mut note = String::new();
    if version == "TLSv1.3" {
        note.push_str(
            "The handshake is complete. The consumer's verdict on our certificate is not known: in \
             TLS 1.3 it comes with the first answer.",
        );
    }
    if authorities.lists_our_issuer() == Some(false) {
        let listed = not_listed(chain, &leads_to(chain), &authorities.in_words());
        note.push_str(if note.is_empty() { "" } else { " " });
        note.push_str(&listed);
    }
    (!note.is_empty()).then_some(note)
}

/// Adds the facts that all refusals share. The names of the CAs are not among them: contexts are logged.
fn about(error: Error, identity: &Identity, authorities: &CertificateAuthorities) -> Error {
    let error = error.noting(key::IDENTITY, identity.leaf().subject_text());
    match authorities.lists_our_issuer() {
        Some(listed) => error.noting(key::ISSUER_LISTED, listed),
        None => error,
    }
}

/// What a refusal says about its cause.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The alert `unknown_ca`.
    UnknownCa,
    /// The page of an HTTP server, such as nginx.
    Page,
    /// Nothing, or only that the certificate is not accepted.
    Unstated,
}

fn remedy(refusal: Refusal, identity: &Identity, authorities: &CertificateAuthorities) -> String {
    let chain = identity.chain();
    let top = leads_to(chain);
    match authorities.listed() {
        None => not_named(chain, &top),
        Some(Listed::No) => not_listed(chain, &top, &authorities.in_words()),
        Some(Listed::Issuer(at)) => listed(refusal, chain, &chain[at].parsed().issuer_text()),
    }
}

/// The issuer of the last certificate.
fn leads_to(chain: &[Certificate]) -> String {
    chain.last().map(|last| last.parsed().issuer_text()).unwrap_or_default()
}

fn not_named(chain: &[Certificate], top: &str) -> String {
    let asked = "The consumer does not say which CAs it accepts. Ask it whether it accepts";
    match chain {
        [_] => format!(
            "{asked} {top}, which issued our certificate. If it accepts only a CA above, our \
             certificate file lacks the intermediate: put it below the leaf."
        ),
        _ => format!("{asked} {top}, to which our certificate leads."),
    }
}

fn not_listed(chain: &[Certificate], top: &str, accepted: &str) -> String {
    let subject = chain[0].subject_text();
    match chain {
        [_] => format!(
            "The consumer accepts CAs: {accepted}. We sent 1 certificate ({subject}), issued by {top}, \
             which is not among them. If {top} is an intermediate CA below one of them, our certificate file \
             lacks the intermediate: put it below the leaf. If not, the consumer must accept {top}."
        ),
        _ => format!(
            "The consumer accepts CAs: {accepted}. Ours ({subject}) leads to {top}, which is not among \
             them. Ask the consumer to accept {top}, or present a certificate of a CA that it accepts."
        ),
    }
}

fn listed(refusal: Refusal, chain: &[Certificate], known: &str) -> String {
    let intermediates = intermediates(chain);
    if intermediates > 1 && refusal != Refusal::Unstated {
        return format!(
            "We sent {} certificates ({intermediates} intermediates), and the consumer knows our CA \
             {known}. Its limit for the depth of a chain is probably too small: nginx allows 1 \
             intermediate by default (ssl_verify_depth). Ask the consumer for {intermediates}.",
            chain.len()
        );
    }
    match refusal {
        Refusal::Page => format!(
            "The consumer names our CA {known}, so its list of CAs is right. It probably takes our \
             certificate {} for expired (compare the clocks) or revoked, or its ssl_verify_depth is too \
             small. Ask for the line \"client SSL certificate verify error\" of its error log.",
            chain[0].subject_text()
        ),
        Refusal::UnknownCa => format!(
            "The consumer names our CA {known}, and could not build a path to it. It may have another \
             certificate of that name, or a limit for the depth of a chain. Compare the certificate of \
             {known} on both sides."
        ),
        Refusal::Unstated => format!(
            "The consumer names our CA {known}, so its list of CAs is right. Ask it why it refuses {}: \
             expired by its clock, revoked, or not allowed.",
            chain[0].subject_text()
        ),
    }
}

/// The intermediate CAs in our chain: without the leaf, and without a root.
fn intermediates(chain: &[Certificate]) -> usize {
    let is_intermediate =
        |certificate: &&Certificate| certificate.parsed().issuer != certificate.parsed().subject;
    chain.iter().skip(1).filter(is_intermediate).count()
}
