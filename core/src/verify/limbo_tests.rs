//! Runs x509-limbo, a public corpus of certificate paths. Every disagreement must be listed with its
//! reason. An unlisted disagreement fails, and so does a listed case that agrees.

use std::collections::BTreeMap;
use std::io::{Write as _, stderr};
use std::path::PathBuf;

use serde_json::Value;

use super::{Expectation, Expected, verify};
use crate::clock;
use crate::error::Error;
use crate::keystore::pem;
use crate::material::trust::Trust;
use crate::net::Host;
use crate::verify::policy::{CrlPolicy, Role};

/// The corpus, which lies beside the checkout.
fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/vectors/x509-limbo/limbo-core.json")
}

const EXCEPTIONS: &str = include_str!("limbo_exceptions.json");

/// The minimum number of agreeing cases, of the 208 cases outside BetterTLS. It catches a lost corpus.
const AGREE_AT_LEAST: usize = 170;

#[test]
fn every_disagreement_with_limbo_has_a_reason() {
    let Ok(text) = std::fs::read_to_string(corpus()) else {
        let _ = writeln!(stderr(), "SKIPPED: the corpus x509-limbo is not beside this checkout");
        return;
    };
    let corpus: Value = serde_json::from_str(&text).expect("the corpus is JSON");
    let exceptions: BTreeMap<String, Value> =
        serde_json::from_str(EXCEPTIONS).expect("the exceptions are JSON");
    let cases = corpus["testcases"].as_array().expect("test cases");
    let mut surprises = Vec::new();
    let mut matching = 0;
    let mut known = 0;
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        let outcome = judge(case);
        let verdict = if outcome.is_ok() { "accepted" } else { "refused" };
        let agrees = outcome.is_ok() == (case["expected_result"] == "SUCCESS");
        matching += usize::from(agrees);
        let detail = outcome.err().map_or_else(String::new, |error| format!(": {error}"));
        match (agrees, exceptions.get(id)) {
            (true, None) => {}
            (false, Some(exception)) if exception["said"] == verdict => known += 1,
            (true, Some(_)) => surprises.push(format!("{id}: the exception is stale ({verdict})")),
            (false, _) => surprises.push(format!("{id}: {verdict}{detail}")),
        }
    }
    println!("x509-limbo: {matching} of {} agree, {known} known exceptions", cases.len());
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    assert_eq!(known, exceptions.len(), "an exception is for no case of the corpus");
    assert!(matching >= AGREE_AT_LEAST, "{matching} agree");
}

fn judge(case: &Value) -> Result<(), Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| -> Vec<String> {
        case[key].as_array().into_iter().flatten().map(text).collect()
    };
    let at = case["validation_time"].as_str().map_or_else(|| clock::now().expect("now"), seconds);
    let crls = list("crls");
    let crls: Vec<&[u8]> = crls.iter().map(String::as_bytes).collect();
    let trust = Trust::of_corpus(list("trusted_certs").join("\n").as_bytes(), &crls, at)?;
    let presented =
        text(&case["peer_certificate"]) + "\n" + &list("untrusted_intermediates").join("\n");
    let chain = pem::certificate_ders(presented.as_bytes(), "chain")?;
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    let name = case["expected_peer_name"]["value"].as_str().map(str::to_owned);
    // A name that cannot be parsed counts as a refusal.
    let name = name.map(|name| Host::named(&name)).transpose();
    let name = name.map_err(|why| crate::options::fault("server_name", why))?;
    let role = if case["validation_kind"] == "CLIENT" { Role::Client } else { Role::Server };
    verify(
        &chain,
        &Expectation {
            role,
            trust: &trust,
            names: &Expected::of_peer(name.filter(|_| role == Role::Server), None),
            pins: None,
            tenant: None,
            authorization: None,
            strict_purpose: false,
            crl_policy: CrlPolicy::IfPresent,
            at,
        },
    )
    .map(drop)
}

/// `2024-01-01T00:00:00+00:00` in Unix seconds, parsed like the dates of certificates.
fn seconds(text: &str) -> i64 {
    let digits: String = text[..19].chars().filter(char::is_ascii_digit).collect();
    assert!(text.ends_with("+00:00") || text.ends_with('Z'), "{text}");
    crate::x509::der::generalized_time(&format!("{digits}Z")).expect("a time")
}
