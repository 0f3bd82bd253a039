//! The TLS facts of a handshake that fails: the choices of the consumer's ServerHello, by the names of a
//! receipt. Run with `--features testing`.
#![cfg(feature = "testing")]

mod raw;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, cipher_suite, default_provider, kx_group};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use serde_json::{Value, json};
use webhook_mtls::bindings::observer::{HandshakeEnd, Observer, Subject};
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Stage;
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    CancelToken, DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Kind, MinTls, Pins,
    ProbeOptions, Sent,
};

const WRONG_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Keeps the last handshake that was observed: the JSON of its version, suite and group.
#[derive(Default)]
struct LastHandshake(Mutex<Value>);

impl Observer for LastHandshake {
    fn handshake_ended(&self, _: &Subject, end: &HandshakeEnd<'_>) {
        let names = end.tls.map(|tls| [tls.version, tls.cipher_suite, tls.key_exchange]);
        *self.0.lock().unwrap() = json!({ "names": names, "peer": end.peer.is_some() });
    }
}

struct Scene {
    lab: Lab,
    dispatcher: Dispatcher,
    observed: Arc<LastHandshake>,
}

fn scene() -> Scene {
    let lab = Lab::start().unwrap();
    let observed = Arc::<LastHandshake>::default();
    let options = lab.dispatcher_options().observed_by(observed.clone());
    Scene { dispatcher: Dispatcher::new(options).unwrap(), lab, observed }
}

impl Scene {
    fn endpoint(&self, url: &str, pins: Option<&str>) -> Endpoint {
        let pins = pins.map(|pin| Pins::new([pin]).unwrap());
        let options = EndpointOptions::new(pins).min_tls(MinTls::V1_2);
        self.dispatcher.endpoint("acme", url, options).unwrap()
    }

    fn deliver(&self, endpoint: &Endpoint, options: DeliverOptions) -> Result<Value, Error> {
        let outcome = self.dispatcher.deliver_blocking(endpoint, "{}", options, None).unwrap();
        outcome.map(|receipt| receipt.to_json())
    }

    /// Delivers to an address that fails the handshake. Checks that the error survives its JSON form, that a
    /// probe fails alike, and that an observer sees the same names.
    fn fail(&self, url: &str, pins: Option<&str>) -> Value {
        let endpoint = self.endpoint(url, pins);
        let error = self.deliver(&endpoint, DeliverOptions::new()).unwrap_err();
        assert_eq!(error.sent(), Sent::Nothing, "{error}");
        let error = self.checked(&error);
        let probe = self.dispatcher.probe(&endpoint, ProbeOptions::new());
        let probed = runtime::drive(probe, || false).unwrap().unwrap_err();
        assert_eq!(self.checked(&probed)["tls"], error["tls"]);
        error
    }

    fn checked(&self, error: &Error) -> Value {
        let json = error.to_json();
        assert_eq!(Error::from_json(&json).unwrap().to_json(), json);
        assert!(json["peer"].is_null(), "{json}");
        assert!(!error.public().to_string().contains("TLSv1"), "{json}");
        let seen = self.observed.0.lock().unwrap().clone();
        let tls = &json["tls"];
        let names = ["version", "cipher_suite", "key_exchange"].map(|name| {
            // The names have a type in Rust: an unknown one is empty.
            tls[name].as_str().unwrap_or_default().to_owned()
        });
        assert_eq!(seen["names"], if tls.is_null() { Value::Null } else { json!(names) }, "{json}");
        assert_eq!(seen["peer"], false);
        json
    }
}

/// A server with these algorithms, which answers every request with 204.
fn answering(config: ServerConfig) -> String {
    raw::serve(config, |mut conversation| {
        while conversation.head().is_some() {
            if conversation.bytes(2).is_some() {
                conversation.say("HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    })
}

fn config(
    lab: &Lab,
    provider: CryptoProvider,
    version: &'static SupportedProtocolVersion,
) -> ServerConfig {
    let roots = raw::roots(&lab.trust_pem());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider()));
    raw::config_of(lab, provider, verifier, &[version])
}

/// A receipt has the TLS facts that rustls reports. If our own pins refuse the same server, the error has
/// equal facts.
#[test]
fn a_wrong_pin_shows_what_a_receipt_shows() {
    let scene = scene();
    let mut compared = 0;
    let mut check = |suite: rustls::SupportedCipherSuite, group| {
        let version = suite.version();
        let provider = CryptoProvider {
            cipher_suites: vec![suite],
            kx_groups: vec![group],
            ..default_provider()
        };
        // The server's key is ECDSA.
        if suite.suite().as_str().unwrap().contains("RSA") {
            return;
        }
        let url = answering(config(&scene.lab, provider, version));
        let endpoint = scene.endpoint(&url, None);
        let receipt = scene.deliver(&endpoint, DeliverOptions::new()).unwrap();
        let error = scene.fail(&url, Some(WRONG_PIN));
        assert_eq!(error["kind"], "pin_mismatch", "{error}");
        assert_eq!(error["tls"], receipt["tls"]);
        for name in ["version", "cipher_suite", "key_exchange"] {
            assert!(error["tls"][name].as_str().is_some_and(|name| !name.is_empty()), "{error}");
        }
        assert_eq!(error["tls"]["client_auth_requested"], true);
        compared += 1;
    };
    for suite in ALL_CIPHER_SUITES {
        check(*suite, kx_group::X25519);
    }
    for group in default_provider().kx_groups {
        // A client sends a key for some groups only. For the others, the server asks again.
        check(cipher_suite::TLS13_AES_128_GCM_SHA256, group);
        if group.name().as_str().is_some_and(|name| !name.contains("MLKEM")) {
            check(cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, group);
        }
    }
    assert!(compared >= 12, "{compared}");
}

#[test]
fn a_refused_client_certificate_shows_the_choices() {
    let scene = scene();
    for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
        let url = raw::refuse(&scene.lab, version, |mut conversation| {
            let _ = conversation.shake_hands();
            conversation.drain();
        });
        let endpoint = scene.endpoint(&url, None);
        let error = scene.deliver(&endpoint, DeliverOptions::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::ClientCertificateRejected, "{error}");
        let json = error.to_json();
        assert_eq!(json["tls"]["version"], name, "{json}");
        assert_eq!(json["tls"]["client_auth_requested"], true, "{json}");
        assert!(json["tls"]["key_exchange"].is_string(), "{json}");
        // In TLS 1.3, our handshake was completed before the refusal.
        assert_eq!(json["peer"].is_object(), name == "TLSv1.3", "{json}");
    }
}

/// Accepts connections, reads the start of a ClientHello, writes `flight` in pieces of `piece` bytes, and
/// then closes or keeps silent until the client closes.
fn writing(flight: impl Into<Vec<u8>>, piece: usize, closes: bool) -> String {
    let (listener, flight) = (TcpListener::bind("127.0.0.1:0").unwrap(), flight.into());
    let url = format!("https://{}/in", listener.local_addr().unwrap());
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let flight = flight.clone();
            thread::spawn(move || write_flight(tcp, &flight, piece, closes));
        }
    });
    url
}

fn write_flight(mut tcp: TcpStream, flight: &[u8], piece: usize, closes: bool) {
    tcp.set_nodelay(true).unwrap();
    let _ = tcp.read(&mut [0; 16 * 1024]);
    let written = flight.chunks(piece).all(|bytes| tcp.write_all(bytes).is_ok());
    if closes {
        let _ = tcp.shutdown(std::net::Shutdown::Write);
    }
    if written {
        let _ = std::io::copy(&mut tcp, &mut std::io::sink());
    }
}

/// A record with a ServerHello of this version.
fn hello(legacy: [u8; 2], suite: [u8; 2], extensions: &[u8]) -> Vec<u8> {
    hello_with(legacy, &[9; 32], &[], suite, extensions)
}

fn hello_with(
    legacy: [u8; 2],
    random: &[u8; 32],
    session: &[u8],
    suite: [u8; 2],
    extensions: &[u8],
) -> Vec<u8> {
    let session_length = u8::try_from(session.len()).unwrap();
    let mut body = [&legacy[..], random, &[session_length], session, &suite, &[0]].concat();
    if !extensions.is_empty() {
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
    }
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 3, 0, length + 4, 2, 0, 0, length][..], &body].concat()
}

/// Of TLS 1.3, with the group X25519.
fn hello_13() -> Vec<u8> {
    let share = [&[0, 51, 0, 36, 0, 29, 0, 32][..], &[7; 32]].concat();
    hello([3, 3], [0x13, 1], &[&share[..], &[0, 43, 0, 2, 3, 4]].concat())
}

/// Of TLS 1.2, without the messages that follow.
fn hello_12() -> Vec<u8> {
    hello([3, 3], [0xc0, 0x2b], &[0, 23, 0, 0])
}

#[test]
fn a_handshake_that_ends_early_shows_the_choices_so_far() {
    let scene = scene();
    for piece in [1, usize::MAX] {
        // The group of TLS 1.2 follows in another message.
        let error = scene.fail(&writing(hello_12(), piece, true), None);
        assert_eq!(error["kind"], "connection_lost", "{error}");
        let tls = &error["tls"];
        assert_eq!(tls["version"], "TLSv1.2");
        assert_eq!(tls["cipher_suite"], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        assert_eq!(tls["key_exchange"], Value::Null);
        // The request would have followed.
        assert_eq!(tls["client_auth_requested"], Value::Null);
        assert_eq!(tls["certificate_authorities"], json!([]));
    }
    let error = scene.fail(&writing(hello([3, 1], [0, 0x2f], &[]), usize::MAX, true), None);
    assert_eq!(
        (&error["kind"], &error["tls"]["version"]),
        (&"tls_failed".into(), &"TLSv1.0".into())
    );
    let error = scene.fail(&writing(hello([3, 3], [0x5a, 0x5a], &[]), usize::MAX, true), None);
    assert_eq!(error["tls"]["version"], "TLSv1.2", "{error}");
    assert_eq!(error["tls"]["cipher_suite"], Value::Null, "{error}");
}

#[test]
fn a_deadline_and_a_cancellation_show_the_choices() {
    let scene = scene();
    let url = writing(hello_12(), usize::MAX, false);
    // Much longer than the hello takes.
    let options = DeliverOptions::new().timeout(Duration::from_secs(3)).unwrap();
    let error = scene.deliver(&scene.endpoint(&url, None), options).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (Kind::DeadlineExceeded, Stage::Handshake));
    assert_eq!(scene.checked(&error)["tls"]["version"], "TLSv1.2");

    // The receiver cancels the delivery once the client has answered the HelloRetryRequest.
    let token = CancelToken::new();
    let url = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/in", listener.local_addr().unwrap());
        let token = token.clone();
        thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut first = [0; 16 * 1024];
            let _ = tcp.read(&mut first);
            tcp.write_all(&retry(&first)).unwrap();
            // The second ClientHello.
            let _ = tcp.read(&mut first);
            token.cancel();
            let _ = std::io::copy(&mut tcp, &mut std::io::sink());
        });
        url
    };
    let options = DeliverOptions::new().cancel(token);
    let error = scene.deliver(&scene.endpoint(&url, None), options).unwrap_err();
    assert_eq!(error.kind(), Kind::Canceled, "{error}");
    let tls = &scene.checked(&error)["tls"];
    assert_eq!((&tls["version"], &tls["key_exchange"]), (&"TLSv1.3".into(), &"secp384r1".into()));
}

/// Asks for secp384r1, of which the client has sent no key, in a HelloRetryRequest.
///
/// * `client_hello`: the record of the client. The answer repeats its session id.
fn retry(client_hello: &[u8]) -> Vec<u8> {
    const RANDOM: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
        0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c,
    ];
    // Behind the headers, the version and the random.
    let (length, rest) = client_hello[43..].split_first().unwrap();
    let session = &rest[..usize::from(*length)];
    let extensions = [0, 51, 0, 2, 0, 24, 0, 43, 0, 2, 3, 4];
    hello_with([3, 3], &RANDOM, session, [0x13, 1], &extensions)
}

#[test]
fn no_server_hello_no_facts() {
    let scene = scene();
    // Of a hello that is cut off, nothing is known.
    let whole = hello_13();
    let silent: [Vec<u8>; 7] = [
        Vec::new(),
        whole[..whole.len() - 1].to_vec(),
        // The alert protocol_version.
        vec![21, 3, 3, 0, 2, 2, 70],
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        vec![22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff],
        hello([0x7f, 0x7f], [0x13, 1], &[]),
        hello([3, 3], [0x13, 1], &[0, 43, 0, 9, 3, 4]),
    ];
    for flight in silent {
        let error = scene.fail(&writing(flight.clone(), usize::MAX, true), None);
        assert!(error["tls"].is_null(), "{flight:?}: {error}");
        assert!(error["connection"].is_object(), "{error}");
    }
    let endpoint = scene.endpoint(&writing("", usize::MAX, false), None);
    let options = DeliverOptions::new().timeout(Duration::from_millis(300)).unwrap();
    let error = scene.deliver(&endpoint, options).unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded, "{error}");
    assert!(scene.checked(&error)["tls"].is_null(), "{error}");
}
