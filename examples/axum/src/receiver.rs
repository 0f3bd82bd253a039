//! A consumer: ends TLS itself, demands a certificate of the senders' CA, and sees in each handler
//! who has sent the webhook. Needs ca.pem, pki/receiver.crt and pki/receiver.key in this directory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::serve::{IncomingStream, Listener};
use axum::{Json, Router};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webhook_mtls::verify::PeerIdentity;
use webhook_mtls::{Role, TenantRule, Trust, Verifier, VerifierOptions};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trust = Trust::from_files("ca.pem", None, None)?;
    let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}")?;
    let verifier = Verifier::new(VerifierOptions::new(Role::Client, trust).tenant(rule))?;
    let port = std::env::var("PORT").map_or(Ok(8443), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    println!("listening on https://{}/", listener.local_addr()?);
    let app = Router::new().route("/in", post(receive));
    let service = app.into_make_service_with_connect_info::<Peer>();
    axum::serve(MutualTls::new(listener, verifier)?, service)
        .with_graceful_shutdown(async move { _ = terminated.recv().await })
        .await?;
    Ok(())
}

/// Takes a webhook. A client without a verified certificate has no connection.
async fn receive(
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: String,
) -> Json<Value> {
    // The same in each attempt: a payload may arrive twice.
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let tenant = peer.tenant().unwrap_or_default();
    println!("{id} from {tenant}, {}: {body}", peer.evidence().name());
    Json(json!({"id": id, "tenant": tenant}))
}

/// The verified client of a connection.
#[derive(Clone, Debug)]
struct Peer(Arc<PeerIdentity>);

impl Connected<IncomingStream<'_, MutualTls>> for Peer {
    fn connect_info(stream: IncomingStream<'_, MutualTls>) -> Self {
        stream.remote_addr().clone()
    }
}

/// Accepts the connections whose client is verified. Handshakes run beside each other, so that a slow
/// client delays no other.
struct MutualTls {
    connections: mpsc::Receiver<(TlsStream<TcpStream>, Peer)>,
}

impl MutualTls {
    fn new(listener: TcpListener, verifier: Verifier) -> Result<Self, Box<dyn std::error::Error>> {
        let acceptor = TlsAcceptor::from(Arc::new(configuration()?));
        let (sender, connections) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let Ok((stream, from)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(100)).await; // no free descriptor
                    continue;
                };
                let (acceptor, verifier, sender) =
                    (acceptor.clone(), verifier.clone(), sender.clone());
                tokio::spawn(async move {
                    match timeout(HANDSHAKE, handshake(&acceptor, &verifier, stream)).await {
                        Ok(Ok(connection)) => drop(sender.send(connection).await),
                        Ok(Err(error)) => println!("refused {from}: {error}"),
                        Err(_) => println!("refused {from}: the handshake took too long"),
                    }
                });
            }
        });
        Ok(MutualTls { connections })
    }
}

impl Listener for MutualTls {
    type Io = TlsStream<TcpStream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        self.connections.recv().await.expect("the task that accepts does not end")
    }

    fn local_addr(&self) -> std::io::Result<Peer> {
        Err(std::io::ErrorKind::Unsupported.into()) // its address is no peer, and axum does not ask
    }
}

/// rustls demands a certificate of the CA, and the verifier says whose it is.
async fn handshake(
    acceptor: &TlsAcceptor,
    verifier: &Verifier,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Peer), Box<dyn std::error::Error + Send + Sync>> {
    let stream = acceptor.accept(stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = verifier.verify_chain(chain, None, SystemTime::now())?;
    Ok((stream, Peer(Arc::new(peer))))
}

fn configuration() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter("ca.pem")? {
        roots.add(root?)?;
    }
    let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
    let chain = CertificateDer::pem_file_iter("pki/receiver.crt")?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file("pki/receiver.key")?;
    Ok(ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key)?)
}
