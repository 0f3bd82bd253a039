//! Accepts connections, one task for each, within limits: a slow or hostile client holds up no other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DistinguishedName, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use webhook_mtls::Verifier;

use super::http::{BadRequest, Reader, Request};
use super::verifier::{ConnectionVerifier, Presented, explained};

/// The time for a handshake, and for a request with its answer.
const HANDSHAKE: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(30);
/// The time for a client to read the answer and close.
const CLOSING: Duration = Duration::from_secs(5);
/// The most connections at a time. Further ones wait in the queue of the system.
const CONNECTIONS: usize = 128;
/// The most reports that wait to be shown.
const REPORTS: usize = 64;

/// What a receiver needs.
pub(super) struct Receiver {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) key: Arc<CertifiedKey>,
    pub(super) verifier: Verifier,
    pub(super) authorities: Arc<[DistinguishedName]>,
    pub(super) status: u16,
}

/// One connection, as it ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) address: SocketAddr,
    pub(super) presented: Presented,
    pub(super) tls: Option<Tls>,
    pub(super) end: End,
}

/// The parameters of a handshake.
#[derive(Debug, Default)]
pub(super) struct Tls {
    pub(super) version: String,
    pub(super) suite: String,
    pub(super) group: String,
    pub(super) server_name: Option<String>,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// A request came and was answered with this status.
    Request(Request, u16),
    /// The client was accepted, and what it sent is no request.
    NoRequest(String),
    /// There was no handshake. The verdict on the certificate says why if it was refused.
    NoHandshake(String),
}

/// Accepts connections until the receiver of the reports is dropped.
pub(super) async fn serve(
    listener: TcpListener,
    receiver: Receiver,
    reports: mpsc::Sender<Report>,
) {
    let receiver = Arc::new(receiver);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, address)) = listener.accept().await else {
            // Out of descriptors, for example: others end soon.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(attend(stream, address, Arc::clone(&receiver), reports.clone(), place));
    }
}

/// Returns the channel for the reports. Clients wait while it is full.
pub(super) fn channel() -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
    mpsc::channel(REPORTS)
}

async fn attend(
    stream: TcpStream,
    address: SocketAddr,
    receiver: Arc<Receiver>,
    reports: mpsc::Sender<Report>,
    _place: OwnedSemaphorePermit,
) {
    let mut start = [0; 8];
    let start = match timeout(HANDSHAKE, stream.peek(&mut start)).await {
        Ok(Ok(length)) => &start[..length],
        _ => &[],
    };
    let verifier = Arc::new(ConnectionVerifier::new(
        receiver.verifier.clone(),
        receiver.provider.signature_verification_algorithms,
        Arc::clone(&receiver.authorities),
    ));
    let failed = |verifier: &ConnectionVerifier, why: String| Report {
        address,
        presented: verifier.take(),
        tls: None,
        end: End::NoHandshake(why),
    };
    let config = match config(&receiver, Arc::clone(&verifier)) {
        Ok(config) => config,
        Err(error) => {
            let _ = reports.send(failed(&verifier, error.to_string())).await;
            return;
        }
    };
    let accepted = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let _ = reports.send(failed(&verifier, explained(&error, start))).await;
            return;
        }
        Err(_) => {
            let why = "it did not finish the handshake within 10 s".to_owned();
            let _ = reports.send(failed(&verifier, why)).await;
            return;
        }
    };
    let tls = Some(facts(stream.get_ref().1));
    let mut reader = Reader::new(stream);
    let end = answered(&mut reader, receiver.status).await;
    let report = Report { address, presented: verifier.take(), tls, end };
    let _ = reports.send(report).await;
    let _ = timeout(CLOSING, reader.close()).await;
}

/// Reads a request and answers it.
async fn answered(
    reader: &mut Reader<tokio_rustls::server::TlsStream<TcpStream>>,
    status: u16,
) -> End {
    let outcome = timeout(REQUEST, async {
        let outcome = reader.request().await;
        let (answer, text) = match &outcome {
            Ok(_) => (status, "received\n"),
            Err(BadRequest::Refused(status, why)) => (*status, *why),
            Err(BadRequest::Closed) => return outcome,
        };
        // A client that is gone was heard all the same.
        let _ = reader.answer(answer, text).await;
        outcome
    });
    match outcome.await {
        Ok(Ok(request)) => End::Request(request, status),
        Ok(Err(BadRequest::Refused(status, why))) => {
            End::NoRequest(format!("{why} (answered {status})"))
        }
        Ok(Err(BadRequest::Closed)) => {
            End::NoRequest("it closed the connection without a request".to_owned())
        }
        Err(_) => End::NoRequest("it sent no whole request within 30 s".to_owned()),
    }
}

fn config(
    receiver: &Receiver,
    verifier: Arc<ConnectionVerifier>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&receiver.provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&receiver.key))));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A ticket would let a client return without its certificate.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn facts(connection: &rustls::ServerConnection) -> Tls {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "",
    };
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    let group = connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str());
    Tls {
        version: version.to_owned(),
        suite: suite.unwrap_or_default().to_owned(),
        group: group.unwrap_or_default().to_owned(),
        server_name: connection.server_name().map(str::to_owned),
    }
}
