//! A receiver of bytes: a TLS server that demands our certificate and lets a test read and write as
//! it likes, so that a test sees what was on the wire and not what a parser made of it.

// Each test binary takes what it needs.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use webhook_mtls::testing::{Lab, Leaf};

pub(crate) struct Conversation(StreamOwned<ServerConnection, TcpStream>);

/// Talks to each connection in a thread of its own, until the test's process ends. Returns the URL.
pub(crate) fn listen(lab: &Lab, talk: impl Fn(Conversation) + Send + Sync + 'static) -> String {
    let config = Arc::new(config(lab));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/in", listener.local_addr().unwrap());
    let talk = Arc::new(talk);
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let (config, talk) = (config.clone(), talk.clone());
            thread::spawn(move || {
                tcp.set_nodelay(true).unwrap();
                let connection = ServerConnection::new(config).unwrap();
                talk(Conversation(StreamOwned::new(connection, tcp)));
            });
        }
    });
    url
}

fn config(lab: &Lab) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let issued = lab.authority().issue(Leaf::server("raw")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(lab.trust_pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
        .unwrap()
}

impl Conversation {
    /// The bytes to the end of a head, and none behind it; `None` if the client left before.
    pub(crate) fn head(&mut self) -> Option<Vec<u8>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1)?);
        }
        Some(head)
    }

    /// That many bytes; `None` if the client left before.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    /// Whatever comes until the client leaves.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    pub(crate) fn say(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes());
        let _ = self.0.flush();
    }
}
