//! Deliveries through a CONNECT proxy of the test, which records its requests. Run with `--features
//! testing`.
#![cfg(feature = "testing")]

mod calm;
mod closed;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use calm::patiently;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::{Setting, runtime};
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::testing::{Consumer, Lab};
use webhook_mtls::{
    DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error, Kind,
    ProbeOptions, Proxy, Receipt, Retry, Sent,
};

/// The proxy's reaction to a CONNECT request.
#[derive(Clone)]
enum Behavior {
    Tunnel,
    /// Resolves every name to this address.
    TunnelTo(String),
    Answer(Vec<u8>),
    Silence,
}

struct TestProxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    /// Serves until the test process ends; its threads end with their connections.
    fn start(behavior: Behavior) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (behavior, seen) = (behavior.clone(), seen.clone());
                thread::spawn(move || serve(client, &behavior, &seen));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, behavior: &Behavior, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(head);
    match behavior {
        Behavior::Tunnel | Behavior::TunnelTo(_) => {
            let target = match behavior {
                Behavior::TunnelTo(address) => address.clone(),
                _ => target,
            };
            let Ok(mut consumer) = TcpStream::connect(target) else {
                let _ = client.write_all(b"HTTP/1.1 502 Unreachable\r\n\r\n");
                return;
            };
            client.write_all(b"HTTP/1.1 200 Connection established\r\nvia: us\r\n\r\n").unwrap();
            let (mut from_client, mut to_consumer) =
                (client.try_clone().unwrap(), consumer.try_clone().unwrap());
            let up = thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_consumer);
                let _ = to_consumer.shutdown(Shutdown::Write);
            });
            let _ = std::io::copy(&mut consumer, &mut client);
            let _ = client.shutdown(Shutdown::Write);
            let _ = up.join();
        }
        Behavior::Answer(answer) => {
            let _ = client.write_all(answer);
            let _ = client.shutdown(Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        }
        // Until the client closes.
        Behavior::Silence => drop(client.read_to_end(&mut Vec::new())),
    }
}

struct Scene {
    lab: Lab,
    acme: Consumer,
    proxy: TestProxy,
}

fn scene(behavior: Behavior) -> Scene {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    Scene { lab, acme, proxy: TestProxy::start(behavior) }
}

fn answering(answer: impl Into<Vec<u8>>) -> Scene {
    scene(Behavior::Answer(answer.into()))
}

impl Scene {
    fn options(&self) -> DispatcherOptions {
        let url = format!("http://us%65r:hunter2@{}", self.proxy.address);
        self.lab.dispatcher_options().proxy(Proxy::new(&url).unwrap())
    }

    fn refusal(&self) -> Error {
        let error = deliver_with(self.options(), &self.acme.url()).unwrap_err();
        assert_eq!((error.kind(), error.stage()), (Kind::ProxyRefused, Stage::Connect), "{error}");
        assert_eq!(error.sent(), Sent::Nothing);
        assert_eq!(error.context()["proxy"], self.proxy.address.as_str());
        assert_eq!(self.acme.connections(), 0);
        // The consumer must not learn about our proxy.
        assert!(!error.public().to_string().contains("127.0.0.1"), "{}", error.public());
        assert_eq!(error.public()["context"], serde_json::json!({}));
        error
    }
}

fn deliver_with(options: DispatcherOptions, url: &str) -> Result<Receipt, Error> {
    let dispatcher = Dispatcher::new(options).unwrap();
    let endpoint = dispatcher.endpoint("acme", url, EndpointOptions::new(None)).unwrap();
    wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new()))
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    runtime::drive(work, || false).expect("never interrupted")
}

#[test]
fn a_tunnel_goes_to_the_checked_address_with_tls_inside() {
    let scene = scene(Behavior::Tunnel);
    let port = scene.acme.url().rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    // A name that the proxy must not see.
    let url = format!("https://localhost:{port}/in");
    let receipt = deliver_with(scene.options(), &url).unwrap();
    assert_eq!(receipt.tls().version, "TLSv1.3");
    // If localhost resolves to ::1 first, the proxy cannot reach it, and the next address is tried.
    assert_eq!(
        scene.proxy.heads().last().unwrap(),
        &format!(
            "CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\
             proxy-authorization: Basic dXNlcjpodW50ZXIy\r\n\r\n"
        )
    );
    let received = scene.acme.received().pop().unwrap();
    assert!(received.headers.iter().all(|(name, _)| name != "proxy-authorization"), "{received:?}");
    assert_eq!(receipt.to_json()["connection"]["address"], format!("127.0.0.1:{port}"));
    assert_eq!(receipt.to_json()["connection"]["proxy"], scene.proxy.address);
}

#[test]
fn connections_through_a_proxy_are_kept_and_can_be_probed() {
    let scene = scene(Behavior::Tunnel);
    let dispatcher = Dispatcher::new(scene.options()).unwrap();
    let endpoint =
        dispatcher.endpoint("acme", &scene.acme.url(), EndpointOptions::new(None)).unwrap();
    let deliver = || wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new())).unwrap();
    assert!(!deliver().is_reused() && deliver().is_reused());
    wait(dispatcher.probe(&endpoint, ProbeOptions::new())).unwrap();
    assert_eq!(scene.proxy.heads().len(), 2);
}

/// A scene whose proxy resolves names, and the consumer's port.
fn by_name() -> (Scene, String) {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let at = acme.url().split('/').nth(2).unwrap().to_owned();
    let port = at.rsplit(':').next().unwrap().to_owned();
    (Scene { lab, acme, proxy: TestProxy::start(Behavior::TunnelTo(at)) }, port)
}

#[test]
fn by_name_the_proxy_resolves_the_consumer() {
    let (scene, port) = by_name();
    let dispatcher = Dispatcher::new(scene.options().proxy_by_name(true)).unwrap();
    // This name has no address.
    let url = format!("https://hooks.acme.invalid:{port}/in");
    let options = EndpointOptions::new(None).server_name("localhost").unwrap();
    let endpoint = dispatcher.endpoint("acme", &url, options).unwrap();
    let receipt = wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new())).unwrap();
    let target = format!("hooks.acme.invalid:{port}");
    assert_eq!(
        scene.proxy.heads(),
        [format!(
            "CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\
             proxy-authorization: Basic dXNlcjpodW50ZXIy\r\n\r\n"
        )]
    );
    // The consumer's address is not known here.
    let connection = &receipt.to_json()["connection"];
    assert_eq!(connection["address"], scene.proxy.address);
    assert_eq!(connection["proxy"], scene.proxy.address);
    wait(dispatcher.probe(&endpoint, ProbeOptions::new())).unwrap();
}

#[test]
fn by_name_an_address_in_the_url_and_localhost_are_still_checked() {
    let (scene, port) = by_name();
    for host in ["127.0.0.1", "localhost", "a.localhost"] {
        let options = scene.options().proxy_by_name(true).egress(Egress::public());
        let error = deliver_with(options, &format!("https://{host}:{port}/in")).unwrap_err();
        assert_eq!(error.kind(), Kind::EgressDenied, "{host}");
    }
    assert!(scene.proxy.heads().is_empty());
    // An allowed address is asked for as an address.
    deliver_with(scene.options().proxy_by_name(true), &scene.acme.url()).unwrap();
    assert!(scene.proxy.heads()[0].starts_with("CONNECT 127.0.0.1:"));
}

#[test]
fn a_refusal_by_name_shows_the_name_to_us_alone() {
    let scene = answering("HTTP/1.1 403 No\r\n\r\n");
    let options = scene.options().proxy_by_name(true);
    let error = deliver_with(options, "https://hooks.acme.invalid/in").unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::ProxyRefused, Sent::Nothing));
    assert!(error.message().contains("CONNECT hooks.acme.invalid:443"), "{error}");
    let without = scene.lab.dispatcher_options().proxy_by_name(true);
    let error = Dispatcher::new(without).err().unwrap();
    assert_eq!(
        (error.kind(), &error.context()["option"]),
        (Kind::OptionInvalid, &"proxy_by_name".into())
    );
}

#[test]
fn a_proxy_that_wants_another_scheme_is_named() {
    let wants = |schemes: &str| {
        answering(format!("HTTP/1.1 407 Who\r\nProxy-Authenticate: {schemes}\r\n\r\n")).refusal()
    };
    let error = wants("Negotiate\r\nproxy-authenticate: NTLM");
    assert_eq!(error.context()["proxy_schemes"], serde_json::json!(["Negotiate", "NTLM"]));
    assert!(error.remedy().contains("Negotiate, NTLM"), "{}", error.remedy());
    assert_eq!((error.retry(), error.blame()), (Retry::AfterRepair, Blame::Ours));
    let error = wants("Negotiate, Basic realm=\"corp\"");
    assert_eq!(error.context()["proxy_schemes"], serde_json::json!(["Negotiate", "Basic"]));
    assert!(error.remedy().contains("user and password"), "{}", error.remedy());
}

#[test]
fn a_denied_address_is_not_sent_to_the_proxy() {
    let scene = scene(Behavior::Tunnel);
    let options = scene.options().egress(Egress::public());
    let error = deliver_with(options, &scene.acme.url()).unwrap_err();
    assert_eq!(error.kind(), Kind::EgressDenied);
    assert!(scene.proxy.heads().is_empty());
}

#[test]
fn each_refusal_has_its_scope_and_blame() {
    let ours = (Retry::AfterRepair, Scope::Process, Blame::Ours);
    let forbidden = (Retry::AfterRepair, Scope::Endpoint, Blame::Path);
    let failed = (Retry::Later, Scope::Endpoint, Blame::Path);
    let cases = [
        (&[401, 407][..], ours, "proxy_credentials"),
        (&[402, 403, 410, 451, 499], forbidden, "proxy_forbids"),
        (&[408, 429], failed, "proxy_busy"),
        (&[500, 502, 503, 504, 599], failed, "proxy_cannot_reach"),
        (&[300, 302, 399, 400, 404, 405, 421, 426, 501], ours, "not_a_proxy"),
    ];
    for (status, verdict, cause) in cases.into_iter().flat_map(|(statuses, verdict, cause)| {
        statuses.iter().map(move |one| (one, verdict, cause))
    }) {
        let error =
            answering(format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\n\r\nno")).refusal();
        assert_eq!(error.context()["status"], *status);
        assert_eq!(error.context()["cause"], cause, "{status}");
        assert_eq!((error.retry(), error.scope(), error.blame()), verdict, "{status}");
        assert!(!format!("{error:?} {}", error.to_json()).contains("hunter2"));
        let target = scene_target(&error);
        let named = [error.message(), error.remedy()].iter().all(|text| text.contains(&target));
        assert!(named || !matches!(status, 403 | 502 | 503), "{error}. {}", error.remedy());
    }
}

/// Returns the address that the proxy was asked for.
fn scene_target(error: &Error) -> String {
    let (_, target) = error.message().split_once("CONNECT ").expect("the message names it");
    target.to_owned()
}

#[test]
fn an_invalid_response_is_refused() {
    for answer in [
        &b"hello\r\n\r\n"[..],
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"\x16\x03\x03\0\x02\x02\x28\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ] {
        answering(answer).refusal();
    }
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(10_000));
    assert!(answering(endless).refusal().message().contains("16 KiB"));
}

#[test]
fn the_limit_of_a_head_is_exact() {
    let of = |length: usize| {
        let text = "HTTP/1.1 502 No\r\nx: \r\n\r\n";
        let padding = "y".repeat(length - text.len());
        text.replace("x: ", &format!("x: {padding}"))
    };
    let taken = answering(of(16 * 1024)).refusal();
    assert_eq!(taken.context()["status"], 502);
    let too_long = answering(of(16 * 1024 + 1)).refusal();
    assert!(too_long.message().contains("16 KiB"), "{too_long}");
    assert!(!too_long.context().contains_key("status"));
}

#[test]
fn a_proxy_that_switches_protocols_refuses() {
    let text = "HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(answering(text).refusal().context()["status"], 101);
}

#[test]
fn an_interim_response_is_skipped() {
    let error = answering("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 407 Who\r\n\r\n").refusal();
    assert_eq!(error.context()["status"], 407);
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    assert!(answering(endless).refusal().message().contains("without end"));
}

#[test]
fn a_silent_proxy_ends_at_the_connect_deadline() {
    patiently(|patience| {
        let scene = scene(Behavior::Silence);
        let mut options = scene.options();
        options = options.connect_timeout(Duration::from_millis(200) * patience).unwrap();
        let started = Instant::now();
        let error = deliver_with(options, &scene.acme.url()).unwrap_err();
        assert_eq!((error.kind(), error.stage()), (Kind::ProxyRefused, Stage::Connect));
        assert_eq!(error.context()["cause"], "proxy_silent");
        assert_eq!(
            (&error.context()["deadline"], error.sent()),
            (&"connect".into(), Sent::Nothing)
        );
        // Much shorter than the total of 30 seconds.
        assert!(started.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn an_unreachable_proxy_stops_the_process_and_is_named() {
    let scene = scene(Behavior::Tunnel);
    let (_closed, unused) = closed::port();
    let proxy = Proxy::new(&format!("http://{unused}")).unwrap();
    let error = deliver_with(scene.options().proxy(proxy), &scene.acme.url()).unwrap_err();
    assert_eq!((error.kind(), error.scope()), (Kind::ConnectFailed, Scope::Process));
    assert_eq!(error.context()["proxy"], unused.to_string());
    assert_eq!(error.blame(), Blame::Path);
    let runs = format!("the proxy runs at {unused}");
    assert!(error.remedy().contains(&runs), "{}", error.remedy());
}

#[test]
fn credentials_may_be_set_separately_and_only_once() {
    let scene = scene(Behavior::Tunnel);
    let url = Setting::Text(format!("http://{}", scene.proxy.address));
    let apart = Setting::Text("user:hunter2".into());
    for first_url in [true, false] {
        let mut options = scene.lab.dispatcher_options();
        let said = [("proxy", &url), ("proxy_credentials", &apart)];
        for (name, value) in if first_url { said } else { [said[1], said[0]] } {
            options = options.set(name, value.clone()).unwrap();
        }
        assert!(!format!("{options:?}").contains("hunter2"));
        deliver_with(options, &scene.acme.url()).unwrap();
    }
    let heads = scene.proxy.heads();
    assert!(heads.iter().all(|head| head.contains("Basic dXNlcjpodW50ZXIy\r\n")), "{heads:?}");

    let twice = scene.options().proxy_credentials("user:hunter2");
    let alone = scene.lab.dispatcher_options().proxy_credentials("user:hunter2");
    for options in [twice, alone] {
        let error = Dispatcher::new(options).unwrap_err();
        assert_eq!(error.context()["option"], "proxy_credentials");
        assert!(!error.to_json().to_string().contains("hunter2"));
    }
}
