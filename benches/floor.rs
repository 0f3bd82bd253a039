//! The floor: what a delivery costs with nothing around it. Blocking rustls over a plain socket,
//! HTTP/1.1 written by hand, an address and no name, no pool, no deadline, no judge beyond the chain.
//!
//! Many in flight are 32 connections of one thread: a request on each, then an answer from each.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

mod measure;

use measure::{Arguments, IN_FLIGHT, Measure};

fn main() {
    let arguments = Arguments::read();
    let config = config(&arguments);
    let authority = arguments.url.trim_start_matches("https://").split('/').next().expect("one");
    let path = arguments.url.rsplit('/').next().expect("a path");
    let mut request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\n\
         content-length: 1024\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + 1024, b'x');
    let open = || Wire::open(&config, authority);
    let errors = match arguments.mode.as_str() {
        "warm" => {
            let mut wire = open();
            measured(&arguments, |n| (0..n).filter(|_| !wire.deliver(&request)).count())
        }
        "flight" => {
            let mut wires: Vec<Wire> = (0..IN_FLIGHT).map(|_| open()).collect();
            measured(&arguments, |n| {
                let rounds = 0..n / IN_FLIGHT;
                rounds.map(|_| round(&mut wires, &request)).sum()
            })
        }
        "cold" => measured(&arguments, |n| (0..n).filter(|_| !open().deliver(&request)).count()),
        other => panic!("no such mode: {other}"),
    };
    assert_eq!(errors, 0);
}

fn measured(arguments: &Arguments, mut deliver: impl FnMut(usize) -> usize) -> usize {
    deliver(arguments.before());
    let measure = Measure::start();
    let errors = deliver(arguments.n);
    measure.say("floor", arguments, errors);
    errors
}

fn round(wires: &mut [Wire], request: &[u8]) -> usize {
    for wire in &mut *wires {
        wire.send(request);
    }
    wires.iter_mut().filter_map(|wire| (!wire.receive()).then_some(())).count()
}

fn config(arguments: &Arguments) -> Arc<ClientConfig> {
    let pem = |name: &str| {
        let found = CertificateDer::pem_file_iter(arguments.file(name)).expect("PEM");
        found.map(|certificate| certificate.expect("a certificate"))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem("ca.pem"));
    let key = PrivateKeyDer::from_pem_file(arguments.file("tls.key")).expect("a key");
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(pem("tls.crt").collect(), key)
        .expect("an identity");
    config.resumption = rustls::client::Resumption::disabled();
    config.into()
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
        Self { tls: StreamOwned::new(tls, socket), buffer: vec![0; 16 * 1024] }
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
