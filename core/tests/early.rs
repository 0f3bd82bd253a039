//! Responses that were sent before the request had left. Run with `--features testing`.
#![cfg(feature = "testing")]

mod forged;
mod raw;

use std::io::{self, Read as _, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use forged::forge::{DATA, HANDSHAKE, ticket};
use forged::{Peer, listen};
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Receipt, Sent,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";

struct Scene {
    _lab: Lab,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

fn scene(talk: impl Fn(Peer) -> io::Result<()> + Send + Sync + 'static) -> Scene {
    scene_with(EndpointOptions::new(None), talk)
}

fn scene_with(
    options: EndpointOptions,
    talk: impl Fn(Peer) -> io::Result<()> + Send + Sync + 'static,
) -> Scene {
    let lab = Lab::start().unwrap();
    let url = listen(&lab, talk);
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("early", &url, options).unwrap();
    Scene { _lab: lab, dispatcher, endpoint }
}

impl Scene {
    fn deliver(&self, body: impl Into<bytes::Bytes>) -> Result<Receipt, Error> {
        let options = DeliverOptions::new();
        self.dispatcher.deliver_blocking(&self.endpoint, body, options, None).unwrap()
    }
}

/// Reads all bytes until the client closes.
fn drain(tcp: &mut std::net::TcpStream) -> io::Result<()> {
    io::copy(tcp, &mut io::sink()).map(drop)
}

#[test]
fn a_success_during_the_handshake_is_not_a_receipt() {
    let scene = scene(|mut peer| {
        peer.speak_early(OK)?;
        drain(&mut peer.tcp)
    });
    let error = scene.deliver("{}").unwrap_err();
    // It arrived before any byte was written, and none was written.
    assert_eq!((error.kind(), error.sent()), (Kind::HttpInvalid, Sent::Nothing), "{error}");
    assert_eq!(error.context().get("status"), Some(&200.into()));
}

#[test]
fn part_of_a_success_during_the_handshake_invalidates_the_rest() {
    let scene = scene(|mut peer| {
        peer.speak_early("HTTP/1.1 2")?;
        // At the next record the client has sent its request.
        let mut request = [0; 4096];
        let mut forge = peer.early_forge();
        while peer.tcp.read(&mut request)? < 100 {}
        thread::sleep(Duration::from_millis(100));
        peer.tcp.write_all(&forge.seal(DATA, b"00 OK\r\ncontent-length: 0\r\n\r\n"))?;
        drain(&mut peer.tcp)
    });
    let error = scene.deliver("{}").unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::HttpInvalid, Sent::All), "{error}");
}

#[test]
fn a_refusal_during_the_handshake_counts_and_nothing_was_sent() {
    let scene = scene(|mut peer| {
        peer.speak_early(BUSY)?;
        drain(&mut peer.tcp)
    });
    let error = scene.deliver("{}").unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::HttpStatus, Sent::Nothing), "{error}");
}

/// A consumer that answers, then sends all of a record except its last bytes while the connection
/// is idle. It sends the rest when the next request arrives, if one does.
fn kept(tail: usize) -> Scene {
    let (tell, idle) = mpsc::channel();
    let scene = scene(move |mut peer| {
        peer.request()?;
        peer.say(OK)?;
        let (mut tcp, mut forge) = peer.forge();
        let stray = forge.seal(DATA, OK.as_bytes());
        let (begin, end) = stray.split_at(stray.len() - tail);
        tcp.write_all(begin)?;
        tell.send(()).unwrap();
        if tcp.read(&mut [0; 1024])? > 0 {
            tcp.write_all(end)?;
        }
        drain(&mut tcp)
    });
    scene.deliver("{}").unwrap();
    idle.recv_timeout(Duration::from_secs(10)).unwrap();
    scene
}

#[test]
fn part_of_a_record_on_an_idle_connection_ends_it() {
    for tail in [1, 5, 40] {
        // The bytes may still be in the kernel or already be read.
        for pause in [0, 100] {
            let scene = kept(tail);
            thread::sleep(Duration::from_millis(pause));
            let receipt = scene.deliver("{}").unwrap();
            assert!(!receipt.is_reused(), "all but {tail} bytes, after {pause} ms");
        }
    }
}

/// A body that exceeds the buffers between us and a consumer that does not read.
const LARGE: usize = 24 << 20;

#[test]
fn a_success_before_the_last_byte_left_is_not_a_receipt() {
    // In one record, and in two, of which the second arrives after all bytes were read.
    for split in [OK.len(), 5] {
        let scene = scene(move |mut peer| {
            let length = peer.head()?;
            let (first, second) = OK.split_at(split);
            peer.say(first)?;
            thread::sleep(Duration::from_millis(100));
            peer.body(length)?;
            peer.say(second)?;
            drain(&mut peer.tcp)
        });
        let error = scene.deliver(vec![b'x'; LARGE]).unwrap_err();
        assert_eq!(error.kind(), Kind::HttpInvalid, "{split}: {error}");
        assert_ne!(error.sent(), Sent::Nothing, "{split}: {error}");
    }
}

#[test]
fn a_record_that_began_before_the_last_byte_left_is_not_a_receipt() {
    let scene = scene(|mut peer| {
        let length = peer.head()?;
        let stray = peer.sealed(OK)?;
        let (begin, end) = stray.split_at(stray.len() - 5);
        peer.tcp.write_all(begin)?;
        thread::sleep(Duration::from_millis(100));
        peer.body(length)?;
        peer.tcp.write_all(end)?;
        drain(&mut peer.tcp)
    });
    let error = scene.deliver(vec![b'x'; LARGE]).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::HttpInvalid, Sent::All), "{error}");
}

#[test]
fn a_refusal_before_the_last_byte_left_counts() {
    for status in [401, 413] {
        let scene = scene(move |mut peer| {
            peer.head()?;
            peer.say(&format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n"))?;
            drain(&mut peer.tcp)
        });
        let error = scene.deliver(vec![b'x'; LARGE]).unwrap_err();
        assert_eq!(error.kind(), Kind::HttpStatus, "{error}");
        assert_eq!(error.response().map(|response| response.status), Some(status));
    }
}

#[test]
fn interim_answers_and_tickets_may_come_before_the_last_byte_left() {
    let scene = scene(|mut peer| {
        let length = peer.head()?;
        peer.say("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")?;
        let records = peer.sealed_as(HANDSHAKE, &ticket(2000))?;
        let (begin, end) = records.split_at(1000);
        peer.tcp.write_all(begin)?;
        thread::sleep(Duration::from_millis(100));
        peer.body(length)?;
        peer.tcp.write_all(end)?;
        let answer = peer.sealed(OK)?;
        peer.tcp.write_all(&answer)?;
        drain(&mut peer.tcp)
    });
    assert_eq!(scene.deliver(vec![b'x'; LARGE]).unwrap().status(), 200);
}

#[test]
fn an_early_100_continue_releases_a_held_payload() {
    let mut options = EndpointOptions::new(None);
    options = options.hold_payload(true);
    let scene = scene_with(options, |mut peer| {
        let length = peer.head()?;
        peer.say("HTTP/1.1 100 Continue\r\n\r\n")?;
        peer.body(length)?;
        peer.say(OK)?;
        drain(&mut peer.tcp)
    });
    assert_eq!(scene.deliver("{}").unwrap().status(), 200);
}
