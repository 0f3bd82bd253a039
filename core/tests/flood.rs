//! Consumers that send endless data delay no deadline and no other delivery. Run with `--features
//! testing`.
#![cfg(feature = "testing")]

mod calm;
mod forged;
mod raw;

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use calm::patiently;
use forged::forge::{ALERT, DATA, Forge, HANDSHAKE, ticket, tickets};
use forged::{Peer, listen, listen_on};
use webhook_mtls::MinTls;
use webhook_mtls::error::Blame;
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Kind, Receipt, Sent,
};

/// Much shorter than any deadline of a delivery here, and much longer than the end of a flood
/// takes.
const SOON: Duration = Duration::from_secs(5);

/// The endless data of a consumer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flood {
    Tickets,
    LargeTickets,
    KeyUpdates,
    EmptyRecords,
    Warnings,
    /// One byte of a response for every record of tickets.
    Diluted,
    /// One byte of a response in each record.
    Drips,
}

const ALL: [Flood; 7] = [
    Flood::Tickets,
    Flood::LargeTickets,
    Flood::KeyUpdates,
    Flood::EmptyRecords,
    Flood::Warnings,
    Flood::Diluted,
    Flood::Drips,
];

impl Flood {
    /// Returns a part of it.
    fn piece(self, forge: &mut Forge) -> Vec<u8> {
        match self {
            Self::Tickets => forge.seal(HANDSHAKE, &tickets(3)),
            Self::LargeTickets => forge.seal(HANDSHAKE, &tickets(16_000)),
            Self::KeyUpdates => (0..64).flat_map(|_| forge.key_update()).collect(),
            Self::EmptyRecords => (0..64).flat_map(|_| forge.seal(DATA, b"")).collect(),
            // user_canceled, the one warning of TLS 1.3.
            Self::Warnings => forge.seal(ALERT, &[1, 90]),
            Self::Diluted => [forge.seal(HANDSHAKE, &tickets(3)), forge.seal(DATA, b"x")].concat(),
            Self::Drips => (0..64).flat_map(|_| forge.seal(DATA, b"x")).collect(),
        }
    }

    /// Sends it until the client closes the connection.
    fn pour(self, mut tcp: TcpStream, mut forge: Forge) {
        while tcp.write_all(&self.piece(&mut forge)).is_ok() {}
    }
}

struct Scene {
    _lab: Lab,
    dispatcher: Dispatcher,
    endpoint: Endpoint,
}

fn scene(talk: impl Fn(Peer) -> io::Result<()> + Send + Sync + 'static) -> Scene {
    let lab = Lab::start().unwrap();
    let url = listen(&lab, talk);
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("evil", &url, EndpointOptions::new(None)).unwrap();
    Scene { _lab: lab, dispatcher, endpoint }
}

impl Scene {
    fn deliver(&self, body: impl Into<bytes::Bytes>) -> Result<Receipt, Error> {
        let options = DeliverOptions::new();
        self.dispatcher.deliver_blocking(&self.endpoint, body, options, None).unwrap()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn assert_flooded(error: &Error, sent: Sent, of: Flood) {
    let said = (error.kind(), error.sent(), error.blame());
    assert_eq!(said, (Kind::ConnectionLost, sent, Blame::Theirs), "{of:?}: {error}");
    assert_eq!(error.context().get("how"), Some(&"flooded".into()), "{of:?}: {error}");
}

#[test]
fn a_flood_instead_of_a_response_ends_the_connection() {
    for flood in ALL {
        let scene = scene(move |mut peer| {
            peer.request()?;
            if matches!(flood, Flood::Diluted | Flood::Drips) {
                peer.say("HTTP/1.1 200 OK\r\nx: ")?;
            }
            let (tcp, forge) = peer.forge();
            flood.pour(tcp, forge);
            Ok(())
        });
        let started = Instant::now();
        let error = scene.deliver("{}").unwrap_err();
        assert!(started.elapsed() < SOON, "{flood:?} took {:?}", started.elapsed());
        if flood == Flood::Drips {
            assert_eq!(error.kind(), Kind::ResponseTooLarge, "{error}");
        } else {
            assert_flooded(&error, Sent::All, flood);
        }
    }
}

#[test]
fn a_flood_while_the_request_is_written_ends_the_connection() {
    for flood in [Flood::Tickets, Flood::LargeTickets, Flood::KeyUpdates, Flood::EmptyRecords] {
        let scene = scene(move |mut peer| {
            peer.head()?;
            let (tcp, forge) = peer.forge();
            // The consumer never reads the rest of the request.
            flood.pour(tcp, forge);
            Ok(())
        });
        let started = Instant::now();
        let error = scene.deliver(vec![b'x'; 20 << 20]).unwrap_err();
        assert!(started.elapsed() < SOON, "{flood:?} took {:?}", started.elapsed());
        assert_flooded(&error, Sent::Maybe, flood);
    }
}

#[test]
fn a_flood_within_the_body_does_not_revoke_the_response() {
    for flood in ALL {
        let scene = scene(move |mut peer| {
            peer.request()?;
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\nok")?;
            let (tcp, forge) = peer.forge();
            flood.pour(tcp, forge);
            Ok(())
        });
        let started = Instant::now();
        let receipt = scene.deliver("{}").unwrap();
        assert!(started.elapsed() < SOON, "{flood:?} took {:?}", started.elapsed());
        assert!(receipt.response().truncated, "{flood:?}");
    }
}

/// A consumer that answers, and floods while the connection is idle. Returns the time until it
/// ended.
fn idle_flood(flood: Flood, ended: Sender<Duration>) -> impl Fn(Peer) -> io::Result<()> {
    move |mut peer| {
        peer.request()?;
        peer.say(OK)?;
        let (tcp, forge) = peer.forge();
        let started = Instant::now();
        flood.pour(tcp, forge);
        ended.send(started.elapsed()).map_err(io::Error::other)
    }
}

#[test]
fn an_idle_connection_that_floods_is_closed_at_once() {
    patiently(|_| {
        for flood in ALL {
            let (tell, ended) = mpsc::channel();
            let scene = scene(idle_flood(flood, tell));
            for _ in 0..2 {
                let receipt = scene.deliver("{}").unwrap();
                assert!(!receipt.is_reused(), "{flood:?}");
                let took = ended.recv_timeout(SOON).expect("the flood is ended");
                assert!(took < Duration::from_secs(1), "{flood:?} took {took:?}");
            }
        }
    });
}

#[test]
fn an_idle_connection_may_receive_only_a_few_tickets() {
    patiently(|_| {
        let (tell, ended) = mpsc::channel();
        let scene = scene(move |mut peer| {
            peer.request()?;
            peer.say(OK)?;
            let (mut tcp, mut forge) = peer.forge();
            // One by one, with pauses, to check that small amounts are counted too.
            let mut count = 0;
            while tcp.write_all(&forge.seal(HANDSHAKE, &ticket(3))).is_ok() && count < 1000 {
                count += 1;
                thread::sleep(Duration::from_millis(2));
            }
            tell.send(count).map_err(io::Error::other)
        });
        scene.deliver("{}").unwrap();
        let count = ended.recv_timeout(SOON).expect("the connection is closed");
        assert!(count < 100, "{count} records came");
    });
}

#[test]
fn a_flood_in_the_handshake_ends_it() {
    // A handshake message with a large length, one byte per record; and records that a middlebox
    // would send.
    let fragments = [22, 3, 3, 0, 1, 0];
    let change_cipher_spec = [20, 3, 3, 0, 1, 1];
    let head = vec![22, 3, 3, 0, 4, 2, 0, 0xff, 0xf0];
    for (first, then) in [(head, fragments), (Vec::new(), change_cipher_spec)] {
        let scene = scene(move |mut peer| {
            let many = then.repeat(1000);
            peer.tcp.write_all(&first)?;
            while peer.tcp.write_all(&many).is_ok() {}
            Ok(())
        });
        let started = Instant::now();
        let error = scene.deliver("{}").unwrap_err();
        assert!(started.elapsed() < SOON, "took {:?}", started.elapsed());
        assert_eq!((error.kind(), error.sent()), (Kind::TlsFailed, Sent::Nothing), "{error}");
        assert_eq!(error.blame(), Blame::Theirs, "{error}");
    }
}

#[test]
fn tls_1_2_is_no_way_around() {
    let warnings = |forge: &mut Forge| forge.seal(ALERT, &[1, 100]);
    let empty = |forge: &mut Forge| forge.seal(DATA, b"");
    let renegotiate = |forge: &mut Forge| forge.seal(HANDSHAKE, &[0, 0, 0, 0]);
    let floods: [fn(&mut Forge) -> Vec<u8>; 3] = [warnings, empty, renegotiate];
    for flood in floods {
        let lab = Lab::start().unwrap();
        let url = listen_on(&lab, &[&rustls::version::TLS12], move |mut peer| {
            peer.request()?;
            let (mut tcp, mut forge) = peer.forge();
            while tcp.write_all(&flood(&mut forge)).is_ok() {}
            Ok(())
        });
        let dispatcher = lab.dispatcher();
        let mut options = EndpointOptions::new(None);
        options = options.min_tls(MinTls::V1_2);
        let endpoint = dispatcher.endpoint("evil", &url, options).unwrap();
        let options = DeliverOptions::new();
        let error = dispatcher.deliver_blocking(&endpoint, "{}", options, None).unwrap();
        assert_flooded(&error.unwrap_err(), Sent::All, Flood::Warnings);
    }
}

#[test]
fn several_tickets_and_padded_records_are_not_a_flood() {
    let scene = scene(|mut peer| {
        peer.request()?;
        let (mut tcp, mut forge) = peer.forge();
        for _ in 0..4 {
            tcp.write_all(&forge.seal(HANDSHAKE, &ticket(9000)))?;
        }
        for text in ["HTTP/1.1 200 OK\r\ncontent-", "length: 2\r\n", "\r\n", "ok"] {
            tcp.write_all(&forge.seal_padded(DATA, text.as_bytes()))?;
        }
        io::copy(&mut tcp, &mut io::sink()).map(drop)
    });
    assert!(!scene.deliver("{}").unwrap().response().truncated);
}

/// The shortest of several runs: load on the machine delays some runs, a fault delays all.
fn best(mut run: impl FnMut() -> Duration, enough: Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        best = best.min(run());
        if best <= enough {
            break;
        }
    }
    best
}

/// The allowed delay of a deadline.
const LATE: Duration = Duration::from_millis(100);

#[test]
fn no_deadline_waits_for_a_consumer_that_keeps_sending() {
    let allowed = Duration::from_millis(300);
    // Single bytes of a response, and empty records, of which rustls accepts ten in a row. Slow
    // enough that no limit is reached before the deadline.
    for empty in [0, 8] {
        let lab = Lab::start().unwrap();
        let url = listen(&lab, move |mut peer| {
            peer.request()?;
            peer.say("HTTP/1.1 200 OK\r\nx: ")?;
            let (mut tcp, mut forge) = peer.forge();
            loop {
                tcp.write_all(&forge.seal(DATA, b"x"))?;
                for _ in 0..empty {
                    tcp.write_all(&forge.seal(DATA, b""))?;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let (dispatcher, endpoint) = impatient(&lab, &url, Duration::from_secs(10), allowed);
        let run = || {
            let started = Instant::now();
            let options = DeliverOptions::new();
            let error = dispatcher.deliver_blocking(&endpoint, "{}", options, None).unwrap();
            let error = error.unwrap_err();
            assert_eq!(error.kind(), Kind::DeadlineExceeded, "{empty}: {error}");
            assert_eq!(error.context().get("deadline"), Some(&"response".into()));
            started.elapsed()
        };
        let took = best(run, allowed + LATE);
        assert!(took >= allowed && took <= allowed + LATE, "{empty}: {took:?}");
    }
}

/// A dispatcher with these timeouts, and an endpoint of it.
fn impatient(lab: &Lab, url: &str, total: Duration, response: Duration) -> (Dispatcher, Endpoint) {
    let options = lab.dispatcher_options().timeout(total).unwrap();
    let options = options.response_timeout(response).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let endpoint = dispatcher.endpoint("slow", url, EndpointOptions::new(None)).unwrap();
    (dispatcher, endpoint)
}

#[test]
fn the_reported_deadline_is_the_one_that_was_due() {
    let lab = Lab::start().unwrap();
    let url = listen(&lab, |mut peer| {
        peer.request()?;
        io::copy(&mut peer.tcp, &mut io::sink()).map(drop)
    });
    for (total, response, told) in [(200, 5000, "total"), (5000, 200, "response")] {
        let millis = |millis| Duration::from_millis(millis);
        let (dispatcher, endpoint) = impatient(&lab, &url, millis(total), millis(response));
        let options = DeliverOptions::new();
        let error = dispatcher.deliver_blocking(&endpoint, "{}", options, None).unwrap();
        let error = error.unwrap_err();
        assert_eq!(error.context().get("deadline"), Some(&told.into()), "{error}");
        assert_eq!(error.context().get("allowed_ms"), Some(&200.into()), "{error}");
    }
}

/// Sequential deliveries to flooding consumers in several threads, until it is dropped.
struct ContinuousFloods {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl ContinuousFloods {
    fn start(dispatcher: &Dispatcher, evil: &[Endpoint]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = evil
            .iter()
            .map(|endpoint| {
                let (dispatcher, endpoint, stop) =
                    (dispatcher.clone(), endpoint.clone(), stop.clone());
                thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        let options = DeliverOptions::new();
                        let _ = dispatcher.deliver_blocking(&endpoint, "{}", options, None);
                        // A queue waits before it retries.
                        thread::sleep(Duration::from_millis(100));
                    }
                })
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for ContinuousFloods {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

#[test]
fn floods_do_not_delay_deliveries_to_honest_consumers() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let evil: Vec<Endpoint> = (0..8)
        .map(|number| {
            let flood = [Flood::Tickets, Flood::LargeTickets, Flood::KeyUpdates, Flood::Diluted];
            let flood = flood[number % flood.len()];
            let url = listen(&lab, move |mut peer| {
                peer.request()?;
                // Half of them flood instead of a response, half after it.
                if number % 2 == 0 {
                    peer.say(OK)?;
                }
                let (tcp, forge) = peer.forge();
                flood.pour(tcp, forge);
                Ok(())
            });
            let name = format!("evil-{number}");
            dispatcher.endpoint(&name, &url, EndpointOptions::new(None)).unwrap()
        })
        .collect();
    let acme = lab.consumer("acme").unwrap();
    let honest = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let worst = || {
        let mut worst = Duration::ZERO;
        for _ in 0..200 {
            let started = Instant::now();
            let options = DeliverOptions::new();
            let receipt = dispatcher.deliver_blocking(&honest, "{}", options, None);
            receipt.unwrap().unwrap();
            worst = worst.max(started.elapsed());
        }
        worst
    };
    let calm = worst();
    let floods = ContinuousFloods::start(&dispatcher, &evil);
    let allowed = LATE.max(10 * calm);
    let flooded = best(worst, allowed);
    drop(floods);
    println!("the slowest of 200 took {calm:?} alone, {flooded:?} beside floods");
    assert!(flooded <= allowed, "{flooded:?}, and {calm:?} without floods");
}
