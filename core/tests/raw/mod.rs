//! A receiver of raw bytes: a TLS server that requires our certificate and lets a test read and
//! write any bytes. The test sees the bytes on the wire, not a parser's result.

// Each test binary uses only some of these.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use webhook_mtls::testing::{Authority, Lab, Leaf};

pub(crate) struct Conversation(StreamOwned<ServerConnection, TcpStream>);

/// Runs `talk` for each connection on a separate thread, until the test process ends. Returns the
/// URL.
pub(crate) fn listen(lab: &Lab, talk: impl Fn(Conversation) + Send + Sync + 'static) -> String {
    serve(config(lab, rustls::DEFAULT_VERSIONS), talk)
}

/// Like `listen`, on one version of TLS, for a receiver that requests a certificate and refuses
/// ours with the alert `unknown_ca`.
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
    // Without CA hints, as with many servers: a client then presents its certificate.
    serve(config_with(lab, builder.clear_root_hint_subjects(), &[version]), talk)
}

/// Like `listen`, with another configuration.
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

pub(crate) fn config_with(
    lab: &Lab,
    verifier: ClientCertVerifierBuilder,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    config_of(lab, default_provider(), verifier, versions)
}

/// The same, with these cipher suites and groups.
pub(crate) fn config_of(
    lab: &Lab,
    provider: CryptoProvider,
    verifier: ClientCertVerifierBuilder,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let issued = lab.authority().issue(Leaf::server("raw")).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(provider))
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
    /// Reads to the end of a head and no further; `None` if the client closed before.
    pub(crate) fn head(&mut self) -> Option<Vec<u8>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1)?);
        }
        Some(head)
    }

    /// The certificate that the client presented, once a byte was read.
    pub(crate) fn shown(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Whether the client presented a certificate, once a byte was read.
    pub(crate) fn has_certificate(&self) -> bool {
        self.0.conn.peer_certificates().is_some()
    }

    /// Reads this many bytes; `None` if the client closed before.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    /// Completes the handshake. Reads no data.
    pub(crate) fn shake_hands(&mut self) -> Option<()> {
        while self.0.conn.is_handshaking() {
            self.0.conn.complete_io(&mut self.0.sock).ok()?;
        }
        Some(())
    }

    /// Answers the ClientHello, reads a part of the client's next flight, and closes.
    pub(crate) fn leave_in_handshake(mut self) {
        let StreamOwned { conn, sock } = &mut self.0;
        while !conn.wants_write() {
            conn.read_tls(sock).unwrap();
            conn.process_new_packets().unwrap();
        }
        while conn.wants_write() {
            conn.write_tls(sock).unwrap();
        }
        let _ = sock.read(&mut [0; 16 * 1024]);
    }

    /// Reads all bytes until the client closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    /// Returns whether the client sends a close_notify and nothing before it.
    pub(crate) fn ends_with_close_notify(&mut self) -> bool {
        matches!(self.0.read_to_end(&mut Vec::new()), Ok(0))
    }

    /// Reads all remaining bytes of the client, below TLS too. Otherwise closing would reset the
    /// connection, and the last bytes that we sent might not arrive.
    pub(crate) fn drain(&mut self) {
        let _ = self.0.sock.shutdown(Shutdown::Write);
        let _ = std::io::copy(&mut self.0.sock, &mut std::io::sink());
    }

    pub(crate) fn say(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes());
        let _ = self.0.flush();
    }
}
