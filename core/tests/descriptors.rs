//! A process without free file descriptors reports it, and blames neither the consumer nor the
//! network. Run with `--features testing`. This is the only test of its process, because it uses
//! all descriptors.
#![cfg(feature = "testing")]

use std::fs::File;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, Dispatcher, EndpointOptions, Error, Kind, Receipt, Retry, Sent, Trust,
};

fn deliver(dispatcher: &Dispatcher, consumer: &str, url: &str) -> Result<Receipt, Error> {
    let endpoint = dispatcher.endpoint(consumer, url, EndpointOptions::new(None)).unwrap();
    let delivery = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
    runtime::drive(delivery, || false).expect("nothing interrupts")
}

#[test]
fn a_lack_of_descriptors_is_overloaded_and_ours() {
    let lab = Lab::start().unwrap();
    let (acme, other) = (lab.consumer("acme").unwrap(), lab.consumer("other").unwrap());
    let files = std::env::temp_dir().join(format!("descriptors-{}", std::process::id()));
    lab.write_files(&files).unwrap();
    let dispatcher = lab.dispatcher();
    // From here on the runtime has its own descriptors.
    deliver(&dispatcher, "acme", &acme.url()).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256.min(hard), hard).unwrap();
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let connecting = deliver(&dispatcher, "other", &other.url());
    let resolving = deliver(&dispatcher, "named", "https://hooks.acme.example/");
    let loading = Trust::from_files(files.join("ca.pem"), None, None);
    drop(held);
    for (outcome, stage) in [
        (connecting.map(drop), Stage::Admit),
        (resolving.map(drop), Stage::Admit),
        (loading.map(drop), Stage::Config),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (Kind::Overloaded, stage), "{error}");
        assert_eq!((error.blame(), error.scope()), (Blame::Ours, Scope::Process));
        assert_eq!((error.retry(), error.sent()), (Retry::Later, Sent::Nothing));
        assert_eq!(error.context()["exhausted"], "EMFILE");
        assert!(error.remedy().contains("ulimit -n"), "{}", error.remedy());
    }
    // Nothing remains that a delivery would still need.
    assert!(deliver(&dispatcher, "other", &other.url()).is_ok());
    Trust::from_files(files.join("ca.pem"), None, None).unwrap();
    std::fs::remove_dir_all(files).unwrap();
}
