//! Measures a verification beside bare webpki on the same chain, as ratios within one run, and the
//! verification of chains that are built to be expensive.
//!
//! `cargo bench --package webhook-mtls --features testing --bench verify`. The rounds of the
//! candidates are interleaved, and each figure is the median of its rounds. Fails if a limit is
//! exceeded.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, SignatureAlgorithm,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webhook_mtls::testing::{Authority, Leaf};
use webhook_mtls::verify::remember_signatures;
use webhook_mtls::{Role, Trust, Verifier, VerifierOptions};

const ROUNDS: usize = 31;
const CALLS: u32 = 200;

fn main() {
    let authority = Authority::new("bench").expect("an authority");
    let issued = authority.issue(Leaf::server("acme")).expect("a leaf");
    let trust = Trust::from_pem(authority.root_pem().as_bytes(), None, &[]).expect("trust");
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust)).expect("a verifier");
    let at = SystemTime::now();
    let ours = || {
        let peer = verifier.verify_chain(&issued.chain_der, Some("localhost"), at);
        black_box(peer.expect("valid"));
    };
    let root = CertificateDer::from_pem_slice(authority.root_pem().as_bytes()).expect("PEM");
    let bare = Bare::new(&root, &issued.chain_der, at);
    let theirs = || bare.verify();

    let mut rounds: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        remember_signatures(false);
        rounds[0].push(per_call(&theirs));
        rounds[1].push(per_call(&ours));
        remember_signatures(true);
        ours();
        rounds[2].push(per_call(&ours));
    }
    let [webpki, new, seen] = rounds.map(median);
    println!("bare webpki        {webpki:7.1} µs");
    println!("a new chain        {new:7.1} µs   {:.2} x webpki (at most 1.10)", new / webpki);
    println!("a chain seen before{seen:7.1} µs   {:.2} x webpki (at most 0.05)", seen / webpki);
    let mut kept = new / webpki <= 1.10 && seen / webpki <= 0.05;
    kept &= hostile("a mesh of 60 kB    ", &rcgen::PKCS_ECDSA_P256_SHA256, 6000, 5.0);
    kept &= hostile("a mesh of P-521    ", &rcgen::PKCS_ECDSA_P521_SHA512, 0, 10.0);
    std::process::exit(i32::from(!kept));
}

/// Measures the slowest of several meshes: nine issuers have one name, and one of them, at each
/// position in turn, claims the root as its issuer. The signature cache is off. Returns whether it
/// stays within `limit` milliseconds.
fn hostile(what: &str, algorithm: &'static SignatureAlgorithm, padding: u16, limit: f64) -> bool {
    let key = || KeyPair::generate_for(algorithm).expect("a key");
    let issuer = |name: &str, key: &KeyPair| {
        let copy = KeyPair::from_pem(&key.serialize_pem()).expect("PEM");
        Issuer::new(named(name, 0), copy)
    };
    let root = named("root", 0).self_signed(&key()).expect("a root").pem();
    let trust = Trust::from_pem(root.as_bytes(), None, &[]).expect("trust");
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust)).expect("a verifier");
    let (forger, common) = (key(), key());
    remember_signatures(false);
    let mut slowest: f64 = 0.0;
    // With position ten no issuer claims the root, and the mesh has no path.
    for bridge in 0..10 {
        let mut leaf = named("leaf", padding);
        leaf.is_ca = IsCa::NoCa;
        let mut chain = vec![leaf.signed_by(&key(), &issuer("mesh", &common)).expect("a leaf")];
        for at in 0..9 {
            let issuer =
                if at == bridge { issuer("root", &forger) } else { issuer("mesh", &common) };
            chain.push(named("mesh", padding).signed_by(&key(), &issuer).expect("an issuer"));
        }
        let chain: Vec<&[u8]> =
            chain.iter().map(|certificate| certificate.der().as_ref()).collect();
        let mut rounds: Vec<f64> = Vec::new();
        for _ in 0..5 {
            let started = Instant::now();
            let verdict = verifier.verify_chain(&chain, Some("localhost"), SystemTime::now());
            rounds.push(started.elapsed().as_secs_f64() * 1e3);
            verdict.expect_err("no path leads to the root");
        }
        slowest = slowest.max(median(rounds));
    }
    println!("{what}{slowest:7.1} ms at most (limit {limit})");
    slowest < limit
}

fn named(name: &str, padding: u16) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    if padding > 0 {
        let [high, low] = padding.to_be_bytes();
        let mut octets = vec![0x04, 0x82, high, low];
        octets.resize(octets.len() + usize::from(padding), 0);
        let arcs = [1, 3, 6, 1, 4, 1, 32473, 1];
        params.custom_extensions.push(CustomExtension::from_oid_content(&arcs, octets));
    }
    params
}

struct Bare<'a> {
    anchors: Vec<rustls_pki_types::TrustAnchor<'a>>,
    chain: Vec<CertificateDer<'a>>,
    at: UnixTime,
}

impl<'a> Bare<'a> {
    fn new(root: &'a CertificateDer<'a>, chain: &'a [Vec<u8>], at: SystemTime) -> Self {
        Self {
            anchors: vec![webpki::anchor_from_trusted_cert(root).expect("an anchor")],
            chain: chain.iter().map(|der| CertificateDer::from(&**der)).collect(),
            at: UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).expect("after 1970")),
        }
    }

    fn verify(&self) {
        let leaf = webpki::EndEntityCert::try_from(&self.chain[0]).expect("a leaf");
        let usage = webpki::KeyUsage::server_auth();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let path = leaf.verify_for_usage(
            algorithms,
            &self.anchors,
            &self.chain[1..],
            self.at,
            usage,
            None,
            None,
        );
        black_box(path.expect("valid"));
        let name = ServerName::try_from("localhost").expect("a name");
        leaf.verify_is_valid_for_subject_name(&name).expect("the name");
    }
}

fn per_call(work: &dyn Fn()) -> f64 {
    let started = Instant::now();
    for _ in 0..CALLS {
        work();
    }
    let elapsed: Duration = started.elapsed();
    elapsed.as_secs_f64() * 1e6 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
