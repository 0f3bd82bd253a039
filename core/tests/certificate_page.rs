//! A consumer that refuses a new identity with a page of its HTTP server, as nginx does, and
//! responses that resemble one. No payload leaves twice. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod raw;

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use calm::patiently;
use raw::{Conversation, listen};
use webhook_mtls::bindings::runtime;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Lab, Leaf};
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Identity, Kind,
    Receipt, Sent,
};

const BODY: &str = r#"{"leaves":"once"}"#;
const SOON: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const PAGE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 38\r\nconnection: close\r\n\r\n\
                    <html>The SSL certificate error</html>";

/// The consumer's reaction to a request under the new identity.
#[derive(Clone, Copy)]
enum Manner {
    /// Sends this response to the head, and does not read an announced payload.
    Early(&'static str),
    /// Reads the payload after 100 Continue, and sends this response.
    Continues(&'static str),
    /// Does not support `Expect`: reads the payload when it arrives, and sends this response.
    Ignores(&'static str),
    /// Reads the head and sends nothing until the client closes.
    Silent,
}

/// A request as the consumer received it.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    new: bool,
    expects: bool,
    /// The payload that arrived before the response.
    body: Option<String>,
}

/// An endpoint with a replaced identity, and its consumer.
struct Scene {
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    seen: Receiver<Request>,
}

impl Scene {
    /// * `manner`: the consumer's behavior under the new identity. Under the former one it answers
    ///   200.
    fn rotated(manner: Manner) -> Self {
        let lab = Lab::start().unwrap();
        let issued = lab.authority().issue(Leaf::client("new")).unwrap();
        let new = Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None);
        let leaf = issued.chain_der[0].clone();
        let (record, seen) = mpsc::channel();
        let url =
            listen(
                &lab,
                move |mut conversation| {
                    while converse(&mut conversation, &leaf, manner, &record).is_some() {}
                },
            );
        let dispatcher = lab.dispatcher();
        let options = EndpointOptions::new(None);
        let endpoint = dispatcher.endpoint("acme", &url, options.clone()).unwrap();
        let scene = Self { dispatcher, endpoint, seen };
        scene.deliver(BODY).unwrap();
        scene.saw(&[(false, false, Some(BODY))]);
        scene.dispatcher.endpoint("acme", &url, options.identity(new.unwrap())).unwrap();
        scene
    }

    fn deliver(&self, body: &'static str) -> Result<Receipt, Error> {
        wait(self.dispatcher.deliver(&self.endpoint, body, DeliverOptions::new()))
    }

    /// Asserts that exactly these requests arrived since the last check: under the new identity or
    /// not, with `Expect` or not, and the payload.
    fn saw(&self, expected: &[(bool, bool, Option<&str>)]) {
        for (new, expects, body) in expected {
            let body = body.map(str::to_owned);
            let expected = Request { new: *new, expects: *expects, body };
            assert_eq!(self.seen.recv_timeout(SOON).unwrap(), expected);
        }
        assert!(self.seen.try_recv().is_err());
    }
}

/// Handles one request; `None` once the client has closed.
fn converse(
    conversation: &mut Conversation,
    new: &[u8],
    manner: Manner,
    record: &Sender<Request>,
) -> Option<()> {
    let head = String::from_utf8(conversation.head()?).unwrap();
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    let length: usize = length.parse().unwrap();
    let new = conversation.shown() == new;
    let expects = head.contains("\r\nexpect: 100-continue\r\n");
    let record = |body| record.send(Request { new, expects, body }).ok();
    let (continues, answer) = match manner {
        Manner::Early(answer) if new && (expects || answer == PAGE) => {
            conversation.say(answer);
            return record(None);
        }
        Manner::Silent if new => {
            record(None)?;
            return conversation.rest().is_empty().then_some(());
        }
        Manner::Continues(answer) if new => (true, answer),
        Manner::Ignores(answer) if new => (false, answer),
        _ => (true, OK),
    };
    if expects && continues {
        conversation.say(CONTINUE);
    }
    let body = String::from_utf8(conversation.bytes(length)?).unwrap();
    conversation.say(answer);
    record(Some(body))
}

fn wait<F: Future>(future: F) -> F::Output {
    runtime::drive(future, || false).expect("nothing interrupts")
}

#[test]
fn a_page_before_the_payload_is_followed_by_the_previous_identity() {
    patiently(|_| {
        let scene = Scene::rotated(Manner::Early(PAGE));
        let events = scene.dispatcher.events();
        let receipt = scene.deliver(BODY).unwrap();
        assert_eq!((receipt.status(), receipt.attempts()), (200, 2));
        assert_eq!(receipt.hold_honored(), None);
        scene.saw(&[(true, true, None), (false, false, Some(BODY))]);
        let event = events.try_next().unwrap();
        assert_eq!(event.name(), EventName::RotatedButUndistributed);
        assert_eq!(event.fields()["via"], "http");
        // For a while the previous identity is presented at once.
        let receipt = scene.deliver(BODY).unwrap();
        assert!(receipt.is_reused() && receipt.attempts() == 1);
        scene.saw(&[(false, false, Some(BODY))]);
    });
}

#[test]
fn a_page_of_the_application_causes_no_second_attempt() {
    patiently(|_| {
        let scene = Scene::rotated(Manner::Continues(PAGE));
        let error = scene.deliver(BODY).unwrap_err();
        // A consumer that sends 100 Continue has accepted our certificate.
        assert_eq!((error.kind(), error.sent()), (Kind::HttpStatus, Sent::All));
        assert_eq!(error.context()["payload_sent"], true);
        assert_eq!(error.context()["attempts"], 1);
        scene.saw(&[(true, true, Some(BODY))]);
        // The consumer accepted the identity, so no payload is held any more, and a page is a refusal
        // again.
        let error = scene.deliver(BODY).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::ClientCertificateRejected, Sent::All));
        assert_eq!(error.context()["payload_sent"], true);
        scene.saw(&[(true, false, Some(BODY))]);
    });
}

#[test]
fn a_page_after_the_payload_does_not_send_it_again() {
    let scene = Scene::rotated(Manner::Ignores(PAGE));
    let events = scene.dispatcher.events();
    let error = scene.deliver(BODY).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::ClientCertificateRejected, Sent::All));
    assert_eq!(error.context()["payload_sent"], true);
    scene.saw(&[(true, true, Some(BODY))]);
    assert_eq!(events.try_next().unwrap().name(), EventName::RotatedButUndistributed);
    // The next delivery starts with the identity that the consumer accepts.
    let receipt = scene.deliver(BODY).unwrap();
    assert_eq!(receipt.attempts(), 1);
    scene.saw(&[(false, false, Some(BODY))]);
    assert!(events.try_next().is_none());
}

/// An empty payload cannot be held.
#[test]
fn an_empty_payload_is_not_sent_again() {
    let scene = Scene::rotated(Manner::Early(PAGE));
    let error = scene.deliver("").unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::ClientCertificateRejected, Sent::All));
    scene.saw(&[(true, false, None)]);
    assert_eq!(scene.deliver("").unwrap().attempts(), 1);
    scene.saw(&[(false, false, Some(""))]);
}

#[test]
fn a_consumer_that_refuses_expect_gets_the_payload_without_it() {
    patiently(|_| {
        let early = [
            OK,
            "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n",
            // It answers the head, though it says that it wants the payload.
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ];
        for answer in early {
            let scene = Scene::rotated(Manner::Early(answer));
            let receipt = scene.deliver(BODY).unwrap();
            assert_eq!((receipt.status(), receipt.attempts()), (200, 2), "{answer}");
            assert_eq!(receipt.hold_honored(), None);
            scene.saw(&[(true, true, None), (true, false, Some(BODY))]);
            assert!(scene.deliver(BODY).unwrap().is_reused());
            scene.saw(&[(true, false, Some(BODY))]);
        }
    });
}

#[test]
fn any_other_response_to_the_head_is_final() {
    patiently(|_| {
        let busy = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
        let scene = Scene::rotated(Manner::Early(busy));
        let error = scene.deliver(BODY).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::HttpStatus, Sent::Maybe));
        assert_eq!(error.context()["payload_sent"], false);
        scene.saw(&[(true, true, None)]);
    });
}

#[test]
fn payloads_are_held_until_a_response_under_the_new_identity() {
    patiently(|_| {
        let scene = Scene::rotated(Manner::Continues(OK));
        assert_eq!(scene.deliver(BODY).unwrap().hold_honored(), Some(true));
        assert_eq!(scene.deliver(BODY).unwrap().hold_honored(), None);
        scene.saw(&[(true, true, Some(BODY)), (true, false, Some(BODY))]);
    });
}

#[test]
fn a_delivery_that_ends_while_its_payload_is_held_reports_it() {
    patiently(|_| {
        let scene = Scene::rotated(Manner::Silent);
        let options = DeliverOptions::new().timeout(Duration::from_millis(300)).unwrap();
        let late = wait(scene.dispatcher.deliver(&scene.endpoint, BODY, options)).unwrap_err();
        assert_eq!((late.kind(), late.sent()), (Kind::DeadlineExceeded, Sent::Maybe));
        assert_eq!(late.context()["payload_sent"], false);
        scene.saw(&[(true, true, None)]);
        let token = CancelToken::new();
        let options = DeliverOptions::new().cancel(token.clone());
        let delivery = scene.dispatcher.deliver(&scene.endpoint, BODY, options);
        let (ended, outcome) = mpsc::channel();
        runtime::spawn(delivery, move |outcome| ended.send(outcome).unwrap()).unwrap();
        // The head has arrived, and the payload is held for a second.
        scene.saw(&[(true, true, None)]);
        token.cancel();
        let canceled = outcome.recv_timeout(SOON).unwrap().unwrap_err();
        assert_eq!(canceled.kind(), Kind::Canceled);
        assert_eq!(canceled.context().get("payload_sent"), Some(&false.into()));
    });
}
