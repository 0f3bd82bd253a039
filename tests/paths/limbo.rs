//! x509-limbo (the cases outside BetterTLS): certificates in PEM, one expected verdict a case.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use webhook_mtls::{Authorization, Error, Kind, Role, Trust, Verifier, VerifierOptions};

use crate::report::Report;

const EXCEPTIONS: &str = include_str!("limbo_exceptions.json");

pub(crate) fn run(file: &Path) -> Report {
    let text = std::fs::read_to_string(file).expect("the corpus is a file");
    let corpus: Value = serde_json::from_str(&text).expect("the corpus is JSON");
    let mut report = Report::new("limbo", EXCEPTIONS);
    for case in corpus["testcases"].as_array().expect("test cases") {
        let id = case["id"].as_str().expect("an id");
        let verdict = judge(id, case);
        // Public roots are no private trust: a refusal by name is the right verdict here.
        let refused_public = case_has_public_roots(id);
        let is_valid = case["expected_result"] == "SUCCESS" && !refused_public;
        if refused_public {
            let kind = verdict.as_ref().err().map(|error| error.kind().name());
            assert_eq!(kind, Some("public_root_in_trust"), "{id}");
        }
        report.add(id, is_valid, verdict);
    }
    report
}

/// Returns whether the trusted certificates of a case are roots of the public web.
fn case_has_public_roots(id: &str) -> bool {
    id.starts_with("online::") || id.starts_with("webpki::cryptographydotio-chain")
}

fn judge(id: &str, case: &Value) -> Result<(), Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| -> Vec<String> {
        case[key].as_array().into_iter().flatten().map(text).collect()
    };
    let at = case["validation_time"].as_str().map_or_else(SystemTime::now, instant);
    let crls = list("crls");
    let crls: Vec<&[u8]> = crls.iter().map(String::as_bytes).collect();
    let trust = Trust::from_pem(list("trusted_certs").join("\n").as_bytes(), None, &crls)?;
    let chain =
        text(&case["peer_certificate"]) + "\n" + &list("untrusted_intermediates").join("\n");
    let name = case["expected_peer_name"]["value"].as_str();
    let role = if case["validation_kind"] == "CLIENT" { Role::Client } else { Role::Server };
    // The web's profile requires extendedKeyUsage, as this option does.
    let is_strict = id.starts_with("webpki::");
    let options = VerifierOptions::new(role, trust)
        .authorization(Authorization::ca_members())
        .strict_purpose(is_strict);
    let verifier = Verifier::new(options)?;
    let verify = |name| verifier.verify(chain.as_bytes(), name, at).map(drop);
    match (role, name) {
        (Role::Client, _) => verify(None),
        (Role::Server, Some(name)) => verify(Some(name)),
        // The API verifies no server without a name. The name is compared after the path, so a
        // mismatch means that the path is valid.
        (Role::Server, None) => match verify(Some("expected-by-no-case.test")) {
            Err(error) if error.kind() == Kind::NameMismatch => Ok(()),
            verdict => verdict,
        },
    }
}

/// Reads `2024-01-01T00:00:00+00:00`, with or without a fraction of a second.
fn instant(text: &str) -> SystemTime {
    let number =
        |at: usize, length: usize| -> i64 { text[at..at + length].parse().expect("a number") };
    assert!(text.ends_with("+00:00") || text.ends_with('Z'), "{text}");
    // Days since the epoch, by the civil calendar. A year starts in March here.
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = days * 86_400 + number(11, 2) * 3_600 + number(14, 2) * 60 + number(17, 2);
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).expect("after 1970"))
}
