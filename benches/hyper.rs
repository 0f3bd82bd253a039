//! hyper's connections over tokio-rustls, on one thread with a hand-written pool: the minimal
//! alternative in Rust.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

mod measure;
mod terms;

use measure::{Arguments, IN_FLIGHT, Measure};

fn main() {
    let arguments = Arguments::read();
    let at_once = if matches!(arguments.mode.as_str(), "warm" | "cold") { 1 } else { IN_FLIGHT };
    let client = Arc::new(Client {
        tls: TlsConnector::from(terms::terms(&arguments, default_provider())),
        urls: arguments.urls(),
        next: AtomicUsize::new(0),
        keeps: arguments.mode != "cold",
        idle: Mutex::default(),
        body: Bytes::from(vec![b'x'; 1024]),
    });
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let deliver = |n: usize| runtime.block_on(client.deliver(n, at_once));
    deliver(arguments.before());
    let measure = Measure::start();
    let errors = deliver(arguments.n);
    measure.say("hyper", &arguments, errors);
}

type Sender = SendRequest<Full<Bytes>>;

struct Client {
    tls: TlsConnector,
    urls: Vec<String>,
    next: AtomicUsize,
    keeps: bool,
    /// Idle connections, by the index of their URL.
    idle: Mutex<HashMap<usize, Vec<Sender>>>,
    body: Bytes,
}

impl Client {
    /// Makes `n` deliveries, `at_once` in flight. Returns how many were not a 200.
    async fn deliver(self: &Arc<Self>, n: usize, at_once: usize) -> usize {
        let left = Arc::new(AtomicUsize::new(n));
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            let (client, left) = (self.clone(), left.clone());
            tasks.spawn(async move {
                let mut errors = 0;
                while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    errors += usize::from(!client.one().await);
                }
                errors
            });
        }
        tasks.join_all().await.iter().sum()
    }

    /// Delivers once; returns whether the response was a 200.
    async fn one(&self) -> bool {
        let at = self.next.fetch_add(1, Relaxed) % self.urls.len();
        let host = self.urls[at].trim_start_matches("https://").split('/').next().expect("one");
        let kept = self.idle.lock().expect("no panic").entry(at).or_default().pop();
        let mut sender = match kept {
            Some(sender) => sender,
            None => open(&self.tls, host).await,
        };
        sender.ready().await.expect("an open connection");
        let request = Request::post("/in")
            .header("host", host)
            .header("content-type", "application/json")
            .body(Full::new(self.body.clone()))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        let status = answer.status();
        answer.into_body().collect().await.expect("a body");
        if self.keeps {
            self.idle.lock().expect("no panic").entry(at).or_default().push(sender);
        }
        status == 200
    }
}

async fn open(tls: &TlsConnector, host: &str) -> Sender {
    let socket = TcpStream::connect(host).await.expect("a receiver");
    socket.set_nodelay(true).expect("a socket");
    let name = host.split(':').next().expect("a host").to_owned();
    let name = ServerName::try_from(name).expect("an address");
    let stream = tls.connect(name, socket).await.expect("a handshake");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    sender
}
