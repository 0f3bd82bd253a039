//! A remembered signature is no remembered verdict. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::io::{Write as _, stderr};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use webhook_mtls::testing::{Authority, Issued, Leaf};
use webhook_mtls::{Error, Kind, PeerIdentity, Pins, Role, Trust, Verifier, VerifierOptions};

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Scene {
    authority: Authority,
    leaf: Issued,
}

fn scene() -> Scene {
    let authority = Authority::new("remembered").unwrap();
    let leaf = authority.issue(Leaf::server("acme")).unwrap();
    Scene { authority, leaf }
}

impl Scene {
    fn trust(&self) -> Trust {
        Trust::from_pem(self.authority.root_pem().as_bytes(), None, &[]).unwrap()
    }

    fn verify(
        &self,
        options: VerifierOptions,
        name: &str,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        Verifier::new(options)?.verify_chain(&self.leaf.chain_der, Some(name), at)
    }
}

#[test]
fn a_remembered_chain_is_judged_anew_each_time() {
    let scene = scene();
    let now = SystemTime::now();
    let usual = || VerifierOptions::new(Role::Server, scene.trust());
    for _ in 0..2 {
        assert!(scene.verify(usual(), "localhost", now).is_ok());
        let refused = |options, name, at| scene.verify(options, name, at).unwrap_err().kind();
        assert_eq!(refused(usual(), "localhost", now + 2 * DAY), Kind::CertificateExpired);
        assert_eq!(refused(usual(), "localhost", now - 2 * DAY), Kind::CertificateNotYetValid);
        assert_eq!(refused(usual(), "other.example", now), Kind::NameMismatch);
        let wrong = Pins::new(["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]).unwrap();
        assert_eq!(refused(usual().pins(wrong), "localhost", now), Kind::PinMismatch);
        let other = Authority::new("other").unwrap();
        let other = Trust::from_pem(other.root_pem().as_bytes(), None, &[]).unwrap();
        let elsewhere = VerifierOptions::new(Role::Server, other);
        assert_eq!(refused(elsewhere, "localhost", now), Kind::IssuerUnknown);
    }
}

/// The shared vectors hold the CRLs: a chain that passes without them is refused with them.
#[test]
fn a_remembered_chain_is_refused_once_it_is_revoked() {
    let text = include_str!("../../tests/vectors/verify.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let mut revoked = 0;
    for case in vectors["cases"].as_array().unwrap() {
        if case["expect"]["error"]["kind"] != "certificate_revoked" || case["role"] != "server" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let trust = &case["trust"];
        let anchors = text(&trust["anchors"]);
        let intermediates = trust.get("intermediates").map(text);
        let crls: Vec<String> = trust["crls"].as_array().unwrap().iter().map(text).collect();
        let crls: Vec<&[u8]> = crls.iter().map(String::as_bytes).collect();
        let judge = |crls: &[&[u8]]| {
            let known = intermediates.as_deref().map(str::as_bytes);
            let trust = Trust::from_pem(anchors.as_bytes(), known, crls)?;
            let at = Duration::from_secs(case["at"].as_u64().unwrap());
            Verifier::new(VerifierOptions::new(Role::Server, trust))?.verify(
                text(&case["chain"]).as_bytes(),
                case["server_name"].as_str(),
                SystemTime::UNIX_EPOCH + at,
            )
        };
        for _ in 0..2 {
            assert!(judge(&[]).is_ok(), "{}", case["name"]);
            assert_eq!(judge(&crls).unwrap_err().kind(), Kind::CertificateRevoked);
        }
        revoked += 1;
    }
    assert!(revoked >= 3, "{revoked} cases of revocation");
}

#[test]
fn a_mesh_of_issuers_is_refused_before_it_costs_anything() {
    let scene = scene();
    let mut chain = scene.leaf.chain_der.clone();
    chain.extend((0..60).map(|_| vec![0x30; 1024]));
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, scene.trust())).unwrap();
    let error = verifier.verify_chain(&chain, Some("localhost"), SystemTime::now()).unwrap_err();
    // What follows the leaf is no certificate at all: that it goes unnoticed shows it was not read.
    assert_eq!(error.kind(), Kind::ChainTooLong);
}

#[test]
fn the_webs_public_roots_are_refused() {
    let Ok(bundle) = std::fs::read("/etc/ssl/certs/ca-certificates.crt") else {
        let _ = writeln!(stderr(), "SKIPPED: this machine has no bundle of public roots");
        return;
    };
    let error = Trust::from_pem(&bundle, None, &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::PublicRootInTrust);
    assert!(error.context()["root"].as_str().is_some_and(|name| !name.is_empty()), "{error}");
}
