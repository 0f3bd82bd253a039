//! A model of a dispatcher's promises. After any call has returned, nothing starts on values that
//! the call replaced. No limit is exceeded. Every delivery ends once, with a true report.
//!
//! Calls are made at random, one after the other, while deliveries run. After each call the
//! receiver reads all data that left before, and counts the call. The model therefore knows
//! exactly, without a clock, under which settings a request may have begun: those when the last
//! counted call had returned, or those of the next call.

mod checks;
mod lifetime;
mod receiver;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use lifetime::Lifetime;
use receiver::{Material, Receiver, Request};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use webhook_mtls::testing::{Authority, Issued, Leaf};
use webhook_mtls::{Endpoint, EndpointOptions, Identity, Trust};

const SITES: usize = 3;
const IDENTITIES: usize = 4;
const CONSUMERS: usize = 3;
/// The steps of one dispatcher before it is closed.
const ERA: u32 = 400;
/// The number of eras after which the process has created all state that it keeps: a runtime, and a
/// lane for each consumer.
const WARM: u32 = 3;
const BAD_PIN: &str = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// The statistics of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u32,
    pub(crate) deliveries: u64,
    pub(crate) receipts: u64,
    pub(crate) requests: u64,
    /// Deliveries that ended because their endpoint was removed.
    pub(crate) closed: u64,
    /// Receipts and errors of more than one attempt.
    pub(crate) again: u64,
}

/// Makes this many random calls, and panics with the seed in the message if a promise is broken.
pub(crate) fn run(steps: u32, seed: u64) -> Tally {
    let mut random = Random(seed);
    let world = World::new(&mut random);
    let mut tally = Tally::default();
    let mut descriptors = 0;
    for lifetime in 0.. {
        if tally.steps >= steps {
            break;
        }
        let mut now =
            Lifetime::begin(&world, &mut random, format!("seed {seed}, lifetime {lifetime}"));
        for _ in 0..ERA.min(steps - tally.steps) {
            now.step();
            tally.steps += 1;
        }
        now.end(&mut tally);
        let open = fs::read_dir("/proc/self/fd").expect("procfs").count();
        assert!(
            lifetime < WARM || open <= descriptors,
            "{open} descriptors, seed {seed}, lifetime {lifetime}"
        );
        descriptors = descriptors.max(open);
    }
    tally
}

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    #[allow(clippy::cast_possible_truncation, reason = "bounds are small")]
    fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// From 0 to below 1.
    #[allow(clippy::cast_precision_loss, reason = "a millionth is fine enough")]
    pub(crate) fn fraction(&mut self) -> f64 {
        self.below(1_000_000) as f64 / 1_000_000.0
    }
}

/// State that outlives the dispatchers.
struct World {
    receiver: Receiver,
    identities: Vec<Identity>,
    trust: Trust,
    pin: String,
    files: PathBuf,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let authority = Authority::new("model").expect("an authority");
        let server = authority.issue(Leaf::server("site")).expect("a certificate");
        // Each identity has its own CA, so that a site can refuse one and accept the others.
        let authorities: Vec<Authority> =
            (0..IDENTITIES).map(|_| Authority::new("ours").expect("an authority")).collect();
        let issued: Vec<Issued> = authorities
            .iter()
            .map(|authority| authority.issue(Leaf::client("ours")).expect("a certificate"))
            .collect();
        let taking = |but: Option<usize>| {
            let taken = authorities.iter().enumerate().filter(|(number, _)| Some(*number) != but);
            config(&server, taken.map(|(_, authority)| authority.root_pem()))
        };
        let material = Material {
            all: taking(None),
            but: (0..IDENTITIES).map(|number| taking(Some(number))).collect(),
            leaves: issued.iter().map(|issued| issued.chain_der[0].clone()).collect(),
        };
        let identity = |issued: &Issued| {
            let (chain, key) = (issued.chain_pem.as_bytes(), issued.key_pem.as_bytes());
            Identity::from_pem(chain, key, None).expect("an identity")
        };
        let files = std::env::temp_dir().join(format!("model-{}", std::process::id()));
        fs::create_dir_all(&files).expect("a directory");
        Self {
            receiver: Receiver::start(SITES, material, Random(random.next())),
            identities: issued.iter().map(identity).collect(),
            trust: Trust::from_pem(authority.root_pem().as_bytes(), None, &[]).expect("trust"),
            pin: server.pin.clone(),
            files,
        }
    }

    /// The file with the pins of a consumer.
    fn pins_of(&self, consumer: usize) -> PathBuf {
        self.files.join(format!("pins-{consumer}"))
    }

    fn write_pins(&self, consumer: usize, good: bool) {
        let pin = if good { &self.pin } else { BAD_PIN };
        fs::write(self.pins_of(consumer), pin).expect("a file");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

fn config<'a>(server: &Issued, roots: impl Iterator<Item = &'a str>) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let mut store = RootCertStore::empty();
    for root in roots {
        let root = CertificateDer::from_pem_slice(root.as_bytes()).expect("a certificate");
        store.add(root).expect("a root");
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(store.into(), provider.clone());
    // Without CA hints: a client then presents its certificate.
    let verifier = verifier.clear_root_hint_subjects().build().expect("a verifier");
    let chain = CertificateDer::pem_slice_iter(server.chain_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.collect::<Result<_, _>>().expect("a chain"), key)
        .expect("a configuration");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

/// The settings of an endpoint, as far as a request shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    generation: u64,
    site: usize,
    identity: usize,
    /// The identities that may be presented if the current one is refused.
    previous: BTreeSet<usize>,
    pins: PinsOf,
    good: bool,
    limit: u64,
    removed: bool,
}

/// The source of an endpoint's pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PinsOf {
    Nowhere,
    Value,
    File,
}

/// An endpoint from its first upsert to its removal, with its settings after each call.
struct Model {
    number: u64,
    consumer: usize,
    handle: Endpoint,
    url: String,
    options: EndpointOptions,
    history: Vec<(u64, Settings)>,
}

impl Model {
    fn now(&self) -> &Settings {
        &self.history.last().expect("it was made").1
    }

    /// Returns the settings after this many returned calls.
    fn after(&self, epoch: u64) -> Option<&Settings> {
        let later = self.history.partition_point(|(since, _)| *since <= epoch);
        Some(&self.history[later.checked_sub(1)?].1)
    }
}

impl Settings {
    fn allows(&self, request: &Request) -> bool {
        let identity = request.identity;
        !self.removed
            && self.good
            && self.generation == request.generation
            && self.site == request.site
            && (self.identity == identity || self.previous.contains(&identity))
    }
}
