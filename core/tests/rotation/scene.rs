//! A directory of files that a dispatcher watches, and deliveries that continue while they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use webhook_mtls::bindings::runtime;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Consumer, Lab, Leaf};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Event, Identity, Pins, Receipt,
    Trust,
};

pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

/// A directory of files that a dispatcher watches, and its deliveries and events.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) acme: Consumer,
    pub(crate) files: PathBuf,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) endpoint: Endpoint,
}

impl Scene {
    pub(crate) fn new(name: &str, pinned: bool) -> Self {
        Self::with(name, pinned, |directory, files| {
            for (file, text) in files {
                fs::write(directory.join(file), text).unwrap();
            }
        })
    }

    /// Creates a scene in which `lay` writes the files with these names and contents.
    pub(crate) fn with(
        name: &str,
        pinned: bool,
        lay: impl FnOnce(&Path, &[(&str, String)]),
    ) -> Self {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let files = std::env::temp_dir().join(format!("rotation-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&files);
        fs::create_dir_all(&files).unwrap();
        let (cert, key) = lab.identity_pem();
        let crl = lab.authority().crl(&[]).unwrap();
        let pins = acme.pin();
        let texts = [
            ("tls.crt", cert),
            ("tls.key", key),
            ("ca.pem", lab.trust_pem()),
            ("crl.pem", crl),
            ("pins", pins),
        ];
        lay(&files, &texts);
        let mut options = lab
            .dispatcher_options()
            .identity(
                Identity::from_files(files.join("tls.crt"), files.join("tls.key"), None).unwrap(),
            )
            .trust(
                Trust::from_files(files.join("ca.pem"), None, Some(&files.join("crl.pem")))
                    .unwrap(),
            );
        // Files are read only when a test asks.
        options = options.reload(None).unwrap();
        let dispatcher = Dispatcher::new(options).unwrap();
        let pins = pinned.then(|| Pins::from_file(files.join("pins")).unwrap());
        let endpoint =
            dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(pins)).unwrap();
        Self { lab, acme, files, dispatcher, endpoint }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.file(name), text).unwrap();
    }

    /// Writes beside the file and renames it into place.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let beside = self.file("beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.file(name)).unwrap();
    }

    pub(crate) fn deliver(&self) -> Result<Receipt, Error> {
        wait(self.dispatcher.deliver(&self.endpoint, "{}", DeliverOptions::new()))
    }

    pub(crate) fn reload(&self) -> Vec<Event> {
        let told =
            |event: &Event| !matches!(event.name(), EventName::KeyReadable | EventName::Expiry);
        wait(self.dispatcher.reload()).unwrap().into_iter().filter(told).collect()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.reload().iter().map(|event| event.name().name()).collect()
    }

    /// Returns another identity of the lab.
    pub(crate) fn next_identity(&self) -> (String, String) {
        let issued = self.lab.authority().issue(Leaf::client("second")).unwrap();
        (issued.chain_pem, issued.key_pem)
    }

    /// Returns the name in our certificate that the consumer accepted last.
    pub(crate) fn seen_as(&self) -> String {
        self.acme.received().last().and_then(|received| received.tenant.clone()).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// Deliveries that continue while files change.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    failures: Arc<Mutex<Vec<Error>>>,
    workers: Vec<JoinHandle<usize>>,
}

impl Traffic {
    pub(crate) fn begin(scene: &Scene) -> Self {
        let (stop, failures) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let workers = (0..2).map(|_| {
            let (dispatcher, endpoint) = (scene.dispatcher.clone(), scene.endpoint.clone());
            let stop = Arc::clone(&stop);
            let failures: Arc<Mutex<Vec<Error>>> = Arc::clone(&failures);
            thread::spawn(move || {
                let mut delivered = 0;
                while !stop.load(Ordering::Relaxed) {
                    match wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new())) {
                        Ok(_) => delivered += 1,
                        Err(error) => failures.lock().unwrap().push(error),
                    }
                }
                delivered
            })
        });
        let workers = workers.collect();
        Self { stop, failures, workers }
    }

    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let delivered: usize = self.workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert!(delivered > 0);
        assert!(self.failures.lock().unwrap().is_empty(), "{:?}", self.failures.lock().unwrap());
    }
}
