//! A receiver of bytes: a TLS server that demands our certificate and lets a test read and write as
//! it likes, so that a test sees what was on the wire and not what a parser made of it.

// Each test binary takes what it needs.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use webhook_mtls::testing::{Authority, Lab, Leaf};

pub(crate) struct Conversation(StreamOwned<ServerConnection, TcpStream>);

/// Talks to each connection in a thread of its own, until the test's process ends. Returns the URL.
pub(crate) fn listen(lab: &Lab, talk: impl Fn(Conversation) + Send + Sync + 'static) -> String {
    serve(config(lab, rustls::DEFAULT_VERSIONS), talk)
}

/// The same on one version of TLS, for a receiver that asks for a certificate and refuses ours with
/// the alert `unknown_ca`.
pub(crate) fn refuse(
    lab: &Lab,
    version: &'static SupportedProtocolVersion,
    talk: impl Fn(Conversation) + Send + Sync + 'static,
) -> String {
    let other = Authority::new("other").unwrap();
    let builder = WebPkiClientVerifier::builder_with_provider(
        roots(other.root_pem()),
        Arc::new(default_provider()),
    );
    // Without hints at whom it trusts, as many servers are: a client shows what it has.
    serve(config_with(lab, builder.clear_root_hint_subjects(), &[version]), talk)
}

/// The same with a configuration of its own.
pub(crate) fn serve(
    config: ServerConfig,
    talk: impl Fn(Conversation) + Send + Sync + 'static,
) -> String {
    let config = Arc::new(config);
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

/// A server of the lab that demands a certificate.
pub(crate) fn config(lab: &Lab, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let verifier = WebPkiClientVerifier::builder_with_provider(
        roots(&lab.trust_pem()),
        Arc::new(default_provider()),
    );
    config_with(lab, verifier, versions)
}

fn config_with(
    lab: &Lab,
    verifier: ClientCertVerifierBuilder,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let issued = lab.authority().issue(Leaf::server("raw")).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key)
        .unwrap()
}

pub(crate) fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    Arc::new(roots)
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

    /// The certificate that the client showed, once a byte was read.
    pub(crate) fn shown(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
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

    /// Whether the client says a close_notify, and nothing before it.
    pub(crate) fn ends_with_goodbye(&mut self) -> bool {
        matches!(self.0.read_to_end(&mut Vec::new()), Ok(0))
    }

    /// Leaves no byte of the client unread, TLS or not: closing would reset the connection then, and
    /// what was said last might not arrive.
    pub(crate) fn drain(&mut self) {
        let _ = self.0.sock.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut self.0.sock, &mut std::io::sink());
    }

    pub(crate) fn say(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes());
        let _ = self.0.flush();
    }
}
