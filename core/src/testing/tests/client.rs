//! A small rustls client for the tests of the kit.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::LONG;
use crate::testing::{Consumer, Issued, Lab};

pub(super) fn address(consumer: &Consumer) -> SocketAddr {
    let url = consumer.url();
    url.split('/').nth(2).unwrap().parse().unwrap()
}

pub(super) fn plain(consumer: &Consumer) -> StdTcpStream {
    let stream = StdTcpStream::connect(address(consumer)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

pub(super) fn config(
    lab: &Lab,
    identity: Option<&Issued>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(lab.trust_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let (chain, key) = der(issued);
            builder.with_client_auth_cert(chain, key.into()).unwrap()
        }
    })
}

fn der(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>) {
    let chain = issued.chain_der.iter().cloned().map(CertificateDer::from).collect();
    (chain, issued.key_der.clone().into())
}

pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

pub(super) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match tls_error(error)? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Connects with a client that the receiver refuses, and returns the error that the client reads after
/// its own handshake.
pub(super) async fn refusal(consumer: &Consumer, config: Arc<ClientConfig>) -> io::Error {
    let mut client = Client::with(consumer, config).await.unwrap();
    client.rest().await.unwrap_err()
}

pub(super) struct Client {
    pub(super) stream: TlsStream<TcpStream>,
    path: String,
}

impl Client {
    pub(super) async fn connect(lab: &Lab, consumer: &Consumer) -> io::Result<Self> {
        Self::with(consumer, config(lab, Some(&lab.issued), &TLS13)).await
    }

    pub(super) async fn with(consumer: &Consumer, config: Arc<ClientConfig>) -> io::Result<Self> {
        let address = address(consumer);
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self { stream, path: format!("/webhooks/{}", consumer.name()) })
    }

    pub(super) async fn post(&mut self, headers: &str, body: &[u8]) -> String {
        self.send(headers, body).await;
        self.answer().await
    }

    pub(super) async fn send(&mut self, headers: &str, body: &[u8]) {
        let head = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n", self.path);
        self.write(&format!("{head}{headers}content-length: {}\r\n\r\n", body.len())).await;
        self.stream.write_all(body).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one answer: its head, and the body that the head announces.
    pub(super) async fn answer(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(self.stream.read_u8().await.unwrap().into());
        }
        let length = text
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
        text + std::str::from_utf8(&body).unwrap()
    }

    /// Reads until the `close_notify`; fails without one.
    pub(super) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await?;
        Ok(rest)
    }

    /// Reads until the end, with or without a `close_notify`.
    pub(super) async fn raw_rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest).await;
        rest
    }

    pub(super) fn leaf(&self) -> Vec<u8> {
        self.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

/// Presents a certificate, and counts how often a server asks for it.
#[derive(Debug)]
pub(super) struct CountingResolver {
    key: Arc<CertifiedKey>,
    pub(super) requests: AtomicUsize,
}

impl CountingResolver {
    pub(super) fn with(issued: &Issued) -> Arc<Self> {
        let (chain, key) = der(issued);
        let provider = aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key.into(), &provider).unwrap();
        Arc::new(Self { key: Arc::new(key), requests: AtomicUsize::new(0) })
    }
}

impl ResolvesClientCert for CountingResolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
