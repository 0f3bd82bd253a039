//! PKITS, the Public Key Interoperability Test Suite of NIST: one trust anchor, certificates and CRLs
//! in DER, and for each test the files of its path.

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;
use webhook_mtls::verify::CrlPolicy;
use webhook_mtls::{Authorization, Error, Role, Trust, Verifier, VerifierOptions};

use crate::report::Report;

const TESTS: &str = include_str!("pkits.json");
const EXCEPTIONS: &str = include_str!("pkits_exceptions.json");

pub(crate) fn run(folder: &Path) -> Report {
    let tests: Value = serde_json::from_str(TESTS).expect("the tests are JSON");
    let mut report = Report::new("pkits", EXCEPTIONS);
    for test in tests.as_array().expect("a list") {
        let id = format!("{} {}", text(&test["test"]), text(&test["name"]));
        report.add(&id, test["valid"] == true, judge(folder, test));
    }
    report
}

fn judge(folder: &Path, test: &Value) -> Result<(), Error> {
    let read = |kind: &str, name: &str| {
        let path = folder.join(kind).join(name);
        std::fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    let names = |key: &str| test[key].as_array().into_iter().flatten().map(text);
    let anchor = read("certs", "TrustAnchorRootCertificate.crt");
    let crls: Vec<Vec<u8>> =
        names("crls").map(|name| read("crls", &format!("{name}.crl"))).collect();
    let crls: Vec<&[u8]> = crls.iter().map(Vec::as_slice).collect();
    let chain: Vec<Vec<u8>> =
        names("chain").map(|name| read("certs", &format!("{name}.crt"))).collect();
    let options = VerifierOptions::new(Role::Client, Trust::from_pem(&anchor, None, &crls)?)
        .authorization(Authorization::ca_members())
        .crl_policy(CrlPolicy::Require);
    Verifier::new(options)?.verify_chain(&chain, None, SystemTime::now()).map(drop)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
