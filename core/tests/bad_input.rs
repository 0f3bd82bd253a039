//! Any bytes as input give a typed error, without a panic or a hang. Damages the certificates, CRLs
//! and keys of the shared vectors one byte at a time.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use webhook_mtls::{
    Egress, Identity, Pin, Role, Setting, TenantRule, Trust, Verifier, VerifierOptions, pin_of,
};

const CONFIG: &str = include_str!("../../tests/vectors/config.json");
const VERIFY: &str = include_str!("../../tests/vectors/verify.json");

/// Returns the DER of each PEM block of a text.
fn blocks(pem: &str) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    pem.split("-----BEGIN ")
        .skip(1)
        .filter_map(|block| {
            let body = block.split_once("-----")?.1.split_once("-----END")?.0;
            let base64: String = body.split_whitespace().collect();
            base64::prelude::BASE64_STANDARD.decode(base64).ok()
        })
        .collect()
}

/// Returns every truncation, and three other bytes at every position.
fn damaged(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let truncated = (0..whole.len()).map(|length| whole[..length].to_vec());
    let flipped = (0..whole.len()).flat_map(move |at| {
        [0x00, 0xff, whole[at] ^ 0x01].map(|byte| {
            let mut copy = whole.to_vec();
            copy[at] = byte;
            copy
        })
    });
    truncated.chain(flipped)
}

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn damaged_certificates_are_refused_or_verified() {
    let vectors = vectors(VERIFY);
    let mut judged = 0;
    for case in vectors["cases"].as_array().unwrap().iter().step_by(12) {
        let Some(leaf) = blocks(case["chain"].as_str().unwrap_or_default()).into_iter().next()
        else {
            continue;
        };
        let anchors = case["trust"]["anchors"].as_str().unwrap_or_default();
        let Ok(trust) = Trust::from_pem(anchors.as_bytes(), None, &[]) else { continue };
        let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust)).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(case["at"].as_u64().unwrap());
        for bytes in damaged(&leaf) {
            if bytes != leaf {
                let verdict = verifier.verify_chain(&[&bytes], Some("consumer.example.test"), at);
                assert!(verdict.is_err(), "{}: a damaged leaf passed", case["name"]);
                judged += 1;
            }
            let _ = pin_of(&bytes);
        }
    }
    assert!(judged > 10_000, "{judged}");
}

#[test]
fn damaged_bundles_and_crls_are_refused_or_loaded() {
    let vectors = vectors(VERIFY);
    let mut loaded = 0;
    for case in vectors["cases"].as_array().unwrap().iter().step_by(10) {
        let trust = &case["trust"];
        let anchors = trust["anchors"].as_str().unwrap_or_default();
        for der in blocks(anchors).iter().take(1) {
            for bytes in damaged(der) {
                let _ = Trust::from_pem(&bytes, None, &[]);
                loaded += 1;
            }
        }
        for crl in trust["crls"].as_array().into_iter().flatten() {
            for der in blocks(crl.as_str().unwrap_or_default()) {
                for bytes in damaged(&der) {
                    let _ = Trust::from_pem(anchors.as_bytes(), None, &[&bytes]);
                    loaded += 1;
                }
            }
        }
    }
    assert!(loaded > 10_000, "{loaded}");
}

#[test]
fn damaged_pem_never_loses_a_block_silently() {
    let vectors = vectors(CONFIG);
    let anchor = vectors["fixtures"]["trust"]["anchors"].as_str().unwrap();
    let identity = &vectors["fixtures"]["identity"];
    let (cert, key) = (identity["cert"].as_str().unwrap(), identity["key"].as_str().unwrap());
    let two = format!("{anchor}\n{anchor}");
    for at in (0..two.len()).filter(|at| two.is_char_boundary(*at)) {
        let mut bytes = two.clone().into_bytes();
        bytes[at] ^= 0x20;
        let _ = Trust::from_pem(&bytes, None, &[]);
        let _ = Trust::from_pem(&two.as_bytes()[..at], None, &[]);
    }
    let mut refused = 0;
    for at in 0..key.len() {
        let outcome = Identity::from_pem(cert.as_bytes(), &key.as_bytes()[..at], None);
        let Err(error) = outcome else { continue };
        refused += 1;
        // A sequence of eight characters of the key would be a leak.
        let body: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
        let shown = format!("{error} {error:?} {}", error.to_json());
        assert!(
            !body
                .as_bytes()
                .windows(8)
                .any(|part| { shown.contains(std::str::from_utf8(part).unwrap()) })
        );
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_key_on_one_line_is_not_shown() {
    let vectors = vectors(CONFIG);
    let identity = &vectors["fixtures"]["identity"];
    let one_line = identity["key"].as_str().unwrap().replace('\n', "");
    let cert = identity["cert"].as_str().unwrap().as_bytes();
    let error = Identity::from_pem(cert, one_line.as_bytes(), None).unwrap_err();
    let shown = format!("{error} {error:?} {}", error.to_json());
    assert!(!shown.contains("MI") && !shown.contains(&one_line[30..40]), "{shown}");
}

#[test]
fn damaged_keys_are_refused_or_loaded() {
    let vectors = vectors(CONFIG);
    let identity = &vectors["fixtures"]["identity"];
    let cert = identity["cert"].as_str().unwrap().as_bytes();
    for der in blocks(identity["key"].as_str().unwrap()) {
        for bytes in damaged(&der) {
            let _ = Identity::from_pem(cert, &bytes, None);
        }
    }
}

#[test]
fn odd_texts_are_refused() {
    let long = "a".repeat(100_000);
    for text in ["", "\0", "sha256/", "sha256//", "cert-sha256/", "é", "🦀", "sha256/🦀", &long]
    {
        assert!(Pin::parse(text).is_err());
        assert!(TenantRule::san_uri(text).is_err());
        assert!(Egress::public().allow([text]).is_err());
    }
    let mut options = VerifierOptions::new(Role::Server, trust());
    for value in [Setting::Millis(f64::NAN), Setting::Text(long.clone()), Setting::Flag(true)] {
        assert!(options.set(&long, value).is_err());
    }
}

fn trust() -> Trust {
    let vectors = vectors(CONFIG);
    let anchors = vectors["fixtures"]["trust"]["anchors"].as_str().unwrap();
    Trust::from_pem(anchors.as_bytes(), None, &[]).unwrap()
}
