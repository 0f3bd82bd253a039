//! Results of deliveries, compared with the records of the testing kit's receiver. Run with
//! `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod raw;

use std::future::Future;
use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use calm::patiently;
use webhook_mtls::MinTls;
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::testing::{Answer, Consumer, Lab, Misbehavior};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Pins, Receipt,
    Retry, Sent,
};

const SOON: Duration = Duration::from_secs(10);

struct Scene {
    lab: Lab,
    acme: Consumer,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

fn scene() -> Scene {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    // Some tests fail ten times in a row.
    let options = lab.dispatcher_options().circuit_failures(0).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let pins = Pins::new([acme.pin()]).unwrap();
    let endpoint =
        dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins))).unwrap();
    Scene { lab, acme, dispatcher, endpoint }
}

impl Scene {
    fn deliver(&self, body: &[u8], options: DeliverOptions) -> Result<Receipt, Error> {
        wait(self.dispatcher.deliver(&self.endpoint, body.to_vec(), options))
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    runtime::drive(work, || false).expect("never interrupted")
}

fn outcome<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    runtime::spawn(work, move |output| sender.send(output).unwrap()).unwrap();
    receiver
}

#[test]
fn a_receipt_shows_the_negotiated_tls() {
    let scene = scene();
    let receipt = scene.deliver(b"{}", DeliverOptions::new().id("evt_1")).unwrap();
    assert_eq!((receipt.status(), receipt.attempts(), receipt.id()), (200, 1, Some("evt_1")));
    assert_eq!(receipt.tls().version, "TLSv1.3");
    assert_eq!(receipt.tls().key_exchange, "X25519MLKEM768");
    assert!(receipt.tls().client_auth_requested);
    assert_eq!(receipt.peer().spki_pin(), scene.acme.pin());
    let received = scene.acme.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].tenant.as_deref(), Some("dispatcher"));
    assert_eq!(scene.endpoint.status().pin_seen, Some(scene.acme.pin()));
    assert!(scene.endpoint.status().pins_never_seen.is_empty());
}

#[test]
fn tls_1_2_is_used_only_if_allowed() {
    let scene = scene();
    let old =
        raw::serve(raw::config(&scene.lab, &[&rustls::version::TLS12]), |mut conversation| {
            if conversation.head().is_some() {
                conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        });
    let deliver = |name: &str, url: &str, min_tls: &str| {
        let mut options = EndpointOptions::new(None);
        options = options.min_tls(MinTls::from_name(min_tls).unwrap());
        let endpoint = scene.dispatcher.endpoint(name, url, options).unwrap();
        let delivery = scene.dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
        wait(delivery).map(|receipt| receipt.tls().version)
    };
    let refused = deliver("old", &old, "1.3").unwrap_err();
    assert_eq!((refused.kind(), refused.sent()), (Kind::TlsFailed, Sent::Nothing));
    assert_eq!(deliver("old", &old, "1.2").unwrap(), "TLSv1.2");
    // The receiver of the lab supports both versions; the newer one is used.
    assert_eq!(deliver("new", &scene.acme.url(), "1.2").unwrap(), "TLSv1.3");
}

#[test]
fn a_rejected_certificate_is_detected_ten_times_of_ten() {
    let scene = scene();
    for body in [&b"{}"[..], &vec![b'x'; 20 * 1024 * 1024]] {
        for round in 0..10 {
            scene.acme.misbehave(Misbehavior::RejectCertificate, 1);
            let error = scene.deliver(body, DeliverOptions::new()).unwrap_err();
            assert_eq!(error.kind(), Kind::ClientCertificateRejected, "round {round}: {error}");
            assert_eq!(error.context()["alert"], "unknown_ca");
            assert_eq!((error.sent(), error.retry()), (Sent::Nothing, Retry::AfterRepair));
            assert_eq!((error.scope(), error.blame()), (Scope::Endpoint, Blame::Unknown));
        }
    }
    assert!(scene.acme.received().is_empty());
}

#[test]
fn a_certificate_rejected_on_tls_1_2_is_detected_ten_times_of_ten() {
    let scene = scene();
    let (sender, ended) = mpsc::channel();
    let url = raw::refuse(&scene.lab, &rustls::version::TLS12, move |mut conversation| {
        let request = conversation.head();
        conversation.drain();
        let _ = sender.send(request);
    });
    let mut options = EndpointOptions::new(None);
    options = options.min_tls(MinTls::V1_2);
    let endpoint = scene.dispatcher.endpoint("old", &url, options).unwrap();
    for body in [&b"{}"[..], &vec![b'x'; 20 * 1024 * 1024]] {
        for round in 0..10 {
            let delivery =
                scene.dispatcher.deliver(&endpoint, body.to_vec(), DeliverOptions::new());
            let error = wait(delivery).unwrap_err();
            assert_eq!(error.kind(), Kind::ClientCertificateRejected, "round {round}: {error}");
            let context = error.context();
            assert_eq!(
                (&context["via"], &context["alert"]),
                (&"alert".into(), &"unknown_ca".into())
            );
            // On TLS 1.2 the verdict is part of the handshake, so no request byte can precede it.
            assert_eq!((error.stage(), error.sent()), (Stage::Handshake, Sent::Nothing));
            assert_eq!((error.scope(), error.blame()), (Scope::Endpoint, Blame::Unknown));
            assert_eq!(ended.recv_timeout(SOON).unwrap(), None, "round {round}");
        }
    }
    assert!(ended.try_recv().is_err(), "one connection for each delivery");
}

#[test]
fn a_canceled_delivery_reports_sent() {
    let scene = scene();
    scene.acme.misbehave(Misbehavior::Stall, 1);
    let token = CancelToken::new();
    let options = DeliverOptions::new().cancel(token.clone());
    let delivery = outcome(scene.dispatcher.deliver(&scene.endpoint, "{}", options));
    assert!(scene.acme.wait(1, SOON), "the receiver holds the request");
    token.cancel();
    let error = delivery.recv_timeout(SOON).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Canceled);
    // The receiver may hold the last byte before our flush returns.
    assert_ne!(error.sent(), Sent::Nothing);
    assert_eq!(error.blame(), Blame::Caller);
}

#[test]
fn a_token_canceled_before_sends_nothing() {
    let scene = scene();
    let token = CancelToken::new();
    token.cancel();
    let error = scene.deliver(b"{}", DeliverOptions::new().cancel(token)).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::Canceled, Sent::Nothing));
    assert_eq!(scene.acme.connections(), 0);
}

#[test]
fn closing_cancels_deliveries_after_the_drain_time() {
    let scene = scene();
    scene.acme.misbehave(Misbehavior::Stall, 1);
    let delivery = outcome(scene.dispatcher.deliver(&scene.endpoint, "{}", DeliverOptions::new()));
    assert!(scene.acme.wait(1, SOON));
    wait(scene.dispatcher.close(Duration::from_millis(50)));
    assert_eq!(delivery.recv_timeout(SOON).unwrap().unwrap_err().kind(), Kind::Canceled);
    let late = scene.deliver(b"{}", DeliverOptions::new()).unwrap_err();
    assert_eq!((late.kind(), late.sent()), (Kind::HandleClosed, Sent::Nothing));
}

#[test]
fn closing_waits_for_deliveries_in_flight() {
    let scene = scene();
    let deliveries: Vec<_> = (0..16)
        .map(|_| outcome(scene.dispatcher.deliver(&scene.endpoint, "{}", DeliverOptions::new())))
        .collect();
    wait(scene.dispatcher.close(SOON));
    for delivery in deliveries {
        assert!(delivery.recv_timeout(SOON).unwrap().is_ok());
    }
}

#[test]
fn the_total_deadline_holds_and_reports_sent() {
    patiently(|patience| {
        let scene = scene();
        scene.acme.misbehave(Misbehavior::Stall, 1);
        let started = Instant::now();
        let options = DeliverOptions::new().timeout(Duration::from_millis(300) * patience).unwrap();
        let error = scene.deliver(b"{}", options).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::DeadlineExceeded, Sent::All));
        assert_eq!(error.context()["deadline"], "total");
        assert!(started.elapsed() < SOON);
    });
}

#[test]
fn a_connection_closed_while_idle_costs_no_delivery() {
    let scene = scene();
    for round in 0..20 {
        let receipt = scene.deliver(b"{}", DeliverOptions::new()).unwrap();
        assert_eq!(receipt.status(), 200);
        // Closes the idle connections; the pin stays the same.
        scene.acme.renew(false).unwrap();
        assert_eq!(scene.acme.received().len(), round + 1, "each payload arrives once");
    }
}

#[test]
fn new_values_make_a_new_generation_of_one_endpoint() {
    let scene = scene();
    scene.deliver(b"1", DeliverOptions::new()).unwrap();
    let pins = Pins::new([scene.acme.pin()]).unwrap();
    let url = scene.acme.url();
    let same = scene.dispatcher.endpoint("acme", &url, EndpointOptions::new(Some(pins))).unwrap();
    assert_eq!(same, scene.endpoint);
    assert!(scene.deliver(b"2", DeliverOptions::new()).unwrap().is_reused());
    let wrong = Pins::new(["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]).unwrap();
    let changed =
        scene.dispatcher.endpoint("acme", &url, EndpointOptions::new(Some(wrong))).unwrap();
    assert_eq!(changed, scene.endpoint);
    // The idle connection was opened under the old pins and must not be used.
    let error = scene.deliver(b"3", DeliverOptions::new()).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::PinMismatch, Sent::Nothing));
    assert_eq!(error.context()["observed_pin"], scene.acme.pin().as_str());
    assert_eq!(scene.acme.received().len(), 2);
}

#[test]
fn an_endpoint_works_only_with_its_own_dispatcher() {
    let scene = scene();
    let other = scene.lab.dispatcher();
    let error = wait(other.deliver(&scene.endpoint, "{}", DeliverOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (Kind::OptionInvalid, Stage::Config));
}

#[test]
fn a_removed_endpoint_takes_no_delivery() {
    let scene = scene();
    scene.deliver(b"{}", DeliverOptions::new()).unwrap();
    assert!(scene.dispatcher.remove("acme"));
    assert!(!scene.dispatcher.remove("acme"));
    let error = scene.deliver(b"{}", DeliverOptions::new()).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::HandleClosed, Sent::Nothing));
}

#[test]
fn no_error_shows_payload_or_headers() {
    const SECRET: &str = "hunter2-payload-and-token";
    let scene = scene();
    let headers = vec![("authorization".to_owned(), format!("Bearer {SECRET}"))];
    for how in Misbehavior::ALL {
        scene.acme.misbehave(*how, 1);
        let mut options = DeliverOptions::new().headers(headers.clone());
        options = options.timeout(Duration::from_millis(400)).unwrap();
        let error = scene.deliver(SECRET.as_bytes(), options).unwrap_err();
        let shown = format!("{error} {error:?} {} {}", error.to_json(), error.public());
        assert!(!shown.contains("hunter2"), "{}: {shown}", how.name());
        scene.acme.behave();
    }
    let headers = vec![("x-token".to_owned(), format!("{SECRET}\r\nx: y"))];
    let error = scene.deliver(b"{}", DeliverOptions::new().headers(headers)).unwrap_err();
    assert_eq!(error.kind(), Kind::HeaderInvalid);
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_dropped_future_cuts_the_connection() {
    let scene = scene();
    let (sender, seen) = mpsc::channel();
    let url = raw::listen(&scene.lab, move |mut conversation| {
        let _ = sender.send(conversation.head());
        // Returns when the client ends the connection: no response was sent.
        let _ = sender.send(Some(conversation.rest()));
    });
    let endpoint = scene.dispatcher.endpoint("raw", &url, EndpointOptions::new(None)).unwrap();
    let delivery = scene.dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
    let is_read = || seen.recv_timeout(SOON).expect("the head arrives").is_some();
    assert!(runtime::drive(delivery, is_read).is_none());
    assert_eq!(seen.recv_timeout(SOON).expect("the connection ends"), Some(b"{}".to_vec()));
}

#[test]
fn the_response_is_read_only_to_the_limit() {
    let scene = scene();
    let long = Answer { body: vec![b'a'; 100_000], ..Answer::status(200) };
    scene.acme.respond(long, 1);
    let receipt = scene.deliver(b"{}", DeliverOptions::new()).unwrap();
    assert!(receipt.response().truncated);
    assert_eq!(receipt.response().excerpt.len(), 1024);
    assert!(!scene.deliver(b"{}", DeliverOptions::new()).unwrap().is_reused());
    let options = EndpointOptions::new(None).response_excerpt(64 * 1024).unwrap();
    scene.dispatcher.endpoint("acme", &scene.acme.url(), options).unwrap();
    for (body, shown) in [(100_000, 64 * 1024), (64 * 1024, 64 * 1024)] {
        let long = Answer { body: vec![b'a'; body], ..Answer::status(503) };
        scene.acme.respond(long, 1);
        let error = scene.deliver(b"{}", DeliverOptions::new()).unwrap_err();
        let response = error.response().unwrap();
        assert_eq!((response.excerpt.len(), response.truncated), (shown, body > shown));
    }
}

#[test]
fn blame_is_ours_after_three_consumers_refuse_our_certificate() {
    let scene = scene();
    let refused = |name: &str| {
        let consumer = scene.lab.consumer(name).unwrap();
        consumer.misbehave(Misbehavior::RejectCertificate, 1);
        let options = EndpointOptions::new(None);
        let endpoint = scene.dispatcher.endpoint(name, &consumer.url(), options).unwrap();
        let delivery = scene.dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
        let error = wait(delivery).unwrap_err();
        assert_eq!(error.kind(), Kind::ClientCertificateRejected);
        (error.blame(), error.context()["refused_by"].as_u64().unwrap())
    };
    assert_eq!(refused("one"), (Blame::Unknown, 1));
    assert_eq!(refused("one"), (Blame::Unknown, 1), "repeated refusals by one consumer count once");
    assert_eq!(refused("two"), (Blame::Unknown, 2));
    assert_eq!(refused("three"), (Blame::Ours, 3));
    // A consumer that accepts the certificate again no longer counts, nor does a removed one.
    let one = scene.dispatcher.endpoint(
        "one",
        &scene.lab.consumer("one").unwrap().url(),
        EndpointOptions::new(None),
    );
    wait(scene.dispatcher.deliver(&one.unwrap(), "{}", DeliverOptions::new())).unwrap();
    assert!(scene.dispatcher.remove("two"));
    assert_eq!(refused("four"), (Blame::Unknown, 2));
}

#[test]
fn a_page_about_our_certificate_counts_like_an_alert() {
    let scene = scene();
    for (number, status) in [495, 496, 495].into_iter().enumerate() {
        let name = format!("consumer-{number}");
        let consumer = scene.lab.consumer(&name).unwrap();
        consumer.respond(Answer::status(status), 1);
        let options = EndpointOptions::new(None);
        let endpoint = scene.dispatcher.endpoint(&name, &consumer.url(), options).unwrap();
        let delivery = scene.dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
        let error = wait(delivery).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::ClientCertificateRejected, Sent::All));
        assert_eq!(error.context()["via"], "http");
        assert_eq!(error.blame(), if number < 2 { Blame::Unknown } else { Blame::Ours });
    }
}

#[test]
fn the_total_deadline_does_not_revoke_a_receipt() {
    patiently(|patience| {
        let scene = scene();
        let mut short = Answer::status(202);
        short.headers = vec![("content-length".into(), "1000".into())];
        short.body = b"the rest never comes".to_vec();
        scene.acme.respond(short, 0);
        let options = DeliverOptions::new().timeout(Duration::from_millis(400) * patience).unwrap();
        let receipt = scene.deliver(b"{}", options.clone()).unwrap();
        assert_eq!((receipt.status(), receipt.response().truncated), (202, true));
        assert_eq!(receipt.response().excerpt, b"the rest never comes");
        assert!(!scene.deliver(b"{}", options).unwrap().is_reused());
    });
}

#[test]
fn an_endpoint_sets_the_retry_verdict_of_a_status() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    acme.respond(Answer::status(404), 0);
    let options = lab.dispatcher_options().status_retry([("4xx", Retry::AfterRepair)]).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let deliver = |options: EndpointOptions| {
        let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
        let error = wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new())).unwrap_err();
        (error.retry(), error.scope())
    };
    assert_eq!(deliver(EndpointOptions::new(None)), (Retry::AfterRepair, Scope::Endpoint));
    let own = EndpointOptions::new(None).status_retry([("404", Retry::Never)]).unwrap();
    assert_eq!(deliver(own), (Retry::Never, Scope::Delivery));
}

/// Accepts one connection and reads until it ends: a consumer's view of a delivery that is canceled
/// while it waits for the handshake.
fn silent() -> (String, mpsc::Receiver<()>, mpsc::Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let (said_hello, hello) = mpsc::channel();
    let (saw_the_end, end) = mpsc::channel();
    thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        let mut piece = [0; 4096];
        assert!(tcp.read(&mut piece).unwrap() > 0);
        said_hello.send(()).unwrap();
        let ended = loop {
            match tcp.read(&mut piece) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() == ErrorKind::ConnectionReset,
            }
        };
        let _ = saw_the_end.send(ended);
    });
    (url, hello, end)
}

#[test]
fn every_end_of_a_delivery_closes_its_socket() {
    for way in ["token", "drop", "deadline", "close"] {
        patiently(|patience| closes_its_socket(way, patience));
    }
}

fn closes_its_socket(way: &str, patience: u32) {
    let scene = scene();
    let (url, hello, end) = silent();
    let endpoint = scene.dispatcher.endpoint("silent", &url, EndpointOptions::new(None)).unwrap();
    let token = CancelToken::new();
    let mut options = DeliverOptions::new().cancel(token.clone());
    if way == "deadline" {
        options = options.timeout(Duration::from_millis(300) * patience).unwrap();
    }
    let delivery = scene.dispatcher.deliver(&endpoint, "{}", options);
    let ended = if way == "drop" {
        let given_up = runtime::drive(delivery, || hello.recv_timeout(SOON).is_ok());
        assert!(given_up.is_none());
        None
    } else {
        let outcome = outcome(delivery);
        hello.recv_timeout(SOON).unwrap();
        match way {
            "token" => token.cancel(),
            "close" => wait(scene.dispatcher.close(Duration::ZERO)),
            _ => {}
        }
        Some(outcome.recv_timeout(SOON).unwrap().unwrap_err())
    };
    assert!(end.recv_timeout(SOON).unwrap(), "{way}: the socket is closed");
    if let Some(error) = ended {
        let kind = if way == "deadline" { Kind::DeadlineExceeded } else { Kind::Canceled };
        let said = (error.kind(), error.stage(), error.sent());
        assert_eq!(said, (kind, Stage::Handshake, Sent::Nothing), "{way}");
    }
}
