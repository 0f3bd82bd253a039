//! The floor: the cost of a delivery without any library around it. Blocking rustls over a plain
//! socket with hand-written HTTP/1.1, an address instead of a name, no pool and no deadline. It
//! checks only the chain.
//!
//! With many in flight, one thread and one epoll instance serve up to 32 connections, and the next
//! request leaves as soon as a response is complete. The floor offers only X25519, and the
//! library's preferred cipher suites; `cold_mlkem` and `cold_aes128` show the cost of other
//! choices.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

mod measure;
mod terms;

use measure::{Arguments, IN_FLIGHT, Measure};

fn main() {
    let arguments = Arguments::read();
    let config = terms::terms(&arguments, provider(&arguments.mode));
    let urls = arguments.urls();
    let hosts: Vec<&str> = urls.iter().map(|url| host(url)).collect();
    let request = request(&arguments.url);
    let open = |host: &str| Wire::open(&config, host);
    let errors = match arguments.mode.as_str() {
        "warm" => {
            let mut wire = open(hosts[0]);
            measured(&arguments, |n| (0..n).filter(|_| !wire.deliver(&request)).count())
        }
        "flight" => {
            let mut fleet = Fleet::new(vec![hosts[0]; IN_FLIGHT], open);
            measured(&arguments, |n| fleet.deliver(n, &request))
        }
        "fleet" | "again" | "idle" => {
            let mut fleet = Fleet::new(hosts, open);
            measured(&arguments, |n| fleet.deliver(n, &request))
        }
        cold if cold.starts_with("cold") => {
            measured(&arguments, |n| (0..n).filter(|_| !open(hosts[0]).deliver(&request)).count())
        }
        other => panic!("unknown mode: {other}"),
    };
    assert_eq!(errors, 0);
}

fn provider(mode: &str) -> CryptoProvider {
    let mut provider = default_provider();
    if mode != "cold_mlkem" {
        provider.kx_groups = vec![kx_group::X25519];
    }
    if mode == "cold_aes128" {
        provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    }
    provider
}

/// Returns the host of a URL, with its port.
fn host(url: &str) -> &str {
    url.trim_start_matches("https://").split('/').next().expect("one")
}

fn request(url: &str) -> Vec<u8> {
    let path = url.rsplit('/').next().expect("a path");
    let mut request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: 1024\r\n\r\n",
        host(url)
    )
    .into_bytes();
    request.resize(request.len() + 1024, b'x');
    request
}

fn measured(arguments: &Arguments, mut deliver: impl FnMut(usize) -> usize) -> usize {
    deliver(arguments.before());
    let measure = Measure::start();
    let errors = deliver(arguments.n);
    measure.say("floor", arguments, errors);
    errors
}

/// One connection to each of some hosts, opened on first use.
struct Fleet<'a, Open> {
    hosts: Vec<&'a str>,
    open: Open,
    epoll: Epoll,
    wires: Vec<Option<Wire>>,
    /// The connections without a delivery in flight, longest free first.
    free: VecDeque<usize>,
}

impl<'a, Open: Fn(&str) -> Wire> Fleet<'a, Open> {
    fn new(hosts: Vec<&'a str>, open: Open) -> Self {
        let wires = hosts.iter().map(|_| None).collect();
        let free = (0..hosts.len()).collect();
        let epoll = Epoll::new(EpollCreateFlags::empty()).expect("a descriptor");
        Self { hosts, open, epoll, wires, free }
    }

    /// Makes `n` deliveries, each as soon as one is done. Returns how many were not a 200.
    fn deliver(&mut self, n: usize, request: &[u8]) -> usize {
        let mut events = [EpollEvent::empty(); 2 * IN_FLIGHT];
        let (mut begun, mut done, mut errors) = (0, 0, 0);
        while done < n {
            if begun < n.min(done + IN_FLIGHT) {
                self.begin(request);
                begun += 1;
                continue;
            }
            let ready = self.epoll.wait(&mut events, EpollTimeout::NONE).expect("events");
            for event in &events[..ready] {
                let place = usize::try_from(event.data()).expect("a place");
                let Some(good) = self.wires[place].as_mut().and_then(Wire::receive) else {
                    continue;
                };
                errors += usize::from(!good);
                done += 1;
                self.free.push_back(place);
                if begun < n {
                    self.begin(request);
                    begun += 1;
                }
            }
        }
        errors
    }

    fn begin(&mut self, request: &[u8]) {
        let place = self.free.pop_front().expect("fewer are under way");
        let wire = self.wires[place].get_or_insert_with(|| {
            let wire = (self.open)(self.hosts[place]).shaken();
            let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
            self.epoll.add(&wire.tls.sock, event).expect("a wire");
            wire
        });
        wire.send(request);
    }
}

struct Wire {
    tls: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
    /// How much of the buffer the response has filled.
    filled: usize,
}

impl Wire {
    fn open(config: &Arc<ClientConfig>, authority: &str) -> Self {
        let socket = TcpStream::connect(authority).expect("a receiver");
        socket.set_nodelay(true).expect("a socket");
        let name = authority.split(':').next().expect("a host").to_owned();
        let name = ServerName::try_from(name).expect("an address");
        let tls = ClientConnection::new(config.clone(), name).expect("a client");
        Self { tls: StreamOwned::new(tls, socket), buffer: vec![0; 1024], filled: 0 }
    }

    /// Completes the handshake, and makes the socket non-blocking.
    fn shaken(mut self) -> Self {
        self.tls.conn.complete_io(&mut self.tls.sock).expect("a handshake");
        self.tls.sock.set_nonblocking(true).expect("a socket");
        self
    }

    fn deliver(&mut self, request: &[u8]) -> bool {
        self.send(request);
        self.receive().expect("it blocks")
    }

    fn send(&mut self, request: &[u8]) {
        self.tls.write_all(request).and_then(|()| self.tls.flush()).expect("written");
    }

    /// Reads a response. Once it is complete, returns whether it was a 200.
    fn receive(&mut self) -> Option<bool> {
        loop {
            match self.tls.read(&mut self.buffer[self.filled..]) {
                Ok(read) => {
                    assert!(read > 0, "the receiver closed");
                    self.filled += read;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("no answer: {error}"),
            }
            let text = std::str::from_utf8(&self.buffer[..self.filled]).expect("ASCII");
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("Content-Length: ").nth(1).expect("a length");
                let length: usize =
                    length.lines().next().expect("a line").parse().expect("a number");
                if body.len() >= length {
                    self.filled = 0;
                    return Some(head.starts_with("HTTP/1.1 200"));
                }
            }
        }
    }
}
