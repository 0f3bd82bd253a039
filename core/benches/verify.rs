//! The cost of a verification beside bare webpki on the same chain, as ratios of one run.
//!
//! `cargo bench --package webhook-mtls --features testing --bench verify`. Rounds of the candidates
//! are interleaved; each figure is the median of its rounds. Fails where a promised ratio is broken.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webhook_mtls::testing::{Authority, Leaf};
use webhook_mtls::{Role, Trust, Verifier, VerifierOptions, remember_signatures};

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
    println!("a new chain        {new:7.1} µs   {:.2} x webpki (at most 1.15)", new / webpki);
    println!("a chain seen before{seen:7.1} µs   {:.2} x webpki (at most 0.15)", seen / webpki);
    std::process::exit(i32::from(new / webpki > 1.15 || seen / webpki > 0.15));
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
