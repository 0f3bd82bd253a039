//! A delivery whose task cannot start says so, with its facts, in each way to deliver. Run with
//! `--features testing`. This is the only test of its process, because it uses all descriptors.
#![cfg(feature = "testing")]

use std::fs::File;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use webhook_mtls::testing::Lab;
use webhook_mtls::{DeliverOptions, EndpointOptions, Kind, ProbeOptions, Sent};

mod ways;
use ways::WAYS;

#[test]
fn a_delivery_without_a_runtime_has_no_attempt() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 256.min(hard), hard).unwrap();
    // No lane of the runtime has its descriptors yet.
    let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let options = || DeliverOptions::new().id("evt-1");
    let mut errors: Vec<_> = WAYS
        .iter()
        .map(|(way, deliver)| (*way, deliver(&dispatcher, &endpoint, options()).unwrap_err()))
        .collect();
    let probed = ways::probe(&dispatcher, &endpoint, ProbeOptions::new()).unwrap_err();
    let once = ways::once(&acme.url(), lab.dispatcher_options(), options()).unwrap_err();
    drop(held);
    errors.extend([("probe", probed), ("once", once)]);
    for (way, error) in errors {
        let shown = format!("{way}: {}", error.to_json());
        assert_eq!((error.kind(), error.sent()), (Kind::Overloaded, Sent::Nothing), "{shown}");
        assert_eq!(error.context()["exhausted"], "EMFILE", "{shown}");
        assert_eq!((error.attempts(), error.consumer().is_some()), (Some(0), true), "{shown}");
        assert_eq!(error.id().is_some(), way != "probe", "{shown}");
    }
    WAYS[0].1(&dispatcher, &endpoint, options()).unwrap();
}
