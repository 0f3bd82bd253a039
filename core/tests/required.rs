//! Whether a consumer requires a certificate or only requests one, shown by a connection without ours.
#![cfg(feature = "testing")]

mod raw;

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use webhook_mtls::bindings::runtime;
use webhook_mtls::diagnosis::{Check, CheckStatus, DiagnosisOptions, DiagnosisRequest, Report};
use webhook_mtls::testing::{Lab, Misbehavior};
use webhook_mtls::{EndpointOptions, Kind};

/// Serves a certificate of the lab, and requests ours without requiring it.
///
/// * `answers`: the statuses for a client with a certificate, and for one without.
fn requesting(lab: &Lab, answers: (u16, u16)) -> String {
    let verifier = WebPkiClientVerifier::builder_with_provider(
        raw::roots(&lab.trust_pem()),
        Arc::new(default_provider()),
    );
    let config = raw::config_with(lab, verifier.allow_unauthenticated(), rustls::DEFAULT_VERSIONS);
    raw::serve(config, move |mut conversation| {
        if conversation.head().is_some() {
            let status = if conversation.has_certificate() { answers.0 } else { answers.1 };
            conversation.say(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"));
            conversation.rest();
        }
    })
}

fn diagnosed(lab: &Lab, url: &str, request: Option<DiagnosisRequest>) -> Report {
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", url, EndpointOptions::new(None)).unwrap();
    let options = DiagnosisOptions::new().timeout(Duration::from_secs(20)).unwrap();
    let options = request.into_iter().fold(options, DiagnosisOptions::request);
    runtime::drive(dispatcher.diagnose(&endpoint, options), || false).unwrap().unwrap()
}

fn answer(report: &Report) -> (CheckStatus, &str) {
    let result = report.check(Check::VerdictRequired).unwrap();
    (result.status(), result.summary())
}

#[test]
fn a_consumer_that_requires_a_certificate_refuses_none() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    for request in [None, Some(DiagnosisRequest::Head), Some(DiagnosisRequest::Options)] {
        let report = diagnosed(&lab, &acme.url(), request);
        let (status, summary) = answer(&report);
        assert_eq!(status, CheckStatus::Passed, "{report}");
        assert!(summary.contains("alert certificate_required"), "{summary}");
        assert!(report.ok() && report.warnings().next().is_none(), "{report}");
    }
    // Only the requests with our certificate arrived, and they have no payload.
    assert_eq!(acme.received().len(), 2);
    assert!(acme.received().iter().all(|request| request.body.is_empty()));
}

#[test]
fn a_consumer_that_only_requests_one_is_found_with_a_request() {
    let lab = Lab::start().unwrap();
    for (answers, expected, word) in [
        ((204, 204), CheckStatus::Warning, "HTTP 204"),
        ((405, 405), CheckStatus::Warning, "HTTP 405"),
        // The application requires it, or the rules of the server do.
        ((204, 403), CheckStatus::Passed, "HTTP 403"),
        ((204, 401), CheckStatus::Passed, "HTTP 401"),
        ((204, 496), CheckStatus::Passed, "HTTP 496"),
        // It refuses this request of everyone, so nothing follows.
        ((403, 403), CheckStatus::NotReached, "not known"),
    ] {
        let url = requesting(&lab, answers);
        let report = diagnosed(&lab, &url, Some(DiagnosisRequest::Options));
        let (status, summary) = answer(&report);
        assert_eq!(status, expected, "{answers:?}: {report}");
        assert!(summary.contains(word), "{answers:?}: {summary}");
        assert!(report.ok(), "{report}");
    }
    let report = diagnosed(&lab, &requesting(&lab, (204, 204)), None);
    let (status, summary) = answer(&report);
    assert_eq!(status, CheckStatus::NotReached, "{report}");
    assert!(summary.contains("ask with a request"), "{summary}");
}

#[test]
fn a_consumer_at_fault_is_not_asked_again() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    for (how, kind) in [
        (Misbehavior::Expired, Kind::CertificateExpired),
        (Misbehavior::NeverAsk, Kind::ClientAuthNotRequested),
        (Misbehavior::RejectCertificate, Kind::ClientCertificateRejected),
    ] {
        let before = acme.connections();
        acme.misbehave(how, 9);
        let report = diagnosed(&lab, &acme.url(), Some(DiagnosisRequest::Head));
        assert_eq!(report.verdict().kind(), Some(kind), "{report}");
        assert_eq!(answer(&report).0, CheckStatus::NotReached, "{report}");
        assert_eq!(acme.connections(), before + 1);
        acme.behave();
    }
}
