//! A firewall that drops or resets connections whose first message is larger than a packet. Run with
//! `--features testing`.
#![cfg(feature = "testing")]

mod calm;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use calm::patiently;
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Stage;
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, Dispatcher, EndpointOptions, Error, Kind, Receipt, Retry, Sent,
};

/// The data of a packet, rounded down.
const ONE_PACKET: usize = 1400;
const SOON: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Resets,
    Drops,
}

/// Forwards connections to `target` whose first message fits into a packet. Returns its address, and
/// the sizes of the first messages.
fn firewall(target: SocketAddr, manner: Manner) -> (SocketAddr, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (size, sizes) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let size = size.clone();
            thread::spawn(move || forward(client, target, manner, &size));
        }
    });
    (address, sizes)
}

fn forward(mut client: TcpStream, target: SocketAddr, manner: Manner, size: &mpsc::Sender<usize>) {
    let mut first = vec![0; 64 * 1024];
    let length = client.read(&mut first).unwrap();
    size.send(length).unwrap();
    if length > ONE_PACKET {
        if manner == Manner::Drops {
            // Until the client gives up.
            let _ = client.read(&mut [0]);
        } else {
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        }
        return;
    }
    let mut consumer = TcpStream::connect(target).unwrap();
    consumer.write_all(&first[..length]).unwrap();
    let (mut from_client, mut to_consumer) =
        (client.try_clone().unwrap(), consumer.try_clone().unwrap());
    let up = thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_consumer);
        let _ = to_consumer.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut consumer, &mut client);
    let _ = client.shutdown(Shutdown::Write);
    up.join().unwrap();
}

/// Delivers through a firewall. Returns the outcome, and the size of our first message.
fn deliver(manner: Manner, post_quantum: bool) -> (Result<Receipt, Error>, usize) {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let target = acme.url().trim_start_matches("https://").split('/').next().unwrap().to_owned();
    let (address, sizes) = firewall(target.parse().unwrap(), manner);
    let mut options = lab.dispatcher_options();
    options = options.handshake_timeout(Duration::from_secs(2)).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let options = EndpointOptions::new(None).post_quantum(post_quantum);
    let endpoint = dispatcher.endpoint("acme", &format!("https://{address}/in"), options).unwrap();
    let delivery = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
    let outcome = runtime::drive(delivery, || false).unwrap();
    (outcome, sizes.recv_timeout(SOON).unwrap())
}

#[test]
fn an_unanswered_first_message_beyond_a_packet_gets_a_hint() {
    patiently(|_| {
        for (manner, kind) in
            [(Manner::Resets, Kind::ConnectionLost), (Manner::Drops, Kind::DeadlineExceeded)]
        {
            let (outcome, size) = deliver(manner, true);
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.stage()), (kind, Stage::Handshake), "{error}");
            assert_eq!((error.sent(), error.retry()), (Sent::Nothing, Retry::Later));
            assert_eq!(error.context()["hint"], "client_hello_may_be_too_large");
            assert!(error.remedy().contains("post_quantum"), "{}", error.remedy());
            assert!(error.remedy().contains(&size.to_string()), "{size}: {}", error.remedy());
        }
    });
}

#[test]
fn without_post_quantum_the_first_message_fits_into_a_packet() {
    patiently(|_| {
        let (outcome, size) = deliver(Manner::Drops, false);
        assert_eq!(outcome.unwrap().tls().key_exchange, "X25519");
        assert!(size < 600, "{size}");
    });
}

#[test]
fn a_small_first_message_gets_no_hint() {
    // Listens without an answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lab = Lab::start().unwrap();
    let mut options = lab.dispatcher_options();
    options = options.handshake_timeout(Duration::from_millis(200)).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let options = EndpointOptions::new(None).post_quantum(false);
    let endpoint = dispatcher.endpoint("acme", &url, options).unwrap();
    let delivery = dispatcher.deliver(&endpoint, "{}", DeliverOptions::new());
    let error = runtime::drive(delivery, || false).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    assert!(error.context().get("hint").is_none());
}
