//! The checks of the consumer's side of the handshake, and of its verdict on our certificate.

use serde_json::Value;

use super::checks::{Check, Group};
use super::ours::lifetime_left;
use super::report::Results;
use super::verdict::check_of;
use crate::clock::{self, utc_text};
use crate::connection::Heard;
use crate::dispatcher::examination::Examination;
use crate::endpoint::Generation;
use crate::error::{Error, Kind, key};
use crate::material::pin::{PinSlot, Pins};
use crate::tls::{self, MAY_BE_REFUSED, Seen, Witness};
use crate::verify::PeerIdentity;
use crate::x509::{Certificate, Purpose};

/// A certificate of the consumer with less than this part of its lifetime left is worth a word.
const SOON: f64 = 0.1;

/// Records what the handshake has shown, complete or not.
///
/// * `peer`: the verified peer, if the handshake was completed.
pub(super) fn record(
    examination: &Examination,
    witness: &Witness,
    peer: Option<&PeerIdentity>,
    results: &mut Results,
) {
    let (generation, seen) = (examination.generation(), witness.seen());
    negotiated(examination, results);
    for fault in &seen.faults {
        results.fail(check_of(fault), fault.clone());
    }
    request(generation, &seen, results);
    if seen.chain_length > 0 {
        chain(generation, &seen, peer, results);
        certificate(examination, &seen, results);
        pins(generation, &seen, peer, results);
        revocation(generation, &seen, peer, results);
    }
}

/// Records version, group and suite.
fn negotiated(examination: &Examination, results: &mut Results) {
    let facts = examination.progress().connection_facts();
    let Some(shown) = facts.and_then(|facts| facts.for_error()) else { return };
    let tls = shown.tls_json();
    let parts = ["version", "key_exchange", "cipher_suite"];
    let names: Vec<&str> = parts.iter().filter_map(|part| tls[*part].as_str()).collect();
    results.pass(Check::HandshakeTls, names.join(", "));
}

/// Records the request for our certificate.
fn request(generation: &Generation, seen: &Seen, results: &mut Results) {
    if seen.requested != Some(true) {
        return;
    }
    results.pass(Check::HandshakeRequested, "requested");
    let names = seen.authorities.texts().join(", ");
    match seen.authorities.lists_our_issuer() {
        None => results.pass(Check::HandshakeAuthorities, "none named, which allows every CA"),
        Some(true) => {
            results.pass(Check::HandshakeAuthorities, format!("{names}: ours is among them"));
        }
        Some(false) => {
            let remedy = tls::unjudged(generation.identity(), "", &seen.authorities);
            results.warn(
                Check::HandshakeAuthorities,
                format!("{names}: ours is NOT among them"),
                remedy.unwrap_or_default(),
            );
        }
    }
    if seen.key_fits {
        let signed = seen.scheme.as_ref().map(|scheme| format!("; it signs with {scheme}"));
        let some: Vec<&str> = seen.accepted_schemes.iter().take(4).map(String::as_str).collect();
        let summary = format!("accepts {}{}", some.join(", "), signed.unwrap_or_default());
        results.pass(Check::HandshakeSchemes, summary);
    }
}

/// Records the chain as sent against the chain as needed.
fn chain(generation: &Generation, seen: &Seen, peer: Option<&PeerIdentity>, results: &mut Results) {
    let sent = match seen.chain_length {
        1 => "1 certificate sent".to_owned(),
        count => format!("{count} certificates sent"),
    };
    let summary = match peer {
        Some(peer) => format!("{sent}; {}", peer.path().join(" < ")),
        None if generation.trust().exact_certificate().is_some() => {
            format!("{sent}: the trusted one")
        }
        None => format!("{sent}; they lead to a CA of ours"),
    };
    results.pass(Check::HandshakeChain, summary);
}

/// Records purpose, name and dates of the consumer's certificate.
fn certificate(examination: &Examination, seen: &Seen, results: &mut Results) {
    let Some(certificate) = seen.chain.first() else { return };
    let leaf = certificate.parsed();
    results.pass(
        Check::HandshakePurpose,
        match leaf.server_purpose() {
            Purpose::Absent => "no extendedKeyUsage, which allows every purpose",
            _ => "serverAuth",
        },
    );
    let expected = examination.generation().terms.expected.to_string();
    results.pass(Check::HandshakeName, format!("{expected} is in the certificate"));
    let ends = format!("until {}", utc_text(leaf.not_after));
    match clock::now() {
        Ok(now) if lifetime_left(certificate, now) < SOON => results.warn(
            Check::HandshakeDates,
            format!("{ends}: less than a tenth of the lifetime is left"),
            "Ask the consumer whether it renews its certificate by itself.",
        ),
        _ => results.pass(Check::HandshakeDates, ends),
    }
}

/// Records which pin matched, and whether the next one is staged.
fn pins(generation: &Generation, seen: &Seen, peer: Option<&PeerIdentity>, results: &mut Results) {
    let Some(pins) = &generation.terms.pins else {
        let pin = seen.chain.first().map(Certificate::spki_pin).unwrap_or_default();
        return results.skip(
            Check::HandshakePins,
            format!("no pins: every key of the CA is accepted; seen {pin}"),
        );
    };
    let staged = staged(pins);
    match peer.and_then(PeerIdentity::pin_slot) {
        Some(PinSlot::Next) => results.warn(
            Check::HandshakePins,
            "the consumer has rotated: its key is a staged pin",
            "Make the staged pin the current one, and stage the next.",
        ),
        _ => results.pass(Check::HandshakePins, format!("the key is pinned; {staged}")),
    }
}

fn staged(pins: &Pins) -> &'static str {
    if pins.iter().any(|(_, slot)| slot == PinSlot::Next) {
        "the next key is staged"
    } else {
        "no next key is staged"
    }
}

/// Records whether revocation was checked.
fn revocation(
    generation: &Generation,
    seen: &Seen,
    peer: Option<&PeerIdentity>,
    results: &mut Results,
) {
    let staple = if seen.is_stapled { "; a staple of OCSP came and is not evaluated" } else { "" };
    if generation.trust().crls().is_empty() {
        let summary = format!("no CRL: not checked{staple}");
        return results.skip(Check::HandshakeRevocation, summary);
    }
    let unchecked = peer.map(PeerIdentity::revocation_unchecked).unwrap_or_default();
    if unchecked.is_empty() {
        return results.pass(Check::HandshakeRevocation, format!("not revoked{staple}"));
    }
    results.warn(
        Check::HandshakeRevocation,
        format!("no CRL covers {}: it is not checked{staple}", unchecked.join(", ")),
        "Supply a current CRL of each CA of the path.",
    );
}

/// Records a handshake that failed.
pub(super) fn failed(error: &Error, witness: &Witness, results: &mut Results) {
    let not_presented = "not reached: our certificate was not presented";
    let may_be_refused = error.fact(key::HINT).is_some_and(|hint| hint == MAY_BE_REFUSED);
    let is_judged = error.kind() == Kind::ClientCertificateRejected || may_be_refused;
    let check = if is_judged { Check::VerdictCertificate } else { check_of(error) };
    if check.group() == Group::Identity {
        // Known already: our identity is at fault, and was withheld.
        results.miss(Check::VerdictCertificate, not_presented);
        return results.miss(Check::VerdictHttp, not_presented);
    }
    if witness.seen().faults.is_empty() && !results.has_failed_in(Group::Way) {
        results.fail(check, error.clone());
    }
    if !is_judged {
        results.miss(Check::VerdictCertificate, not_presented);
    }
    results.miss(Check::VerdictHttp, not_presented);
}

/// Records what came after the handshake, if it was no refusal.
pub(super) fn heard(examination: &Examination, heard: Heard, results: &mut Results) {
    let facts = examination.progress().connection_facts();
    let tls = facts.and_then(|facts| facts.for_error()).map_or(Value::Null, |it| it.tls_json());
    let summary = match (heard, tls["version"].as_str()) {
        (_, Some("TLSv1.2")) => "not refused in the handshake",
        (Heard::Something, _) => "not refused: a session ticket came",
        _ => "not refused: silence after the handshake",
    };
    let summary = format!(
        "{summary}. Servers like nginx judge it only when a request arrives: ask with a request to be sure"
    );
    results.pass(Check::VerdictCertificate, summary);
}
