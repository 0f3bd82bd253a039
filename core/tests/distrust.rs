//! Keys that a trust distrusts, after its files are read again. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use webhook_mtls::material::pin_of;
use webhook_mtls::testing::{Authority, Leaf};
use webhook_mtls::{Authorization, Error, Kind, Role, Trust, Verifier, VerifierOptions};

/// A file with the roots of two CAs, `old` and `new`.
struct Scene {
    old: Authority,
    new: Authority,
    directory: PathBuf,
}

impl Scene {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("distrust-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
        let scene = Self { old, new, directory };
        scene.write(&[&scene.old, &scene.new]);
        scene
    }

    fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    fn write(&self, authorities: &[&Authority]) {
        let text: String = authorities.iter().map(|it| it.root_pem()).collect();
        fs::write(self.file(), text).unwrap();
    }

    fn trust(&self) -> Trust {
        Trust::from_files(self.file(), None, None).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn verifier(trust: Trust) -> Verifier {
    let options = VerifierOptions::new(Role::Client, trust);
    Verifier::new(options.authorization(Authorization::ca_members())).unwrap()
}

fn verify(verifier: &Verifier, authority: &Authority) -> Result<(), Error> {
    let chain = authority.issue(Leaf::client("acme")).unwrap().chain_der;
    verifier.verify_chain(&chain, None, SystemTime::now()).map(drop)
}

fn pin(authority: &Authority) -> String {
    pin_of(authority.root_pem().as_bytes()).unwrap()
}

#[test]
fn a_reload_keeps_the_distrusted_keys() {
    let scene = Scene::new("reload");
    let verifier = verifier(scene.trust().distrusting([pin(&scene.old)]).unwrap());
    let third = Authority::new("third").unwrap();
    assert!(verify(&verifier, &third).is_err());
    scene.write(&[&scene.new, &scene.old, &third]);
    verifier.reload();
    verify(&verifier, &third).expect("the file was read again");
    verify(&verifier, &scene.new).unwrap();
    let error = verify(&verifier, &scene.old).unwrap_err();
    assert_eq!(error.kind(), Kind::IssuerDistrusted);
    // A file that holds nothing but distrusted keys is not used.
    scene.write(&[&scene.old]);
    verifier.reload();
    verify(&verifier, &scene.new).unwrap();
    assert_eq!(verify(&verifier, &scene.old).unwrap_err().kind(), Kind::IssuerDistrusted);
}

#[test]
fn distrusted_keys_are_added_to_the_earlier_ones() {
    let scene = Scene::new("added");
    let third = Authority::new("third").unwrap();
    scene.write(&[&scene.old, &scene.new, &third]);
    let trust = scene.trust().distrusting([pin(&scene.old)]).unwrap();
    let verifier = verifier(trust.distrusting([pin(&scene.new)]).unwrap());
    for distrusted in [&scene.old, &scene.new] {
        let error = verify(&verifier, distrusted).unwrap_err();
        assert_eq!(error.kind(), Kind::IssuerDistrusted);
    }
    verify(&verifier, &third).unwrap();
}
