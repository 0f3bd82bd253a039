//! The text for the operator of the consumer. It names nothing of ours but the certificate, which the
//! consumer sees anyway: no address, no path, no host, no rule.

use std::fmt::Write as _;

use serde_json::Value;

use super::checks::{Addressee, Check};
use super::report::CheckResult;
use super::verdict::{addressee, order};
use crate::clock::utc_text;
use crate::error::{Error, Kind};
use crate::material::identity::Identity;
use crate::x509::serial_hex;

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
        let _ = write!(text, "\n{}. {}\n", at + 1, what(error.kind()));
        for line in facts(error) {
            let _ = writeln!(text, "   {line}");
        }
        let _ = writeln!(text, "   To do: {}", to_do(error.kind()));
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

/// What is wrong. The title of a kind may name a rule of ours.
fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::EgressDenied => "The host name leads to an address that is not public.",
        other => other.title(),
    }
}

/// What the consumer must do. The usual remedy of a kind may speak to us.
fn to_do(kind: Kind) -> &'static str {
    match kind {
        Kind::HostNotFound | Kind::EgressDenied => {
            "Check the records of the host name in your DNS zone."
        }
        Kind::ConnectFailed => {
            "Check that the server listens on this port and that your firewall lets it be reached."
        }
        Kind::PinMismatch => {
            "If you changed the key of your certificate, send its pin by the agreed way. If you did not, treat it as an attack."
        }
        Kind::IssuerUnknown => {
            "Send all intermediate certificates. If you changed your CA, send its certificate by the agreed way."
        }
        Kind::IssuerRekeyed => {
            "If you made your CA again, send its new certificate by the agreed way."
        }
        Kind::ClientCertificateRejected => {
            "Find the reason in the log of your TLS server. Compare the CA that you trust for clients with the issuer of the certificate below."
        }
        Kind::CertificateNotYetValid => "Compare the clock of your CA with the true time.",
        Kind::TlsFailed => {
            "Offer TLS 1.3, or 1.2 with extended master secret, and the usual algorithms."
        }
        Kind::ConnectionLost | Kind::DeadlineExceeded => {
            "Look for this connection in the log of your server, and of a load balancer in front of it."
        }
        Kind::HttpStatus => "Allow the certificate below in your application or its rules.",
        other => other.remedy(),
    }
}

/// The facts that may be shown, as lines.
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
    format!(
        "\nThe sender's certificate: {}, issued by {}, serial {}, valid until {}.\n",
        leaf.subject_text(),
        leaf.issuer_text(),
        serial_hex(leaf.serial),
        utc_text(leaf.not_after)
    )
}
