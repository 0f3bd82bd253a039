//! The text for the operator of the consumer. It names nothing of ours but the certificate, which the
//! consumer sees anyway: no address, no path, no host, no rule.

use std::fmt::Write as _;

use serde_json::Value;

use super::checks::{Addressee, Check};
use super::letter;
use super::report::CheckResult;
use super::text::wrapped;
use super::verdict::{addressee, order};
use crate::clock::utc_text;
use crate::error::Error;
use crate::material::identity::Identity;
use crate::x509::serial_hex;

/// The columns of a mail, so that a reply can quote it.
const WIDTH: usize = 72;

/// Returns the text, or `None` if the consumer need not act.
///
/// * `origin`: scheme, host and port of the endpoint's URL, which are the consumer's.
pub(super) fn to_consumer(
    origin: &str,
    checks: &[CheckResult],
    ours: Option<&Identity>,
) -> Option<String> {
    let mut failed: Vec<&CheckResult> =
        checks.iter().filter(|result| !result.errors.is_empty()).collect();
    failed.sort_by_key(|result| order(result));
    let faults: Vec<&Error> = failed
        .iter()
        .flat_map(|result| &result.errors)
        .filter(|error| addressee(error) == Addressee::Consumer)
        .collect();
    if faults.is_empty() {
        return None;
    }
    let mut text = format!("Webhooks cannot be delivered to {origin} over mutual TLS.\n");
    for (at, error) in faults.iter().enumerate() {
        let (what, to_do) = letter::about(error);
        text.push('\n');
        paragraph(&mut text, &format!("{}. ", at + 1), what);
        for fact in facts(error) {
            paragraph(&mut text, "   ", &fact);
        }
        paragraph(&mut text, "   ", &format!("To do: {to_do}"));
    }
    let judged = checks.iter().any(|result| {
        matches!(result.check, Check::VerdictCertificate | Check::VerdictHttp)
            && !result.errors.is_empty()
    });
    if let Some(identity) = ours.filter(|_| judged) {
        text.push_str(&certificate(identity));
    }
    Some(text)
}

/// Adds a paragraph that fits a mail.
///
/// * `first`: what stands before the first line. The others are indented as far.
fn paragraph(text: &mut String, first: &str, words: &str) {
    for (at, line) in wrapped(words, WIDTH - first.len()).iter().enumerate() {
        let before = if at == 0 { first } else { "" };
        let _ = writeln!(text, "{before:<indent$}{line}", indent = first.len());
    }
}

/// The facts that may be shown.
fn facts(error: &Error) -> Vec<String> {
    const LABELS: &[(&str, &str)] = &[
        ("subject", "Certificate"),
        ("missing_issuer", "Missing issuer"),
        ("not_before_ms", "Valid from"),
        ("not_after_ms", "Valid until"),
        ("expected_name", "Expected name"),
        ("presented", "Names in the certificate"),
        ("observed_pin", "Pin of the key seen"),
        ("alert", "TLS alert received"),
        ("status", "HTTP status received"),
    ];
    let public = error.public();
    let context = &public["context"];
    LABELS
        .iter()
        .filter_map(|(key, label)| Some(format!("{label}: {}", shown(key, context.get(*key)?)?)))
        .collect()
}

fn shown(key: &str, value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if key.ends_with("_ms") => Some(utc_text(number.as_i64()? / 1000)),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => {
            Some(values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// Describes our certificate as the consumer sees it in its log.
fn certificate(identity: &Identity) -> String {
    let leaf = identity.leaf().parsed();
    let mut text = "\n".to_owned();
    let words = format!(
        "The sender's certificate: {}, issued by {}, serial {}, valid until {}.",
        leaf.subject_text(),
        leaf.issuer_text(),
        serial_hex(leaf.serial),
        utc_text(leaf.not_after)
    );
    paragraph(&mut text, "", &words);
    text
}
