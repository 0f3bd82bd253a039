//! Judges the chains of `differential.py` with this library and with webpki. Reads a line of
//! JSON for each chain from standard input, and writes one for each pair of verdicts.

use std::io::stdin;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use webhook_mtls::{Role, Trust, Verifier, VerifierOptions};

pub(crate) fn run() {
    for line in stdin().lines() {
        let chain: Value = serde_json::from_str(&line.expect("a chain")).expect("JSON");
        let library = shown(by_library(&chain));
        let webpki = shown(by_webpki(&chain));
        println!("{}", json!({ "library": library, "webpki": webpki }));
    }
}

fn shown(verdict: Result<(), String>) -> Value {
    json!({ "accepted": verdict.is_ok(), "why": verdict.err().unwrap_or_default() })
}

fn text<'a>(chain: &'a Value, key: &str) -> &'a str {
    chain[key].as_str().unwrap_or_default()
}

fn by_library(chain: &Value) -> Result<(), String> {
    let trust = Trust::from_pem(text(chain, "anchors").as_bytes(), None, &[]);
    let options = VerifierOptions::new(Role::Server, trust.map_err(|error| error.to_string())?);
    let verifier = Verifier::new(options).map_err(|error| error.to_string())?;
    let presented = format!("{}{}", text(chain, "leaf"), text(chain, "intermediates"));
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(chain["at"].as_u64().unwrap_or_default());
    let verdict = verifier.verify(presented.as_bytes(), Some(text(chain, "name")), at);
    verdict.map(drop).map_err(|error| error.to_string())
}

fn by_webpki(chain: &Value) -> Result<(), String> {
    let read = |key: &str| -> Vec<CertificateDer<'static>> {
        let certificates = CertificateDer::pem_slice_iter(text(chain, key).as_bytes());
        certificates.map(|certificate| certificate.expect("PEM")).collect()
    };
    let said = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let mut roots = RootCertStore::empty();
    for anchor in read("anchors") {
        roots.add(anchor).map_err(|error| said(&error))?;
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build();
    let verifier = verifier.map_err(|error| said(&error))?;
    let name = ServerName::try_from(text(chain, "name")).map_err(|error| said(&error))?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(chain["at"].as_u64().unwrap_or(0)));
    let leaf = &read("leaf")[0];
    let verdict = verifier.verify_server_cert(leaf, &read("intermediates"), &name, &[], at);
    verdict.map(drop).map_err(|error| said(&error))
}
