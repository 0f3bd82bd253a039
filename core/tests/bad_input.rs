//! Any bytes as input give a typed error, without a panic or a hang. Damages the certificates, CRLs
//! and keys of the shared vectors one byte at a time.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::Setting;
use webhook_mtls::material::{Pin, pin_of};
use webhook_mtls::{Egress, Identity, Role, TenantRule, Trust, Verifier, VerifierOptions};

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

/// Every sampled chain is valid before it is damaged, and invalid after.
#[test]
fn a_damaged_leaf_is_never_verified() {
    let vectors = vectors(VERIFY);
    let (mut chains, mut refused) = (0, 0);
    let plain = |case: &&Value| {
        let optional = ["options", "pins", "tenant", "authorization"];
        case["expect"].get("ok").is_some()
            && case["role"] == "server"
            && optional.iter().all(|key| case.get(key).is_none())
            && case["trust"].get("exact").is_none()
    };
    for case in vectors["cases"].as_array().unwrap().iter().filter(plain).step_by(9) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let trust = &case["trust"];
        let known = trust.get("intermediates").map(text);
        let crls: Vec<String> = trust["crls"].as_array().into_iter().flatten().map(text).collect();
        let crls: Vec<&[u8]> = crls.iter().map(String::as_bytes).collect();
        let anchors = text(&trust["anchors"]);
        let known = known.as_deref().map(str::as_bytes);
        let trust = Trust::from_pem(anchors.as_bytes(), known, &crls).unwrap();
        let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust)).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(case["at"].as_u64().unwrap());
        let name = case["server_name"].as_str();
        let mut chain = blocks(case["chain"].as_str().unwrap());
        verifier.verify_chain(&chain, name, at).expect("the undamaged chain");
        let leaf = chain[0].clone();
        for bytes in damaged(&leaf).filter(|bytes| *bytes != leaf) {
            let _ = pin_of(&bytes);
            chain[0] = bytes;
            let verdict = verifier.verify_chain(&chain, name, at);
            assert!(verdict.is_err(), "{}: a damaged leaf passed", case["name"]);
            refused += 1;
        }
        chains += 1;
    }
    assert!(chains >= 8 && refused > 10_000, "{chains} chains, {refused} damaged");
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

/// Changes every character of a bundle of two roots, and cuts the bundle at every place: it is
/// refused, or both roots are read. A bundle that is cut between its blocks has one root, also with
/// fewer than five dashes behind it.
#[test]
fn a_damaged_bundle_never_loses_a_root() {
    let [first, second] = two_roots();
    let two = format!("{first}{second}");
    let read = |bytes: &[u8]| {
        let trust = Trust::from_pem(bytes, None, &[]).ok()?;
        Some(format!("{trust:?}").matches("Certificate(").count())
    };
    assert_eq!((read(first.as_bytes()), read(two.as_bytes())), (Some(1), Some(2)));
    let (mut refused, mut complete) = (0, 0);
    for at in 0..two.len() {
        let mut bytes = two.clone().into_bytes();
        bytes[at] ^= 0x20;
        match read(&bytes) {
            Some(roots) => {
                assert_eq!(roots, 2, "at {at}");
                complete += 1;
            }
            None => refused += 1,
        }
        let second_begins = first.len() + "-----".len();
        let expected = match at {
            _ if at >= two.trim_end().len() => Some(2),
            _ if (first.trim_end().len()..second_begins).contains(&at) => Some(1),
            _ => None,
        };
        assert_eq!(read(&two.as_bytes()[..at]), expected, "cut at {at}");
    }
    assert!(refused > 500, "{refused} refused, {complete} complete");
}

/// Two roots of the verify vectors, each as one PEM block.
fn two_roots() -> [String; 2] {
    let vectors = vectors(VERIFY);
    let mut roots: Vec<String> = Vec::new();
    for case in vectors["cases"].as_array().unwrap() {
        let pem = case["trust"]["anchors"].as_str().unwrap_or_default();
        let is_usable = case["expect"].get("ok").is_some() && pem.matches("BEGIN").count() == 1;
        if is_usable && !roots.iter().any(|root| root == pem) {
            roots.push(pem.to_owned());
        }
    }
    roots.truncate(2);
    roots.try_into().unwrap()
}

#[test]
fn a_damaged_key_is_not_shown() {
    let vectors = vectors(CONFIG);
    let identity = &vectors["fixtures"]["identity"];
    let (cert, key) = (identity["cert"].as_str().unwrap(), identity["key"].as_str().unwrap());
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
    assert!(Identity::from_pem(cert, one_line.as_bytes(), None).is_ok());
    // A missing dash of a marker, a label that swallows the key, and base64 that cannot be decoded.
    let base64: String = one_line.chars().filter(|letter| *letter != '-').collect();
    for broken in [
        one_line.strip_suffix('-').unwrap().to_owned(),
        one_line.strip_prefix('-').unwrap().to_owned(),
        one_line.replacen("KEY-----", "KEY", 1),
        one_line.replacen("-----END", "=-----END", 1),
        one_line.replacen("PRIVATE", "PRIVAT", 2),
        base64.replace(' ', ""),
        one_line[30..].to_owned(),
    ] {
        let error = Identity::from_pem(cert, broken.as_bytes(), None).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.to_json());
        assert!(!shown.contains("MI") && !shown.contains(&one_line[30..40]), "{shown}");
    }
}

#[test]
fn damaged_keys_are_refused_or_loaded() {
    let vectors = vectors(CONFIG);
    let identity = &vectors["fixtures"]["identity"];
    let cert = identity["cert"].as_str().unwrap().as_bytes();
    let mut refused = 0;
    for der in blocks(identity["key"].as_str().unwrap()) {
        for bytes in damaged(&der) {
            refused += usize::from(Identity::from_pem(cert, &bytes, None).is_err());
        }
    }
    assert!(refused > 300, "{refused}");
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
    let options = VerifierOptions::new(Role::Server, trust());
    for value in [Setting::Millis(f64::NAN), Setting::Text(long.clone()), Setting::Flag(true)] {
        assert!(options.clone().set(&long, value).is_err());
    }
}

fn trust() -> Trust {
    let vectors = vectors(CONFIG);
    let anchors = vectors["fixtures"]["trust"]["anchors"].as_str().unwrap();
    Trust::from_pem(anchors.as_bytes(), None, &[]).unwrap()
}
