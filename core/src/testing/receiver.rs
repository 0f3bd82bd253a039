//! The receiver behind a consumer: its socket, its handshakes and its connections.
//!
//! Its tasks run on the lab's thread. Only the methods that a test calls through `Consumer` run on other
//! threads; they access only state behind a lock.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::sleep;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use super::authority::TENANT_URI;
use super::http::{HttpConnection, Request, RequestError};
use super::idle::IdleConnections;
use super::misbehavior::Misbehavior::{CloseAfterHandshake, RejectByClose};
use super::misbehavior::{Misbehavior, Moment};
use super::script::{Answer, Received, Script};
use super::{Authority, Error, Issued, Leaf, lab_failed, lock};
use crate::process;

pub(super) struct Receiver {
    name: String,
    address: SocketAddr,
    authority: Mutex<Authority>,
    accepted: Mutex<Vec<Authority>>,
    shown: Mutex<Shown>,
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    recorded: Condvar,
    idle: IdleConnections,
    connections: AtomicU64,
    handshakes: AtomicU64,
}

/// The certificate that the receiver presents to new connections.
pub(super) struct Shown {
    pub(super) issued: Issued,
    pub(super) previous_pin: Option<String>,
}

impl Receiver {
    pub(super) fn start(
        name: &str,
        authority: Authority,
        lab: &Handle,
    ) -> Result<Arc<Self>, Error> {
        let issued = authority.issue(Leaf::server(name))?;
        let (listener, address) = listen(lab).map_err(|cause| lab_failed("listen", cause))?;
        let receiver = Arc::new(Self {
            name: name.to_owned(),
            address,
            accepted: Mutex::new(vec![authority.clone()]),
            authority: Mutex::new(authority),
            shown: Mutex::new(Shown { issued, previous_pin: None }),
            script: Mutex::default(),
            received: Mutex::default(),
            recorded: Condvar::new(),
            idle: IdleConnections::new(),
            connections: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
        });
        lab.spawn(Arc::clone(&receiver).accept(listener));
        Ok(receiver)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        lock(&self.shown)
    }

    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }

    pub(super) fn received(&self) -> MutexGuard<'_, Vec<Received>> {
        lock(&self.received)
    }

    pub(super) fn wait(&self, count: usize, within: Duration) -> bool {
        let (received, _) = self
            .recorded
            .wait_timeout_while(self.received(), within, |received| received.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        received.len() >= count
    }

    pub(super) fn misbehave(&self, how: Misbehavior, times: u32) {
        match how.moment() {
            Moment::Handshake => {
                self.script().handshakes.push(how, times);
                self.idle.close_all();
            }
            Moment::Request => self.script().requests.push(how, times),
        }
    }

    pub(super) fn renew(&self, new_key: bool) -> Result<(), Error> {
        {
            let mut shown = self.shown();
            let issued = self.authority().renew(&shown.issued, new_key)?;
            if issued.pin != shown.issued.pin {
                shown.previous_pin = Some(shown.issued.pin.clone());
            }
            shown.issued = issued;
        }
        self.idle.close_all();
        Ok(())
    }

    pub(super) fn show(&self, issued: Issued) {
        self.shown().issued = issued;
        self.idle.close_all();
    }

    pub(super) fn certify(&self, authority: &Authority) -> Result<(), Error> {
        *lock(&self.authority) = authority.clone();
        self.renew(false)
    }

    pub(super) fn accept_also(&self, authority: &Authority) {
        lock(&self.accepted).push(authority.clone());
    }

    pub(super) fn accept_only(&self, authority: &Authority) {
        *lock(&self.accepted) = vec![authority.clone()];
        self.idle.close_all();
    }

    fn authority(&self) -> Authority {
        lock(&self.authority).clone()
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((tcp, _)) => {
                    let number = self.connections.fetch_add(1, Ordering::Relaxed);
                    let receiver = Arc::clone(&self);
                    tokio::spawn(async move { receiver.connection(number, tcp).await });
                }
                // The process is most likely out of file descriptors. An immediate retry would spin until
                // other code closes one.
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Serves one connection. A fault of the peer ends this connection only.
    async fn connection(&self, number: u64, tcp: TcpStream) {
        // Without it, an answer could wait for the acknowledgment of a former one.
        let _ = tcp.set_nodelay(true);
        // Choose the configuration only after the ClientHello: a connection without one uses up no
        // misbehavior, and one that was opened early gets the current certificate.
        let Ok(client_hello) = LazyConfigAcceptor::new(Acceptor::default(), tcp).await else {
            return;
        };
        let server_name = client_hello.client_hello().server_name().map(str::to_owned);
        let first_round = *self.idle.watch().borrow();
        let how = self.script().handshakes.next();
        let config = self.config(how).expect("the lab's certificates fit their keys");
        let handshake = client_hello.into_stream(Arc::new(config)).into_fallible();
        // The process may fork and deliver from its children.
        match process::around_forks(handshake).await {
            Ok(_) if matches!(how, Some(CloseAfterHandshake | RejectByClose)) => {
                self.handshakes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(stream) => {
                self.handshakes.fetch_add(1, Ordering::Relaxed);
                let peer = Peer { tenant: tenant(&stream), server_name };
                self.serve_requests(number, first_round, stream, peer).await;
            }
            // An alert was sent. Close gracefully, so that the client can read it.
            Err((_, tcp)) => HttpConnection::new(tcp).close().await,
        }
    }

    /// Makes the TLS configuration of one connection, with the misbehavior `how`.
    fn config(&self, how: Option<Misbehavior>) -> Result<ServerConfig, Error> {
        let current = self.shown().issued.clone();
        let look_alike = |leaf: Leaf| self.authority().issue(leaf.key_of(&current));
        let leaf = Leaf::server(&self.name);
        let issued = match how {
            Some(Misbehavior::Expired) => look_alike(leaf.expired())?,
            Some(Misbehavior::WrongName) => look_alike(leaf.names(["wrong.lab.test"]))?,
            Some(Misbehavior::OtherCa) => Authority::new("other")?.issue(leaf)?,
            _ => current,
        };
        let verifier: Option<Arc<dyn ClientCertVerifier>> = match how {
            Some(Misbehavior::NeverAsk) => None,
            Some(Misbehavior::RejectCertificate) => {
                let inner = self.verifier()?;
                Some(Arc::new(Misled { names: inner.clone(), inner, refuses: true }))
            }
            Some(RejectByClose) => {
                let names = Self::verifier_of(&[Authority::new("other")?])?;
                Some(Arc::new(Misled { names, inner: self.verifier()?, refuses: false }))
            }
            _ => Some(self.verifier()?),
        };
        let versions: &[_] = match how {
            Some(Misbehavior::Tls12) => &[&TLS12],
            _ => &[&TLS13, &TLS12],
        };
        server_config(&issued, verifier, versions)
            .map_err(|cause| lab_failed("configure a receiver", cause))
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        Self::verifier_of(&lock(&self.accepted))
    }

    fn verifier_of(accepted: &[Authority]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let mut roots = RootCertStore::empty();
        for authority in accepted {
            let root = CertificateDer::from_pem_slice(authority.root_pem().as_bytes())
                .map_err(|_| lab_failed("read its root", "not PEM"))?;
            roots.add(root).map_err(|cause| lab_failed("read its root", cause))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|cause| lab_failed("trust its root", cause))
    }

    /// Reads requests and answers them until one side closes.
    ///
    /// * `first_round`: the round of [`IdleConnections`] in which the certificate was chosen.
    async fn serve_requests(
        &self,
        number: u64,
        first_round: u64,
        stream: TlsStream<TcpStream>,
        peer: Peer,
    ) {
        let mut round = self.idle.watch();
        let mut http = HttpConnection::new(stream);
        let mut idle = self.idle.enter(number);
        loop {
            match run_unless(round.changed(), http.wait_for_request()).await {
                Some(Ok(())) => drop(idle),
                Some(Err(_)) => return,
                None => return http.close().await,
            }
            let request = match http.read_request().await {
                Ok(request) => request,
                Err(RequestError::Closed) => return,
                Err(RequestError::Refused(status)) => {
                    let _ = http.write_answer(&Answer::status(status), "", true).await;
                    return http.close().await;
                }
            };
            let (method, keep_alive) = (request.method.clone(), request.keep_alive);
            self.record(request, &peer);
            match self.next_reaction() {
                Reaction::Answer(answer) => {
                    let close = answer.header("connection");
                    let close = close.is_some_and(|value| value.eq_ignore_ascii_case("close"));
                    let last = close || !keep_alive || *round.borrow() != first_round;
                    // The client may treat the connection as idle from the first byte of the answer,
                    // so `close_all` must find it among the idle ones from here on.
                    idle = self.idle.enter(number);
                    match http.write_answer(&answer, &method, last).await {
                        Ok(()) if last => return http.close().await,
                        Ok(()) => {}
                        Err(_) => return,
                    }
                }
                Reaction::Reset => {
                    let _ = http.stream().get_ref().0.set_zero_linger();
                    return;
                }
                Reaction::Silence => return http.drain().await,
            }
        }
    }

    fn record(&self, request: Request, peer: &Peer) {
        let id = request.headers.iter().find(|header| header.0 == "webhook-id");
        self.received().push(Received {
            id: id.map(|header| header.1.clone()),
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            tenant: peer.tenant.clone(),
            server_name: peer.server_name.clone(),
        });
        self.recorded.notify_all();
    }

    fn next_reaction(&self) -> Reaction {
        let mut script = self.script();
        match script.requests.next() {
            Some(Misbehavior::ResetAfterBody) => Reaction::Reset,
            Some(Misbehavior::Stall) => Reaction::Silence,
            _ => Reaction::Answer(script.answers.next().unwrap_or_default()),
        }
    }
}

/// The facts of a handshake that belong to each request of its connection.
struct Peer {
    tenant: Option<String>,
    server_name: Option<String>,
}

/// The reaction of the receiver to a request.
enum Reaction {
    Answer(Answer),
    Reset,
    Silence,
}

fn listen(lab: &Handle) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let _lab = lab.enter();
    Ok((TcpListener::from_std(listener)?, address))
}

fn server_config(
    issued: &Issued,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let chain = issued.chain_der.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(issued.key_der.clone());
    let mut config = builder.with_single_cert(chain, key.into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session presents no certificate, so the client would not see a renewed one.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// A verifier that names other CAs in its request, or refuses every certificate.
#[derive(Debug)]
struct Misled {
    /// Its CAs are named in the certificate request.
    names: Arc<dyn ClientCertVerifier>,
    inner: Arc<dyn ClientCertVerifier>,
    refuses: bool,
}

impl ClientCertVerifier for Misled {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.names.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.refuses {
            return Err(CertificateError::UnknownIssuer.into());
        }
        self.inner.verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn tenant(stream: &TlsStream<TcpStream>) -> Option<String> {
    let leaf = stream.get_ref().1.peer_certificates()?.first()?;
    let leaf = EndEntityCert::try_from(leaf).ok()?;
    let tenant = leaf.valid_uri_names().find_map(|uri| uri.strip_prefix(TENANT_URI));
    tenant.map(str::to_owned)
}

/// Returns the output of `work`, or `None` if `stop` completes first. If both are ready, `work` wins.
async fn run_unless<T>(stop: impl Future, work: impl Future<Output = T>) -> Option<T> {
    let (mut stop, mut work) = (pin!(stop), pin!(work));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => stop.as_mut().poll(cx).map(|_| None),
    })
    .await
}
