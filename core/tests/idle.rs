//! The end of idle connections. Run with `--features testing`.
#![cfg(feature = "testing")]

mod raw;

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use raw::{Conversation, listen};
use webhook_mtls::testing::Lab;
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint, EndpointOptions};

/// Much shorter than the time for which an idle connection is kept.
const SOON: Duration = Duration::from_secs(10);

struct Scene {
    _lab: Lab,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
    left: Receiver<bool>,
}

/// Delivers once to a consumer that answers and then runs `talk`, whose result is reported.
fn scene(talk: impl Fn(&mut Conversation) -> bool + Send + Sync + 'static) -> Scene {
    let lab = Lab::start().unwrap();
    let (tell, left) = mpsc::channel();
    let url = listen(&lab, move |mut conversation| {
        while let Some(head) = conversation.head() {
            assert!(String::from_utf8(head).unwrap().contains("content-length: 2\r\n"));
            conversation.bytes(2).unwrap();
            conversation.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            tell.send(talk(&mut conversation)).unwrap();
        }
    });
    let dispatcher = Dispatcher::new(lab.dispatcher_options()).unwrap();
    let endpoint = dispatcher.endpoint("raw", &url, EndpointOptions::new(None)).unwrap();
    let receipt = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
    receipt.unwrap().unwrap();
    Scene { _lab: lab, dispatcher, endpoint, left }
}

#[test]
fn an_idle_connection_closed_by_the_consumer_is_closed_at_once() {
    let scene = scene(|conversation| {
        // Returns when the client has closed too and delivers no more.
        conversation.drain();
        true
    });
    assert_eq!(scene.left.recv_timeout(SOON), Ok(true));
}

#[test]
fn unsolicited_data_ends_an_idle_connection() {
    let scene = scene(|conversation| {
        conversation.say("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
        conversation.rest();
        true
    });
    assert_eq!(scene.left.recv_timeout(SOON), Ok(true));
    let again = DeliverOptions::new();
    let receipt = scene.dispatcher.deliver_blocking(&scene.endpoint, "{}", again, None);
    assert!(!receipt.unwrap().unwrap().is_reused());
}

#[test]
fn an_idle_connection_ends_with_close_notify() {
    let scene = scene(Conversation::ends_with_close_notify);
    assert!(scene.dispatcher.remove("raw"));
    assert_eq!(scene.left.recv_timeout(SOON), Ok(true));
}
