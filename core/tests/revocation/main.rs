//! The effect of CRLs and dates on kept connections, and the reports of unused CRLs. The clock
//! belongs to the whole process, so these tests run one at a time. Run with `--features testing`.
#![cfg(feature = "testing")]

#[path = "../raw/mod.rs"]
mod raw;
mod recipe;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use webhook_mtls::bindings::runtime;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Lab, set_clock};
use webhook_mtls::verify::{CrlPolicy, Note};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Event, Identity, Kind, Receipt,
    Role, Trust, Verifier, VerifierOptions,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reserves the clock for one test; afterwards it shows the true time again.
struct Clock(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Clock {
    fn take() -> Self {
        static CLOCK: Mutex<()> = Mutex::new(());
        Self(CLOCK.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        set_clock(None);
    }
}

/// A private CA.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// The certificates from this CA up to the root, without the root.
    chain: Vec<CertificateDer<'static>>,
    root_pem: String,
}

impl Ca {
    fn params(name: &str, until: SystemTime) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = ((SystemTime::now() - HOUR).into(), until.into());
        params
    }

    fn ca_params(name: &str, until: SystemTime) -> CertificateParams {
        let mut params = Self::params(name, until);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    fn root() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::ca_params("root", SystemTime::now() + 3650 * DAY);
        let root_pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), chain: Vec::new(), root_pem }
    }

    fn intermediate(&self, until: SystemTime) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = Self::ca_params("intermediate", until);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = [&[certificate.der().clone()], &*self.chain].concat();
        Self { issuer: Issuer::new(params, key), chain, root_pem: self.root_pem.clone() }
    }

    /// Issues a leaf that is valid for years; returns its chain and key.
    fn leaf(
        &self,
        name: &str,
        serial: u64,
        purpose: ExtendedKeyUsagePurpose,
    ) -> (Vec<CertificateDer<'static>>, KeyPair) {
        let mut params = Self::params(name, SystemTime::now() + 1000 * DAY);
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        ([&[leaf.der().clone()], &*self.chain].concat(), key)
    }

    /// Our identity, certified by this CA.
    fn identity(&self) -> Identity {
        let (chain, key) = self.leaf("dispatcher", 8, ExtendedKeyUsagePurpose::ClientAuth);
        Identity::from_pem(
            &chain.iter().flat_map(|der| der.to_vec()).collect::<Vec<u8>>(),
            &key.serialize_der(),
            None,
        )
        .unwrap()
    }

    fn crl(&self, number: u64, this: SystemTime, next: SystemTime, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: this.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: this.into(),
            next_update: next.into(),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn trust(&self, crls: &[&str]) -> Trust {
        let crls: Vec<&[u8]> = crls.iter().map(|crl| crl.as_bytes()).collect();
        Trust::from_pem(self.root_pem.as_bytes(), None, &crls).unwrap()
    }
}

/// The serial number of the consumer.
const CONSUMER: u64 = 7;

/// A consumer, and a dispatcher that delivers to it.
struct Scene {
    lab: Lab,
    url: String,
    requests: Arc<AtomicUsize>,
    /// Releases the response to a request with the body `{!`.
    release: mpsc::Sender<()>,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

impl Scene {
    /// * `ca`: certifies the consumer.
    /// * `root`: the root of both sides.
    fn new(ca: &Ca, root: &Ca, trust: Trust, identity: Identity) -> Self {
        let clients = WebPkiClientVerifier::builder_with_provider(
            raw::roots(&root.root_pem),
            Arc::new(default_provider()),
        );
        let (chain, key) = ca.leaf("consumer", CONSUMER, ExtendedKeyUsagePurpose::ServerAuth);
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (release, held) = mpsc::channel();
        let (counted, held) = (requests.clone(), Mutex::new(held));
        let url = raw::serve(config, move |mut conversation| {
            while conversation.head().is_some() {
                let Some(body) = conversation.bytes(2) else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                if body == b"{!" {
                    held.lock().unwrap().recv().unwrap();
                }
                conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        });
        let lab = Lab::start().unwrap();
        let options = lab.dispatcher_options().identity(identity).trust(trust);
        let dispatcher = Dispatcher::new(options).unwrap();
        let endpoint = dispatcher.endpoint("acme", &url, EndpointOptions::new(None)).unwrap();
        Self { lab, url, requests, release, dispatcher, endpoint }
    }

    fn deliver(&self) -> Result<Receipt, Error> {
        wait(self.dispatcher.deliver(&self.endpoint, "{}", DeliverOptions::new()))
    }

    /// Delivers twice, the second time on the same connection.
    fn keep_a_connection(&self) {
        assert!(!self.deliver().unwrap().is_reused());
        assert!(self.deliver().unwrap().is_reused());
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

fn ahead(by: Duration) {
    set_clock(Some(SystemTime::now() + by));
}

#[test]
fn a_connection_is_not_used_beyond_the_crl_used_for_its_peer() {
    let _clock = Clock::take();
    let root = Ca::root();
    let now = SystemTime::now();
    let crl = root.crl(1, now - HOUR, now + HOUR, &[]);
    let scene = Scene::new(&root, &root, root.trust(&[&crl]), root.identity());
    scene.keep_a_connection();
    ahead(59 * MINUTE);
    assert!(scene.deliver().unwrap().is_reused());
    ahead(HOUR + MINUTE);
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CrlUnusable);
    assert_eq!(scene.requests.load(Ordering::SeqCst), 3);
}

#[test]
fn a_connection_is_not_used_once_a_later_crl_is_in_force() {
    let _clock = Clock::take();
    let root = Ca::root();
    let now = SystemTime::now();
    let clean = root.crl(1, now - HOUR, now + DAY, &[]);
    let revoking = root.crl(2, now + HOUR, now + DAY, &[CONSUMER]);
    let scene = Scene::new(&root, &root, root.trust(&[&clean, &revoking]), root.identity());
    scene.keep_a_connection();
    ahead(HOUR + MINUTE);
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CertificateRevoked);
}

#[test]
fn a_connection_is_not_used_beyond_the_intermediate_of_the_peer() {
    let _clock = Clock::take();
    let root = Ca::root();
    let short = root.intermediate(SystemTime::now() + HOUR);
    let scene = Scene::new(&short, &root, root.trust(&[]), root.identity());
    scene.keep_a_connection();
    ahead(HOUR + MINUTE);
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CertificateExpired);
}

#[test]
fn a_connection_is_not_used_beyond_our_own_intermediate() {
    let _clock = Clock::take();
    let root = Ca::root();
    let short = root.intermediate(SystemTime::now() + HOUR);
    let scene = Scene::new(&root, &root, root.trust(&[]), short.identity());
    scene.keep_a_connection();
    ahead(HOUR + MINUTE);
    // The consumer decides whether it accepts us: its clock shows another time here.
    assert!(!scene.deliver().unwrap().is_reused());
    assert!(!scene.deliver().unwrap().is_reused());
}

#[test]
fn a_connection_is_not_used_beyond_the_anchor() {
    let _clock = Clock::take();
    let root = Ca::root();
    let anchor = root.intermediate(SystemTime::now() + HOUR);
    let own = Ca { chain: Vec::new(), ..anchor };
    let scene = {
        let params = Ca::ca_params("intermediate", SystemTime::now() + HOUR);
        let pem = params.signed_by(own.issuer.key(), &root.issuer).unwrap().pem();
        let trust = Trust::from_pem([&pem, &*root.root_pem].concat().as_bytes(), None, &[]);
        Scene::new(&own, &root, trust.unwrap(), root.identity())
    };
    scene.keep_a_connection();
    ahead(HOUR + MINUTE);
    assert!(scene.deliver().is_err());
}

#[test]
fn an_upsert_with_a_crl_verifies_the_peer_again() {
    let _clock = Clock::take();
    let root = Ca::root();
    let now = SystemTime::now();
    let [clean, revoking] = [(1, &[][..]), (2, &[CONSUMER])]
        .map(|(number, revoked)| root.crl(number, now - HOUR, now + DAY, revoked));
    let scene = Scene::new(&root, &root, root.trust(&[&clean]), root.identity());
    scene.keep_a_connection();
    // A delivery in flight when the CRL arrives gets its response, and its connection is not kept.
    let slow = scene.dispatcher.deliver(&scene.endpoint, "{!", DeliverOptions::new());
    let (sender, receipt) = mpsc::channel();
    runtime::spawn(slow, move |outcome| sender.send(outcome).unwrap()).unwrap();
    while scene.requests.load(Ordering::SeqCst) < 3 {
        std::thread::yield_now();
    }
    let options = EndpointOptions::new(None).trust(root.trust(&[&clean, &revoking]));
    scene.dispatcher.endpoint("acme", &scene.url, options).unwrap();
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CertificateRevoked);
    scene.release.send(()).unwrap();
    assert_eq!(receipt.recv().unwrap().unwrap().status(), 200);
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CertificateRevoked);
    assert_eq!(scene.requests.load(Ordering::SeqCst), 3);
}

/// The policy of the endpoint, then that of the dispatcher, says which certificates a CRL must cover.
#[test]
fn the_crl_policy_of_the_endpoint_outranks_that_of_the_dispatcher() {
    let _clock = Clock::take();
    let now = SystemTime::now();
    let root = Ca::root();
    let intermediate = root.intermediate(now + DAY);
    let of_leaf = intermediate.crl(1, now - HOUR, now + DAY, &[]);
    let of_both = format!("{of_leaf}{}", root.crl(1, now - HOUR, now + DAY, &[]));
    let unset = None;
    for (crls, default, own, kind) in [
        (None, CrlPolicy::IfPresent, unset, None),
        (None, CrlPolicy::Require, unset, Some(Kind::CrlUnusable)),
        (None, CrlPolicy::RequireLeaf, unset, Some(Kind::CrlUnusable)),
        (None, CrlPolicy::IfPresent, Some(CrlPolicy::Require), Some(Kind::CrlUnusable)),
        (None, CrlPolicy::Require, Some(CrlPolicy::IfPresent), None),
        (Some(&of_leaf), CrlPolicy::RequireLeaf, unset, None),
        (Some(&of_leaf), CrlPolicy::Require, unset, Some(Kind::CrlUnusable)),
        (Some(&of_leaf), CrlPolicy::Require, Some(CrlPolicy::RequireLeaf), None),
        (Some(&of_both), CrlPolicy::Require, unset, None),
    ] {
        let crls: Vec<&str> = crls.into_iter().map(String::as_str).collect();
        let scene = Scene::new(&intermediate, &root, root.trust(&crls), intermediate.identity());
        let options = scene.lab.dispatcher_options().identity(intermediate.identity());
        let options = options.trust(root.trust(&crls)).crl_policy(default);
        let dispatcher = Dispatcher::new(options).unwrap();
        let mut own_options = EndpointOptions::new(None);
        if let Some(own) = own {
            own_options = own_options.crl_policy(own);
        }
        let endpoint = dispatcher.endpoint("acme", &scene.url, own_options).unwrap();
        let delivered = wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()));
        let what = format!("{} CRLs, {default:?}, {own:?}", crls.len());
        assert_eq!(delivered.err().map(|error| error.kind()), kind, "{what}");
    }
}

/// The signatures of CRLs have a limit of their own, whatever is known from earlier verifications.
#[test]
fn a_path_that_depends_on_too_many_crls_is_refused_each_time() {
    let _clock = Clock::take();
    let now = SystemTime::now();
    let root = Ca::root();
    let intermediate = root.intermediate(now + DAY);
    let (chain, _) = intermediate.leaf("client", 9, ExtendedKeyUsagePurpose::ClientAuth);
    // Of another CA with the name of the intermediate. None of them supersedes another.
    let foreign = root.intermediate(now + DAY).crl(1, now - HOUR, now + DAY, &[]);
    let own = intermediate.crl(2, now - 2 * HOUR, now + DAY, &[]);
    for (count, kind) in [(255, None), (256, Some(Kind::CrlUnusable))] {
        let crls = format!("{}{own}", foreign.repeat(count));
        let options = VerifierOptions::new(Role::Client, root.trust(&[&crls]));
        let options = options.authorization(webhook_mtls::Authorization::ca_members());
        let verifier = Verifier::new(options).unwrap();
        for _ in 0..2 {
            let verdict = verifier.verify_chain(&chain, None, now);
            assert_eq!(verdict.err().map(|error| error.kind()), kind, "{count}");
        }
    }
}

/// A change of the policy alone closes kept connections, because their peers were judged by the former.
#[test]
fn a_stricter_crl_policy_verifies_the_peer_again() {
    let _clock = Clock::take();
    let root = Ca::root();
    let scene = Scene::new(&root, &root, root.trust(&[]), root.identity());
    scene.keep_a_connection();
    let stricter = EndpointOptions::new(None).crl_policy(CrlPolicy::RequireLeaf);
    scene.dispatcher.endpoint("acme", &scene.url, stricter).unwrap();
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CrlUnusable);
}

/// CRLs of a CA that has the same name and another key.
fn foreign_crl() -> String {
    let now = SystemTime::now();
    Ca::root().crl(9, now - HOUR, now + DAY, &[])
}

fn told_of(events: impl Iterator<Item = Event>) -> Vec<(Option<String>, String)> {
    events
        .filter(|event| event.name() == EventName::CrlUnused)
        .map(|event| {
            assert_eq!(
                (&event.fields()["name"], &event.fields()["position"]),
                (&"CN=root".into(), &1.into())
            );
            let why = event.fields()["why"].as_str().unwrap().to_owned();
            (event.consumer().map(str::to_owned), why)
        })
        .collect()
}

#[test]
fn a_verifier_reports_an_unused_crl_once() {
    let _clock = Clock::take();
    let root = Ca::root();
    let (chain, _) = root.leaf("consumer", CONSUMER, ExtendedKeyUsagePurpose::ServerAuth);
    let trust = root.trust(&[&foreign_crl()]);
    assert_eq!(trust.notes().len(), 1, "{:?}", trust.notes());
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust)).unwrap();
    let events = verifier.events();
    for _ in 0..3 {
        let peer = verifier.verify_chain(&chain, Some("127.0.0.1"), SystemTime::now()).unwrap();
        assert_eq!(peer.notes(), [Note::CrlUnused, Note::RevocationUnchecked]);
    }
    let told = told_of(std::iter::from_fn(|| events.try_next()));
    assert_eq!(told, [(None, "another_key".to_owned())]);
}

#[test]
fn a_dispatcher_reports_an_unused_crl_once_per_consumer() {
    let _clock = Clock::take();
    let root = Ca::root();
    let scene = Scene::new(&root, &root, root.trust(&[&foreign_crl()]), root.identity());
    let events = scene.dispatcher.events();
    let receipt = scene.deliver().unwrap();
    assert_eq!(receipt.peer().notes(), [Note::CrlUnused, Note::RevocationUnchecked]);
    assert_eq!(receipt.to_json()["peer"]["notes"][0], "crl_unused");
    let probed = wait(scene.dispatcher.probe(&scene.endpoint, webhook_mtls::ProbeOptions::new()));
    assert!(probed.unwrap().peer().notes().contains(&Note::RevocationUnchecked));
    let told = told_of(std::iter::from_fn(|| events.try_next()));
    assert_eq!(told, [(Some("acme".to_owned()), "another_key".to_owned())]);
    drop(scene.lab);
}
