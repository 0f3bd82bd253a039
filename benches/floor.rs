//! The floor: what a delivery costs with nothing around it. Blocking rustls over a plain socket,
//! HTTP/1.1 written by hand, an address and no name, no pool, no deadline, no judge beyond the chain.
//!
//! Many in flight are up to 32 connections of one thread: a request on each, then an answer from
//! each. X25519 alone is offered, and what the library prefers of cipher suites; `cold_mlkem` and
//! `cold_aes128` show what another choice costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

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
            let mut wires: Vec<Wire> = (0..IN_FLIGHT).map(|_| open(hosts[0])).collect();
            measured(&arguments, |n| {
                let rounds = 0..n / IN_FLIGHT;
                rounds.map(|_| round(&mut wires, &request)).sum()
            })
        }
        "fleet" | "again" | "idle" => {
            let mut wires: Vec<Option<Wire>> = hosts.iter().map(|_| None).collect();
            let mut next = 0;
            measured(&arguments, |n| {
                let (mut left, mut errors) = (n, 0);
                while left > 0 {
                    let until = hosts.len().min(next + left.min(IN_FLIGHT));
                    let each = wires[next..until].iter_mut().zip(&hosts[next..until]);
                    let wires: Vec<&mut Wire> =
                        each.map(|(wire, host)| wire.get_or_insert_with(|| open(host))).collect();
                    errors += round(wires, &request);
                    left -= until - next;
                    next = until % hosts.len();
                }
                errors
            })
        }
        cold if cold.starts_with("cold") => {
            measured(&arguments, |n| (0..n).filter(|_| !open(hosts[0]).deliver(&request)).count())
        }
        other => panic!("no such mode: {other}"),
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

/// The host of a URL, with its port.
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

/// A request on each, then an answer from each; how many were no 200.
fn round<'a>(wires: impl IntoIterator<Item = &'a mut Wire>, request: &[u8]) -> usize {
    let mut wires: Vec<&mut Wire> = wires.into_iter().collect();
    for wire in &mut wires {
        wire.send(request);
    }
    wires.iter_mut().filter_map(|wire| (!wire.receive()).then_some(())).count()
}

struct Wire {
    tls: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Wire {
    fn open(config: &Arc<ClientConfig>, authority: &str) -> Self {
        let socket = TcpStream::connect(authority).expect("a receiver");
        socket.set_nodelay(true).expect("a socket");
        let name = authority.split(':').next().expect("a host").to_owned();
        let name = ServerName::try_from(name).expect("an address");
        let tls = ClientConnection::new(config.clone(), name).expect("a client");
        Self { tls: StreamOwned::new(tls, socket), buffer: vec![0; 1024] }
    }

    fn deliver(&mut self, request: &[u8]) -> bool {
        self.send(request);
        self.receive()
    }

    fn send(&mut self, request: &[u8]) {
        self.tls.write_all(request).and_then(|()| self.tls.flush()).expect("written");
    }

    /// Reads one whole answer; says whether it was a 200.
    fn receive(&mut self) -> bool {
        let mut filled = 0;
        loop {
            let read = self.tls.read(&mut self.buffer[filled..]).expect("an answer");
            assert!(read > 0, "the receiver closed");
            filled += read;
            let text = std::str::from_utf8(&self.buffer[..filled]).expect("ASCII");
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("Content-Length: ").nth(1).expect("a length");
                let length: usize =
                    length.lines().next().expect("a line").parse().expect("a number");
                if body.len() >= length {
                    return head.starts_with("HTTP/1.1 200");
                }
            }
        }
    }
}
