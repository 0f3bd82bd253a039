//! A diagnosis after our certificate has expired. In a process of its own, because the clock belongs to the
//! process. Run with `--features testing`.
#![cfg(feature = "testing")]

use std::time::{Duration, SystemTime};

use webhook_mtls::bindings::runtime;
use webhook_mtls::diagnosis::{Addressee, Check, CheckStatus, DiagnosisOptions};
use webhook_mtls::error::Blame;
use webhook_mtls::testing::{Lab, Leaf, set_clock};
use webhook_mtls::{EndpointOptions, Kind};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn an_identity_that_expired_is_not_presented_and_the_rest_is_diagnosed() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let leaf = Leaf::server("acme").between(None, Some(SystemTime::now() + 5 * DAY));
    acme.show(lab.authority().issue(leaf).unwrap());
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    // Our certificate ends after a day.
    set_clock(Some(SystemTime::now() + 2 * DAY));
    let diagnosis = dispatcher.diagnose(&endpoint, DiagnosisOptions::new());
    let report = runtime::drive(diagnosis, || false).unwrap().unwrap();
    let kinds: Vec<Kind> = report.findings().iter().map(|finding| finding.error.kind()).collect();
    assert_eq!(kinds, [Kind::IdentityUnusable], "{report}");
    assert_eq!(report.verdict().blame(), Some(Blame::Ours));
    assert_eq!(report.verdict().tell(), Addressee::Us);
    let status = |check| report.check(check).unwrap().status();
    assert_eq!(status(Check::IdentityDates), CheckStatus::Failed, "{report}");
    assert_eq!(status(Check::HandshakeChain), CheckStatus::Passed, "{report}");
    assert_eq!(status(Check::VerdictCertificate), CheckStatus::NotReached, "{report}");
    assert_eq!(acme.handshakes(), 0, "our certificate was not presented");
    assert_eq!(report.message_to_consumer(), None);
}
