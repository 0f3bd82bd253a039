//! One connection, for a person and as JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use webhook_mtls::bindings::inspection::{CertificateFacts, Item, utc_text};
use webhook_mtls::error::Error;
use webhook_mtls::verify::PeerIdentity;

use super::http::Request;
use super::server::{End, Report, Tls};
use crate::SCHEMA;
use crate::exit::remedy;
use crate::screen::{Mark, Screen};

/// The most header lines and certificates that a screen shows. JSON has all.
const SHOWN: usize = 12;
/// The part of a body that a screen shows, in characters.
const EXCERPT: usize = 300;

pub(super) fn show(report: &Report, screen: &mut Screen) {
    let from = report.address;
    let verdict = report.presented.verdict.as_ref();
    match (&report.end, verdict) {
        (End::Request(request, status), Some(Ok(peer))) => {
            let line =
                format!("{} {} from {from}, answered {status}", request.method, request.path);
            screen.mark(Mark::Ok, &line);
            show_peer(peer, report.tls.as_ref(), screen);
            show_request(request, screen);
        }
        (End::NoRequest(why), Some(Ok(peer))) => {
            screen.mark(Mark::Warning, &format!("{from} was accepted, but {why}"));
            show_peer(peer, report.tls.as_ref(), screen);
        }
        (_, Some(Err(error))) => {
            screen.mark(Mark::Fault, &format!("{from} was refused: {}", error.message()));
            screen.advice(remedy(error));
            screen.field("kind", error.kind().name());
            show_chain(&report.presented.chain, screen);
        }
        (End::NoHandshake(why), accepted) => {
            screen.mark(Mark::Fault, &format!("{from} made no request: {why}"));
            if accepted.is_some() {
                show_chain(&report.presented.chain, screen);
            }
        }
        // Without a certificate there is no handshake, and without a handshake no request.
        (End::Request(..) | End::NoRequest(_), None) => {
            screen.mark(Mark::Fault, &format!("{from} came without a certificate"));
        }
    }
    screen.blank();
}

fn show_peer(peer: &PeerIdentity, tls: Option<&Tls>, screen: &mut Screen) {
    if let Some(tenant) = peer.tenant() {
        screen.field("tenant", tenant);
    }
    screen.field("client", &peer.path().join(" ← "));
    let uris = peer.san_uri();
    if !uris.is_empty() {
        screen.field("URI", &uris.join(", "));
    }
    screen.field("pin", &peer.spki_pin());
    if let Some(tls) = tls {
        let name = tls.server_name.as_deref().unwrap_or("no name");
        screen.field(
            "TLS",
            &format!("{}, {}, {}; asked for {name}", tls.version, tls.suite, tls.group),
        );
    }
}

fn show_request(request: &Request, screen: &mut Screen) {
    for (name, value) in request.headers.iter().take(SHOWN) {
        let value = if is_secret(name) { "(not shown)" } else { value };
        screen.field("header", &format!("{name}: {value}"));
    }
    if request.headers.len() > SHOWN {
        screen.note(&format!("and {} more headers", request.headers.len() - SHOWN));
    }
    let text = String::from_utf8_lossy(&request.body);
    let excerpt: String = text.chars().take(EXCERPT).collect();
    let rest = if excerpt.len() < text.len() { " …" } else { "" };
    screen.field("body", &format!("{} bytes: {excerpt}{rest}", request.length));
}

/// Returns whether the value of a header is a credential.
fn is_secret(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie")
}

fn show_chain(chain: &[Vec<u8>], screen: &mut Screen) {
    for (at, certificate) in facts(chain).iter().take(SHOWN).enumerate() {
        let label = if at == 0 { "it sent" } else { "and" };
        screen.field(
            label,
            &match certificate {
                Item::Certificate(facts) => described(facts),
                Item::Unreadable { fault, .. } => fault.message().to_owned(),
                _ => String::new(),
            },
        );
        if let (0, Item::Certificate(facts)) = (at, certificate) {
            screen.field("pin", &facts.spki_pin);
        }
    }
}

fn described(facts: &CertificateFacts) -> String {
    let purposes = facts.purposes.as_ref().map_or("any".to_owned(), |purposes| purposes.join(", "));
    format!(
        "{}, issued by {}, valid {} to {}, purposes {purposes}",
        facts.subject,
        facts.issuer,
        utc_text(facts.not_before),
        utc_text(facts.not_after),
    )
}

fn facts(chain: &[Vec<u8>]) -> Vec<Item> {
    chain.iter().filter_map(|der| Item::of_der(der).ok()).collect()
}

pub(super) fn to_json(report: &Report) -> Value {
    let (request, status, why) = match &report.end {
        End::Request(request, status) => (Some(request), Some(*status), None),
        End::NoRequest(why) | End::NoHandshake(why) => (None, None, Some(why)),
    };
    let verdict = report.presented.verdict.as_ref();
    let is_accepted = report.tls.is_some() && matches!(verdict, Some(Ok(_)));
    let event = match (is_accepted, request) {
        (true, Some(_)) => "request",
        (true, None) => "no_request",
        (false, _) => "refused",
    };
    json!({
        "schema": SCHEMA,
        "command": "listen",
        "event": event,
        "address": report.address.to_string(),
        "peer": verdict.and_then(|verdict| verdict.as_ref().ok()).map(PeerIdentity::to_json),
        "error": verdict.and_then(|verdict| verdict.as_ref().err()).map(Error::to_json),
        "reason": why,
        "certificates": facts(&report.presented.chain).iter().map(Item::to_json).collect::<Vec<_>>(),
        "tls": report.tls.as_ref().map(|tls| json!({
            "version": tls.version,
            "cipher_suite": tls.suite,
            "key_exchange": tls.group,
            "server_name": tls.server_name,
        })),
        "request": request.map(|request| json!({
            "method": request.method,
            "path": request.path,
            "headers": request.headers.iter().map(shown).collect::<Vec<_>>(),
            "body_base64": BASE64_STANDARD.encode(&request.body),
            "length": request.length,
        })),
        "status": status,
    })
}

fn shown((name, value): &(String, String)) -> (&str, &str) {
    (name, if is_secret(name) { "(not shown)" } else { value })
}
