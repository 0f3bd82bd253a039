//! No public root passes as a private trust: the roots of Debian's package, which its list of digests
//! also names. The tests of Python and Node do the same with the roots of certifi and of Node.

use std::fs;
use std::io::{Write as _, stderr};
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use webhook_mtls::{Authorization, Kind, Role, Trust, Verifier, VerifierOptions};

/// The files of Debian's package. The bundle in `/etc/ssl/certs` may have private CAs besides.
const DEBIAN: &str = "/usr/share/ca-certificates/mozilla";

fn debian() -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let Ok(files) = fs::read_dir(DEBIAN) else {
        let _ = writeln!(stderr(), "SKIPPED: this machine has no package of public roots");
        return None;
    };
    let read = |file: fs::DirEntry| (file.path(), fs::read(file.path()).expect("a root"));
    let roots: Vec<_> = files.map(|file| read(file.expect("a file"))).collect();
    assert!(roots.len() >= 100, "{} roots", roots.len());
    Some(roots)
}

fn refusal(bundle: &[u8]) -> Kind {
    Trust::from_pem(bundle, None, &[]).expect_err("a public root passed").kind()
}

fn joined(roots: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    roots.iter().flat_map(|(_, pem)| pem.iter().copied()).collect()
}

/// A private CA of this name, self-signed or issued by a CA of another name.
fn private(name: &str, issuer: Option<&str>) -> String {
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CountryName, "US");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Internet Security Research Group");
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params
    };
    let key = KeyPair::generate().unwrap();
    let Some(issuer) = issuer else {
        return params(name).self_signed(&key).unwrap().pem();
    };
    let root = Issuer::new(params(issuer), KeyPair::generate().unwrap());
    params(name).signed_by(&key, &root).unwrap().pem()
}

#[test]
fn each_root_alone_each_pair_and_the_bundle_are_refused() {
    let Some(roots) = debian() else { return };
    let private = private("Acme Root", None);
    Trust::from_pem(private.as_bytes(), None, &[]).unwrap();
    for (file, root) in &roots {
        assert_eq!(refusal(root), Kind::PublicRootInTrust, "{}", file.display());
        for (_, other) in &roots {
            assert_eq!(refusal(&[&root[..], other].concat()), Kind::PublicRootInTrust);
        }
        assert_eq!(refusal(&[private.as_bytes(), root].concat()), Kind::PublicRootInTrust);
    }
    let bundle = joined(&roots);
    assert_eq!(refusal(&bundle), Kind::PublicRootInTrust);
    let error = Trust::from_pem(&bundle, None, &[]).unwrap_err();
    assert_eq!(error.context()["root"], error.context()["subject"]);
}

#[test]
fn a_public_bundle_loads_without_the_roots_that_cannot_be_used() {
    let Some(roots) = debian() else { return };
    let trust = Trust::dangerous_public(&joined(&roots), None, &[]).unwrap();
    let skipped = trust.notes().iter().filter(|note| note.ends_with("it is skipped"));
    assert!(skipped.count() <= roots.len() / 20, "{:?}", trust.notes());
    let empty = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let more = Trust::dangerous_public(&[&joined(&roots)[..], empty].concat(), None, &[]).unwrap();
    assert_eq!(more.notes().len(), trust.notes().len() + 1);
}

#[test]
fn a_ca_below_a_public_root_is_refused_by_the_name_of_its_issuer() {
    let public = "ISRG Root X1";
    // The name is known in another case, too (RFC 5280 section 7.1).
    for issuer in [public, "isrg  ROOT x1"] {
        let error = Trust::from_pem(private("R3", Some(issuer)).as_bytes(), None, &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::PublicRootInTrust, "{issuer}");
        let root = format!("CN={issuer},O=Internet Security Research Group,C=US");
        assert_eq!(error.context()["root"], root);
    }
    for name in ["ISRG Root X3", "Acme Root"] {
        Trust::from_pem(private("R3", Some(name)).as_bytes(), None, &[]).unwrap();
    }
    // A namesake has another key identifier.
    Trust::from_pem(private(public, None).as_bytes(), None, &[]).unwrap();
}

#[test]
fn a_refused_bundle_is_counted() {
    let trust = Trust::from_pem(private("Acme Root", None).as_bytes(), None, &[]).unwrap();
    let options =
        VerifierOptions::new(Role::Client, trust).authorization(Authorization::ca_members());
    let verifier = Verifier::new(options).unwrap();
    let counted = || {
        let metrics = verifier.metrics().to_json();
        metrics["webhook_mtls_public_roots_refused_total"]["samples"][0]["value"].as_u64().unwrap()
    };
    // Other tests of this process are counted as well.
    let before = counted();
    refusal(private("R3", Some("ISRG Root X1")).as_bytes());
    assert!(counted() > before);
}
