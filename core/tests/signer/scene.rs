//! A key that only a signer has, and a dispatcher that delivers with it.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use webhook_mtls::bindings::runtime;
use webhook_mtls::material::{SignatureRequest, Signer, SignerError};
use webhook_mtls::testing::{Consumer, Lab};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Identity, Probe, ProbeOptions,
    Receipt,
};

/// Longer than any step here takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

/// The owner of a key, which signs as rustls does for a key in memory.
pub(crate) struct Owner(Arc<dyn SigningKey>);

impl Owner {
    pub(crate) fn new(key_pem: &str) -> Self {
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
        Self(any_supported_type(&key).unwrap())
    }

    pub(crate) fn sign(&self, request: &SignatureRequest<'_>) -> Vec<u8> {
        let scheme = rustls::SignatureScheme::from(request.scheme as u16);
        self.0.choose_scheme(&[scheme]).expect("its scheme").sign(request.message).unwrap()
    }
}

/// A door that calls wait at, until a test opens it.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<(Mutex<DoorState>, Condvar)>);

#[derive(Default)]
struct DoorState {
    is_open: bool,
    waiting: usize,
    passed: usize,
}

impl Door {
    pub(crate) fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.waiting += 1;
        changed.notify_all();
        let mut state = changed.wait_while(state, |state| !state.is_open).unwrap();
        state.waiting -= 1;
        state.passed += 1;
        changed.notify_all();
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().is_open = true;
        self.0.1.notify_all();
    }

    /// Waits until this many calls wait at the door.
    pub(crate) fn await_waiting(&self, count: usize) {
        self.await_state(|state| state.waiting == count);
    }

    /// Waits until this many calls have passed.
    pub(crate) fn await_passed(&self, count: usize) {
        self.await_state(|state| state.passed == count);
    }

    fn await_state(&self, reached: impl Fn(&DoorState) -> bool) {
        let state = self.0.0.lock().unwrap();
        let waited = self.0.1.wait_timeout_while(state, LONG, |state| !reached(state)).unwrap();
        assert!(!waited.1.timed_out(), "the calls did not come");
    }
}

/// A signer that waits at a door, with a limit of calls of its own.
pub(crate) struct Slow {
    pub(crate) owner: Owner,
    pub(crate) door: Door,
    pub(crate) limit: usize,
    pub(crate) now: Arc<AtomicUsize>,
    pub(crate) most: Arc<AtomicUsize>,
}

impl Slow {
    pub(crate) fn new(scene: &Scene, door: &Door, limit: usize) -> Self {
        let (now, most) = (Arc::default(), Arc::default());
        Self { owner: scene.owner(), door: door.clone(), limit, now, most }
    }
}

impl Signer for Slow {
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        self.door.pass();
        self.now.fetch_sub(1, SeqCst);
        Ok(self.owner.sign(request))
    }

    fn concurrency(&self) -> usize {
        self.limit
    }
}

pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) acme: Consumer,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        Self { lab, acme }
    }

    /// The owner of the key of the lab's identity.
    pub(crate) fn owner(&self) -> Owner {
        Owner::new(&self.lab.identity_pem().1)
    }

    pub(crate) fn identity(&self, signer: impl Signer) -> Identity {
        Identity::from_signer(self.lab.identity_pem().0.as_bytes(), signer).unwrap()
    }

    pub(crate) fn of(&self, signer: impl Signer) -> Sender {
        self.within(LONG, signer)
    }

    /// A dispatcher with this signer and this deadline of the handshake.
    pub(crate) fn within(&self, handshake: Duration, signer: impl Signer) -> Sender {
        let options = self.lab.dispatcher_options().identity(self.identity(signer));
        let options = options.handshake_timeout(handshake).unwrap().timeout(2 * LONG).unwrap();
        let dispatcher = Dispatcher::new(options).unwrap();
        let endpoint = dispatcher.endpoint("acme", &self.acme.url(), EndpointOptions::new(None));
        Sender { endpoint: endpoint.unwrap(), dispatcher }
    }
}

#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) dispatcher: Dispatcher,
    pub(crate) endpoint: Endpoint,
}

impl Sender {
    pub(crate) fn deliver(&self) -> Result<Receipt, Error> {
        self.deliver_with(DeliverOptions::new())
    }

    pub(crate) fn deliver_with(&self, options: DeliverOptions) -> Result<Receipt, Error> {
        wait(self.dispatcher.deliver(&self.endpoint, "{}", options))
    }

    pub(crate) fn probe(&self) -> Result<Probe, Error> {
        wait(self.dispatcher.probe(&self.endpoint, ProbeOptions::new()))
    }

    /// Delivers on another thread.
    pub(crate) fn start(&self) -> thread::JoinHandle<Result<Receipt, Error>> {
        let sender = self.clone();
        thread::spawn(move || sender.deliver())
    }

    /// Returns how many signatures ended so.
    pub(crate) fn signatures(&self, outcome: &str) -> u64 {
        let metrics = self.dispatcher.metrics().to_json();
        let samples = metrics["webhook_mtls_signatures_total"]["samples"].as_array().cloned();
        let of = |sample: &serde_json::Value| sample["labels"]["outcome"] == outcome;
        let sample = samples.unwrap_or_default().into_iter().find(of);
        sample.map_or(0, |sample| sample["value"].as_u64().unwrap())
    }
}
