//! Chains that are designed to be expensive. The tests count signature checks, because a count does not
//! depend on the machine. `core/benches/verify.rs` measures times.

use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};

use super::signature_cache::{CAPACITY, CHECKS};
use crate::Role;
use crate::Trust;
use crate::Verifier;
use crate::VerifierOptions;
use crate::error::{Error, Kind};
use crate::verify::PeerIdentity;
use crate::x509::Crl;

/// The most signatures that one verification may check.
const MAX_SIGNATURES: usize = 16;

/// An issuer: a name and a signing key, which need not belong together.
struct Ca<'a> {
    name: &'a str,
    key: &'a KeyPair,
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn certificate(subject: &str, subject_key: &KeyPair, issuer: &Ca<'_>, serial: u64) -> Vec<u8> {
    let signer = Issuer::new(params(issuer.name, 1), issuer.key);
    params(subject, serial).signed_by(subject_key, &signer).expect("a certificate").der().to_vec()
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(serial));
    if name == "leaf" {
        params.subject_alt_names =
            vec![rcgen::SanType::DnsName("localhost".try_into().expect("a name"))];
    } else {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    }
    params
}

/// A trust with a root of this key.
fn trusted(key: &KeyPair) -> Trust {
    let root = params("root", 1).self_signed(key).expect("a root").pem();
    Trust::from_pem(root.as_bytes(), None, &[]).expect("trust")
}

/// Returns the verdict and the number of signature checks.
fn judged(trust: &Trust, chain: &[Vec<u8>]) -> (Result<PeerIdentity, Error>, usize) {
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust.clone())).expect("sound");
    let before = CHECKS.get();
    let verdict = verifier.verify_chain(chain, Some("localhost"), SystemTime::now());
    (verdict, CHECKS.get() - before)
}

/// Every certificate may be the issuer of every other, and none leads to an anchor.
#[test]
fn a_mesh_without_a_path_to_an_anchor_is_not_searched() {
    let trust = trusted(&key());
    let keys: Vec<KeyPair> = (0..9).map(|_| key()).collect();
    let mut chain = vec![certificate("leaf", &key(), &Ca { name: "mesh", key: &keys[0] }, 99)];
    for (at, own) in keys.iter().enumerate() {
        let issuer = Ca { name: "mesh", key: &keys[(at + 1) % keys.len()] };
        chain.push(certificate("mesh", own, &issuer, at as u64));
    }
    let (verdict, checks) = judged(&trust, &chain);
    // chain_too_long would mean that the search ran into the limit.
    assert_eq!(verdict.expect_err("unknown issuer").kind(), Kind::IssuerUnknown);
    assert!(checks <= MAX_SIGNATURES, "{checks} signatures");
}

/// Many shapes of issuers with each other's and the root's name, with valid and invalid signatures.
#[test]
fn no_mesh_exceeds_the_limit_of_signature_checks() {
    let (root, forger, common) = (key(), key(), key());
    let trust = trusted(&root);
    let mut stopped = 0;
    for shape in 0u64..200 {
        // In every other shape, two names are equal only by RFC 5280 section 7.1.
        let names = if shape % 2 == 0 { ["a", "b", "c"] } else { ["a", "A", "c"] };
        // A pseudo-random choice that is the same on every run.
        let mut state = shape.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut pick = |count: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from((state >> 11) % count).expect("small")
        };
        let issuer_key = if pick(2) == 0 { &common } else { &forger };
        let width = 1 + pick(3) as u64;
        let mut chain =
            vec![certificate("leaf", &key(), &Ca { name: names[0], key: issuer_key }, 99)];
        for serial in 0..9 {
            let issuer = if pick(5) == 0 {
                Ca { name: "root", key: &forger }
            } else {
                Ca { name: names[pick(width)], key: issuer_key }
            };
            let subject = names[pick(width)];
            let own = if pick(2) == 0 {
                key()
            } else {
                KeyPair::from_pem(&common.serialize_pem()).expect("PEM")
            };
            chain.push(certificate(subject, &own, &issuer, serial));
        }
        for _ in 0..2 {
            let (verdict, checks) = judged(&trust, &chain);
            let kind = verdict.expect_err("no signature is the root's").kind();
            assert!(
                matches!(
                    kind,
                    Kind::ChainTooLong
                        | Kind::IssuerUnknown
                        | Kind::IssuerRekeyed
                        | Kind::CertificateInvalid
                ),
                "shape {shape}: {kind:?}"
            );
            assert!(checks <= MAX_SIGNATURES, "shape {shape}: {checks} signatures");
            stopped += usize::from(kind == Kind::ChainTooLong);
        }
    }
    assert!(stopped > 20, "only {stopped} shapes reached the limit: the test proves too little");
}

/// Cross-signed CAs are legitimate: the path is found.
#[test]
fn a_path_through_cross_signed_cas_is_found() {
    let (root, old, new) = (key(), key(), key());
    let trust = trusted(&root);
    let issuing = key();
    let chain = [
        certificate("leaf", &key(), &Ca { name: "issuing", key: &issuing }, 99),
        certificate("issuing", &issuing, &Ca { name: "old", key: &old }, 1),
        certificate("issuing", &issuing, &Ca { name: "new", key: &new }, 2),
        certificate("old", &old, &Ca { name: "new", key: &new }, 3),
        certificate("new", &new, &Ca { name: "old", key: &old }, 4),
        certificate("old", &old, &Ca { name: "gone", key: &key() }, 5),
        certificate("new", &new, &Ca { name: "root", key: &root }, 6),
    ];
    let (verdict, checks) = judged(&trust, &chain);
    assert_eq!(verdict.expect("trusted").anchor(), "CN=root");
    assert!(checks <= 8, "{checks} signatures");
    let (verdict, checks) = judged(&trust, &chain);
    assert_eq!((verdict.is_ok(), checks), (true, 0), "cached");
}

#[test]
fn a_certificate_with_too_many_extensions_is_refused() {
    let root = key();
    let trust = trusted(&root);
    let mut leaf = params("leaf", 7);
    leaf.custom_extensions = (1..=80)
        .map(|arc| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32473, arc], vec![5, 0]))
        .collect();
    let root = Issuer::new(params("root", 1), &root);
    let chain = [leaf.signed_by(&key(), &root).expect("a certificate").der().to_vec()];
    let (verdict, checks) = judged(&trust, &chain);
    let error = verdict.expect_err("refused");
    assert_eq!((error.kind(), checks), (Kind::CertificateInvalid, 0));
    assert!(error.to_string().contains("more extensions"), "{error}");
}

/// Chains of an unknown CA, each with a new valid signature.
#[test]
fn refused_chains_evict_nothing_from_the_signature_cache() {
    let (root, issuing) = (key(), key());
    let trust = trusted(&root);
    let ca = certificate("issuing", &issuing, &Ca { name: "root", key: &root }, 1);
    let leaf = certificate("leaf", &key(), &Ca { name: "issuing", key: &issuing }, 99);
    let honest = [leaf, ca];
    assert!(judged(&trust, &honest).0.is_ok());
    assert_eq!(judged(&trust, &honest).1, 0, "cached");

    let (theirs, own) = (key(), key());
    let other = certificate("other", &theirs, &Ca { name: "unknown", key: &key() }, 1);
    for serial in 0..u64::try_from(CAPACITY).expect("small") + 100 {
        let leaf = certificate("leaf", &own, &Ca { name: "other", key: &theirs }, serial + 1);
        let (verdict, checks) = judged(&trust, &[leaf, other.clone()]);
        assert_eq!(verdict.expect_err("unknown issuer").kind(), Kind::IssuerUnknown);
        assert!(checks > 0, "no signature was checked: the test proves nothing");
    }
    assert_eq!(judged(&trust, &honest).1, 0, "still cached");
}

/// The latest of twenty CRLs of one CA decides. The signatures of the others are not checked.
#[test]
fn many_crls_of_one_ca_cost_one_check() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/verify.json")).expect("JSON");
    let case = vectors["cases"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|case| case["name"] == "server_crl_revokes_leaf")
        .expect("the case");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let anchors = text(&case["trust"]["anchors"]);
    let crl = text(&case["trust"]["crls"][0]);
    let many = crl.repeat(20);
    let at = SystemTime::UNIX_EPOCH
        + std::time::Duration::from_secs(case["at"].as_u64().expect("an instant"));
    let trust = Trust::from_pem(anchors.as_bytes(), None, &[many.as_bytes()]).expect("trust");
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust.clone())).expect("sound");
    for _ in 0..3 {
        let verdict =
            verifier.verify(text(&case["chain"]).as_bytes(), case["server_name"].as_str(), at);
        assert_eq!(verdict.expect_err("revoked").kind(), Kind::CertificateRevoked);
    }
    let tried: usize = trust.crls().iter().map(Crl::keys_tried).sum();
    assert_eq!((trust.crls().iter().len(), tried), (20, 1), "signatures of CRLs");
}
