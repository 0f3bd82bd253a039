//! The signature cache never caches a verdict. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use serde_json::Value;
use webhook_mtls::testing::{Authority, Issued, Leaf};
use webhook_mtls::verify::PeerIdentity;
use webhook_mtls::{
    Authorization, Error, Kind, Pins, Role, TenantRule, Trust, Verifier, VerifierOptions,
};

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
fn a_cached_chain_is_verified_each_time() {
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
fn a_cached_chain_is_refused_after_revocation() {
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

/// A certificate may contain 50 KiB of names. Errors about it must be short.
#[test]
fn errors_about_a_huge_certificate_are_short_without_control_characters() {
    const HOSTILE: &str = "\u{1b}[2J\u{202e}\n";
    let huge = HOSTILE.to_owned() + &"n".repeat(15_000);
    let [theirs, ours] = [&huge, "root"].map(|name| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        (Issuer::new(params, key), root)
    });
    let leaf = |issuer: &Issuer<'_, KeyPair>, purpose| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, &huge);
        let uri = |at| SanType::URI(format!("spiffe://corp/{HOSTILE:?}/{at}").try_into().unwrap());
        params.subject_alt_names = (0..300).map(uri).collect();
        params.subject_alt_names.push(SanType::URI("u".repeat(10_000).try_into().unwrap()));
        params.extended_key_usages = vec![purpose];
        vec![params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().to_vec()]
    };
    let trust = Trust::from_pem(ours.1.as_bytes(), None, &[]).unwrap();
    let server = leaf(&ours.0, ExtendedKeyUsagePurpose::ServerAuth);
    let client = leaf(&ours.0, ExtendedKeyUsagePurpose::ClientAuth);
    let stranger = leaf(&theirs.0, ExtendedKeyUsagePurpose::ServerAuth);
    let of = |role| VerifierOptions::new(role, trust.clone());
    let template = TenantRule::san_uri("spiffe://corp/{tenant}").unwrap();
    let domain = Authorization::trust_domain("corp").unwrap();
    let wrong = Pins::new(["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]).unwrap();
    let by_uri = of(Role::Server).pins(wrong);
    by_uri.clone().server_uri(format!("spiffe://corp/{HOSTILE:?}/1")).unwrap_err();
    let now = SystemTime::now();
    let late = now + 10_000 * DAY * 100;
    for (kind, options, chain, name, at) in [
        (Kind::NameMismatch, of(Role::Server), &server, Some("localhost"), now),
        (Kind::PurposeNotAllowed, of(Role::Server), &client, Some("localhost"), now),
        (Kind::CertificateExpired, of(Role::Server), &server, Some("localhost"), late),
        (Kind::IssuerUnknown, of(Role::Server), &stranger, Some("localhost"), now),
        (Kind::TenantRefused, of(Role::Client).tenant(template), &client, None, now),
        (Kind::NotAuthorized, of(Role::Client).authorization(domain), &client, None, now),
    ] {
        let verifier = Verifier::new(options).unwrap();
        let error = verifier.verify_chain(chain, name, at).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let (json, debug) = (error.to_json().to_string(), format!("{error:?}"));
        assert!(json.len() < 10_000, "{kind:?}: {} bytes of JSON", json.len());
        assert!(debug.len() < 10_000, "{kind:?}: {} bytes of Debug", debug.len());
        assert!(error.message().len() < 2_500, "{kind:?}: {} bytes", error.message().len());
        for text in [json, debug, error.message().to_owned(), error.remedy().to_owned()] {
            let steering = |letter: char| letter.is_control() || letter == '\u{202e}';
            assert!(!text.contains(steering), "{kind:?}: {text}");
        }
    }
    let members = of(Role::Client).authorization(Authorization::ca_members());
    let peer = Verifier::new(members).unwrap().verify_chain(&client, None, now).unwrap();
    // The subject is complete; only its printed form is cut.
    assert!(peer.subject().len() > 15_000);
    assert!(format!("{peer:?}").len() < 10_000, "{} bytes", format!("{peer:?}").len());
    assert_eq!(peer.tenant(), None);
}

#[test]
fn a_mesh_of_issuers_is_refused_before_any_work() {
    let scene = scene();
    let mut chain = scene.leaf.chain_der.clone();
    chain.extend((0..60).map(|_| vec![0x30; 1024]));
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, scene.trust())).unwrap();
    let error = verifier.verify_chain(&chain, Some("localhost"), SystemTime::now()).unwrap_err();
    // The bytes after the leaf are not certificates. No error about them shows that they were not
    // parsed.
    assert_eq!(error.kind(), Kind::ChainTooLong);
}
