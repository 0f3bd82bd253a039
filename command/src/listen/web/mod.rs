//! `listen --web`: a page that shows the clients as they come. It is served on loopback alone, from files
//! inside the program.
//!
//! What the page shows comes from strangers. Its script makes text of it, and the policy of the page lets
//! the browser run no other script and reach no other host.

mod history;
mod view;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use webhook_mtls::bindings::inspection::CertificateFacts;

use super::http::{BadRequest, Reader, Request};
use history::{History, KEPT};

/// The time limit for reading a request, and for writing to the browser.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval of comments on an idle stream. A failed write shows that the browser has gone.
const PING: Duration = Duration::from_secs(15);
/// The most connections at a time, and the most of them that are streams.
const CONNECTIONS: usize = 32;
const STREAMS: usize = 24;

/// Nothing but the page's own files, no inline script or style, no use in a frame, and no HTML from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// The files of the page: path, content type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// The receiver that the page is about.
pub(super) struct Receiver<'a> {
    pub(super) address: SocketAddr,
    pub(super) leaf: &'a CertificateFacts,
    /// The file with the CAs of the clients.
    pub(super) ca: &'a str,
}

/// The page while it is served.
pub(super) struct Page {
    address: SocketAddr,
    history: Arc<History>,
}

impl Page {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a client.
    ///
    /// * `report`: the JSON of the client's report.
    pub(super) fn show(&self, report: Value) {
        self.history.add(|number| view::client(report, number, now_ms()));
    }
}

/// Serves the page until the runtime ends.
///
/// * `port`: of 127.0.0.1; 0 is any.
pub(super) async fn start(port: u16, receiver: &Receiver<'_>) -> std::io::Result<Page> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let history = Arc::new(History::default());
    let epoch = now_ms().to_string();
    let hello = view::bounded(json!({
        "epoch": epoch,
        "address": receiver.address.to_string(),
        "subject": receiver.leaf.subject,
        "spki_pin": receiver.leaf.spki_pin,
        "ca": receiver.ca,
        "kept": KEPT,
    }));
    let site = Arc::new(Site {
        hosts: hosts(address.port()),
        hello: hello.to_string(),
        epoch,
        history: Arc::clone(&history),
        streams: Arc::new(Semaphore::new(STREAMS)),
    });
    tokio::spawn(accept(listener, site));
    Ok(Page { address, history })
}

struct Site {
    /// The values of the host header that are accepted.
    hosts: Vec<String>,
    hello: String,
    /// Differs between two runs of the receiver. A browser that returns to another run forgets its clients.
    epoch: String,
    history: Arc<History>,
    streams: Arc<Semaphore>,
}

fn hosts(port: u16) -> Vec<String> {
    let names = ["127.0.0.1", "localhost"];
    let with_port = names.iter().map(|name| format!("{name}:{port}"));
    // A browser leaves out the default port.
    let without = names.iter().filter(|_| port == 80).map(|name| (*name).to_owned());
    with_port.chain(without).collect()
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(attend(stream, Arc::clone(&site), place))),
            // Out of descriptors, for example: others end soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn attend(stream: TcpStream, site: Arc<Site>, _place: OwnedSemaphorePermit) {
    let mut reader = Reader::new(stream);
    let answer = match timeout(PATIENCE, reader.request()).await {
        Ok(Ok(request)) => site.answer(&request),
        Ok(Err(BadRequest::Refused(status, why))) => Answer::Text(status, why),
        Ok(Err(BadRequest::Closed)) | Err(_) => return,
    };
    let sent = match answer {
        Answer::File(kind, content) => send(&mut reader, 200, kind, content).await,
        Answer::Text(status, text) => {
            send(&mut reader, status, "text/plain; charset=utf-8", text).await
        }
        Answer::Stream(place, after) => {
            let _ = stream_clients(&mut reader, &site, after).await;
            drop(place);
            return;
        }
    };
    if sent.is_ok() {
        let _ = timeout(PATIENCE, reader.close()).await;
    }
}

enum Answer {
    File(&'static str, &'static str),
    Text(u16, &'static str),
    /// The clients after this number, and then each that comes.
    Stream(OwnedSemaphorePermit, u64),
}

impl Site {
    fn answer(&self, request: &Request) -> Answer {
        let header = |wanted: &str| {
            let mut found = request.headers.iter().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| value.as_str()).filter(|_| found.next().is_none())
        };
        // Another site whose name leads to 127.0.0.1 (DNS rebinding) sends its own name.
        let host = header("host").map(str::to_ascii_lowercase);
        if host.is_none_or(|host| !self.hosts.contains(&host)) {
            return Answer::Text(421, "this page is at http://127.0.0.1 with its port alone\n");
        }
        if request.method != "GET" {
            return Answer::Text(405, "only GET is answered\n");
        }
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == path) {
            return Answer::File(kind, content);
        }
        if path != "/clients" {
            return Answer::Text(404, "there is no such file\n");
        }
        if header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
            return Answer::Text(403, "another site may not read the clients\n");
        }
        match Arc::clone(&self.streams).try_acquire_owned() {
            Ok(place) => Answer::Stream(place, self.seen(header("last-event-id"))),
            Err(_) => Answer::Text(503, "the page is open too often\n"),
        }
    }

    /// Returns the number of the last client that a returning browser has seen.
    fn seen(&self, id: Option<&str>) -> u64 {
        id.and_then(|id| id.split_once('-'))
            .filter(|(epoch, _)| *epoch == self.epoch)
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0)
    }
}

fn head(status: u16, kind: &str) -> String {
    format!(
        "HTTP/1.1 {status} \r\ncontent-type: {kind}\r\ncontent-security-policy: {POLICY}\r\n\
         x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\ncache-control: no-store\r\n\
         cross-origin-opener-policy: same-origin\r\ncross-origin-resource-policy: same-origin\r\n\
         connection: close\r\n"
    )
}

async fn send(
    reader: &mut Reader<TcpStream>,
    status: u16,
    kind: &str,
    content: &str,
) -> std::io::Result<()> {
    let length = content.len();
    let head = format!("{}content-length: {length}\r\n\r\n", head(status, kind));
    within(reader.send(&[head.as_bytes(), content.as_bytes()])).await
}

/// Sends server-sent events until the browser closes the stream, or takes nothing for ten seconds.
async fn stream_clients(
    reader: &mut Reader<TcpStream>,
    site: &Site,
    mut after: u64,
) -> std::io::Result<()> {
    let mut news = site.history.news();
    let start = format!(
        "{}\r\nretry: 1000\nevent: hello\ndata: {}\n\n",
        head(200, "text/event-stream"),
        site.hello
    );
    within(reader.send(&[start.as_bytes()])).await?;
    loop {
        news.borrow_and_update();
        while let Some((number, client)) = site.history.next(after) {
            let id = format!("id: {}-{number}\nevent: client\ndata: ", site.epoch);
            within(reader.send(&[id.as_bytes(), client.as_bytes(), b"\n\n"])).await?;
            after = number;
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return Ok(()) },
            () = reader.closed() => return Ok(()),
            () = tokio::time::sleep(PING) => within(reader.send(&[b":\n\n"])).await?,
        }
    }
}

async fn within(sending: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    timeout(PATIENCE, sending).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site {
            hosts: hosts(8444),
            hello: String::new(),
            epoch: "7".to_owned(),
            history: Arc::default(),
            streams: Arc::new(Semaphore::new(1)),
        }
    }

    fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        site().answer(&request(method, path, headers))
    }

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers.collect(),
            body: Vec::new(),
            length: 0,
        }
    }

    fn status(answer: &Answer) -> u16 {
        match answer {
            Answer::Text(status, _) => *status,
            Answer::File(..) | Answer::Stream(..) => 200,
        }
    }

    #[test]
    fn a_name_that_leads_here_is_no_host_of_the_page() {
        for host in ["127.0.0.1:8444", "localhost:8444", "LOCALHOST:8444"] {
            assert_eq!(status(&asked("GET", "/", &[("host", host)])), 200, "{host}");
        }
        for host in
            ["evil.test:8444", "127.0.0.1", "localhost", "127.0.0.1:80", "127.0.0.1.:8444", ""]
        {
            assert_eq!(status(&asked("GET", "/", &[("host", host)])), 421, "{host}");
        }
        assert_eq!(status(&asked("GET", "/", &[])), 421);
        let twice = [("host", "localhost:8444"), ("host", "evil.test")];
        assert_eq!(status(&asked("GET", "/", &twice)), 421);
        assert!(hosts(80).contains(&"localhost".to_owned()));
    }

    #[test]
    fn another_method_path_or_site_gets_nothing() {
        let host = ("host", "localhost:8444");
        assert_eq!(status(&asked("POST", "/", &[host])), 405);
        assert_eq!(status(&asked("GET", "/../page.css", &[host])), 404);
        assert_eq!(status(&asked("GET", "http://localhost:8444/clients", &[host])), 404);
        for (from, expected) in
            [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
        {
            let headers = [host, ("sec-fetch-site", from)];
            assert_eq!(status(&asked("GET", "/clients", &headers)), expected, "{from}");
        }
    }

    #[test]
    fn streams_are_bounded() {
        let site = site();
        let wanted = request("GET", "/clients", &[("host", "localhost:8444")]);
        let first = site.answer(&wanted);
        assert_eq!(status(&site.answer(&wanted)), 503);
        drop(first);
        assert_eq!(status(&site.answer(&wanted)), 200);
    }

    #[test]
    fn a_browser_goes_on_where_it_was_in_the_same_run_alone() {
        for (id, number) in
            [(Some("7-12"), 12), (Some("6-12"), 0), (Some("7-x"), 0), (Some("7"), 0), (None, 0)]
        {
            assert_eq!(site().seen(id), number, "{id:?}");
        }
    }
}
