//! Payloads that are held until the consumer has accepted us. Run with `--features testing`.
#![cfg(feature = "testing")]

mod calm;
mod raw;

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use calm::patiently;
use raw::{Conversation, listen};
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Scope;
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, Dispatcher, EndpointOptions, Error, Kind, Receipt, Retry, Sent,
};

const BODY: &str = r#"{"worth":"more than the connection"}"#;
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const SOON: Duration = Duration::from_secs(10);

/// Delivers a held payload to a receiver with this behavior, which sends its observations.
fn deliver_to<T: Send + 'static>(
    talk: impl Fn(&mut Conversation) -> Option<T> + Send + Sync + 'static,
) -> (Result<Receipt, Error>, Receiver<T>) {
    let lab = Lab::start().unwrap();
    let (sender, seen) = mpsc::channel();
    let url = listen(&lab, move |mut conversation| {
        if let Some(seen) = talk(&mut conversation) {
            let _ = sender.send(seen);
        }
    });
    let mut options = lab.dispatcher_options();
    options = options.response_timeout(Duration::from_millis(1500)).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let mut options = EndpointOptions::new(None);
    options = options.hold_payload(true);
    let endpoint = dispatcher.endpoint("acme", &url, options).unwrap();
    let delivery = dispatcher.deliver(&endpoint, BODY, DeliverOptions::new());
    let outcome = runtime::drive(delivery, || false).unwrap();
    runtime::drive(dispatcher.close(Duration::ZERO), || false).unwrap();
    (outcome, seen)
}

#[test]
fn the_payload_leaves_after_100_continue() {
    patiently(|_| {
        let (outcome, seen) = deliver_to(|conversation| {
            let head = conversation.head()?;
            conversation.say("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
            let body = conversation.bytes(BODY.len())?;
            conversation.say(OK);
            Some((String::from_utf8(head).unwrap(), body))
        });
        let receipt = outcome.unwrap();
        assert_eq!(receipt.hold_honored(), Some(true));
        assert_eq!(receipt.to_json()["hold_honored"], true);
        let (head, body) = seen.recv_timeout(SOON).unwrap();
        assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
        assert_eq!(body, BODY.as_bytes());
    });
}

#[test]
fn a_consumer_without_support_for_expect_gets_the_payload() {
    patiently(|_| {
        let (outcome, seen) = deliver_to(|conversation| {
            conversation.head()?;
            let body = conversation.bytes(BODY.len())?;
            conversation.say(OK);
            Some(body)
        });
        assert_eq!(outcome.unwrap().hold_honored(), Some(false));
        assert_eq!(seen.recv_timeout(SOON).unwrap(), BODY.as_bytes());
    });
}

#[test]
fn after_an_early_response_the_payload_is_not_sent() {
    patiently(|_| {
        let cases = [
            ("200 OK", Kind::HttpInvalid, Retry::Later, Scope::Endpoint),
            ("204 No Content", Kind::HttpInvalid, Retry::Later, Scope::Endpoint),
            ("401 Unauthorized", Kind::HttpStatus, Retry::Later, Scope::Delivery),
            ("413 Content Too Large", Kind::HttpStatus, Retry::Never, Scope::Delivery),
            ("417 Expectation Failed", Kind::HttpStatus, Retry::AfterRepair, Scope::Endpoint),
            ("503 Busy", Kind::HttpStatus, Retry::Later, Scope::Delivery),
        ];
        let judge = |(answer, kind, retry, scope): (&'static str, _, _, _)| {
            let (outcome, seen) = deliver_to(move |conversation| {
                conversation.head()?;
                // The body never ends; the client reads it for longer than the payload is held.
                conversation.say(&format!("HTTP/1.1 {answer}\r\ncontent-length: 3\r\n\r\nn"));
                Some(conversation.rest())
            });
            let error = outcome.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry(), error.scope()),
                (kind, retry, scope),
                "{answer}"
            );
            // The head left, the payload did not.
            assert_eq!(
                (error.sent(), &error.context()["payload_sent"]),
                (Sent::Maybe, &false.into())
            );
            let after = seen.recv_timeout(SOON).unwrap();
            assert!(after.is_empty(), "{answer}: {}", String::from_utf8_lossy(&after));
        };
        std::thread::scope(|scope| {
            for case in cases {
                scope.spawn(move || judge(case));
            }
        });
    });
}

#[test]
fn neither_early_hints_nor_half_a_head_release_the_payload() {
    patiently(|_| {
        let parts: [&[&str]; 2] = [
            &[
                "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            ],
            &["HTTP/1.1 403 Forb", "idden\r\ncontent-length: 0\r\n\r\n"],
        ];
        for parts in parts {
            let (outcome, seen) = deliver_to(move |conversation| {
                conversation.head()?;
                for part in parts {
                    conversation.say(part);
                    // The client reads each part alone; the verdict does not depend on it.
                    std::thread::sleep(Duration::from_millis(100));
                }
                Some(conversation.rest())
            });
            let error = outcome.unwrap_err();
            assert_eq!(error.context()["status"], 403);
            assert_eq!(error.context()["payload_sent"], false, "{parts:?}");
            let after = seen.recv_timeout(SOON).unwrap();
            assert!(after.is_empty(), "{parts:?}: {}", String::from_utf8_lossy(&after));
        }
    });
}

#[test]
fn a_consumer_that_closes_gets_no_payload() {
    patiently(|_| {
        let (outcome, seen) = deliver_to(Conversation::head);
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.sent()), (Kind::ConnectionLost, Sent::Maybe));
        assert_eq!(error.context()["payload_sent"], false);
        assert!(seen.recv_timeout(SOON).unwrap().starts_with(b"POST /in HTTP/1.1\r\n"));
    });
}

#[test]
fn an_empty_payload_sends_no_expect_and_keeps_the_connection() {
    patiently(|_| {
        let lab = Lab::start().unwrap();
        let acme = lab.consumer("acme").unwrap();
        let dispatcher = lab.dispatcher();
        let mut options = EndpointOptions::new(None);
        options = options.hold_payload(true);
        let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
        let deliver = |body: &'static str| {
            let delivery = dispatcher.deliver(&endpoint, body, DeliverOptions::new());
            runtime::drive(delivery, || false).unwrap().unwrap()
        };
        assert_eq!(deliver("").hold_honored(), None);
        assert!(acme.received()[0].headers.iter().all(|(name, _)| name != "expect"));
        let receipt = deliver(BODY);
        assert_eq!((receipt.hold_honored(), receipt.is_reused()), (Some(true), true));
        assert_eq!(deliver("").hold_honored(), None);
        assert_eq!(acme.received()[1].body, BODY.as_bytes());
    });
}
