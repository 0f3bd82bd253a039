//! Requests on the wire, read by a strict parser of the test, which accepts only the forms of RFC
//! 9112. Run with `--features testing`.
#![cfg(feature = "testing")]

mod raw;

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use raw::listen;
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::Lab;
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, JwtBearer, Kind, Sent,
    StandardWebhooks,
};

const SOON: Duration = Duration::from_secs(20);

/// A request on the wire, with every byte accounted for.
#[derive(Debug)]
struct Seen {
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Seen {
    fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|header| header.0 == name);
        named.map(|header| header.1.as_str()).collect()
    }
}

/// Parses a head, and refuses everything that two parsers could read differently.
fn head(bytes: &[u8]) -> Result<(String, Vec<(String, String)>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not ASCII")?;
    if !text.is_ascii() || text.contains('\0') {
        return Err("not visible ASCII".into());
    }
    let text = text.strip_suffix("\r\n\r\n").ok_or("no empty line")?;
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return Err("a bare CR or LF".into());
    }
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let target = line
        .strip_prefix("POST ")
        .and_then(|rest| rest.strip_suffix(" HTTP/1.1"))
        .ok_or_else(|| format!("the request line {line:?}"))?;
    if !target.starts_with('/') || target.contains(|letter| " #\\\"<>^`{|}".contains(letter)) {
        return Err(format!("the target {target:?}"));
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon in {line:?}"))?;
        if name.is_empty() || !name.bytes().all(token) {
            return Err(format!("the name {name:?}"));
        }
        let value = value.strip_prefix(' ').ok_or_else(|| format!("no space in {line:?}"))?;
        if value.is_empty() || value != value.trim() {
            return Err(format!("white space around {value:?}"));
        }
        if !value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) {
            return Err(format!("a control character in {value:?}"));
        }
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let once = |name: &str| headers.iter().filter(|header| header.0 == name).count() == 1;
    for name in ["host", "content-length", "content-type", "user-agent"] {
        if !once(name) {
            return Err(format!("{name} not once"));
        }
    }
    for name in ["transfer-encoding", "connection", "te", "upgrade", "trailer", "expect"] {
        if headers.iter().any(|header| header.0 == name) {
            return Err(format!("{name} is there"));
        }
    }
    Ok((target.to_owned(), headers))
}

type Read = Result<Seen, String>;

struct Scene {
    _lab: Lab,
    url: String,
    dispatcher: Dispatcher,
    read: Receiver<Read>,
}

fn scene() -> Scene {
    let lab = Lab::start().unwrap();
    let (sender, read) = mpsc::channel();
    let url = listen(&lab, move |mut conversation| {
        while let Some(bytes) = conversation.head() {
            let read = head(&bytes).and_then(|(target, headers)| {
                let length = &headers.iter().find(|header| header.0 == "content-length").unwrap().1;
                let sound = length.bytes().all(|byte| byte.is_ascii_digit())
                    && (length == "0" || !length.starts_with('0'));
                let length = length.parse().ok().filter(|_| sound);
                let length = length.ok_or_else(|| "the length".to_owned())?;
                let body = conversation.bytes(length).ok_or("a shorter body")?;
                Ok(Seen { target, headers, body })
            });
            conversation.say("HTTP/1.1 204 No Content\r\n\r\n");
            let broken = read.is_err();
            if sender.send(read).is_err() || broken {
                return;
            }
        }
    });
    let dispatcher = lab.dispatcher();
    Scene { _lab: lab, url, dispatcher, read }
}

impl Scene {
    fn endpoint(&self, url: &str, options: EndpointOptions) -> Result<Endpoint, Error> {
        self.dispatcher.endpoint("acme", url, options)
    }

    fn deliver(
        &self,
        endpoint: &Endpoint,
        body: Vec<u8>,
        options: DeliverOptions,
    ) -> Result<Seen, Error> {
        let delivery = self.dispatcher.deliver(endpoint, body, options);
        runtime::drive(delivery, || false).unwrap()?;
        Ok(self.read.recv_timeout(SOON).unwrap().unwrap())
    }

    /// Returns whether no byte was sent beyond the requests that were read.
    fn is_quiet(&self) -> bool {
        self.read.try_recv().is_err()
    }
}

/// Xorshift: the same cases on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn one_of<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }

    /// Pieces of splitting attacks, and ordinary ones.
    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.roll(most + 1)).map(|_| self.one_of(pieces)).collect()
    }
}

const NAMES: &[&str] = &[
    "x",
    "-",
    "event",
    "X",
    "_",
    "~",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "trailer",
    "expect",
    "webhook-",
    "id",
    "signature",
    "content-type",
    " ",
    "\r\n",
    "\n",
    "\r",
    ":",
    "\0",
    "\t",
    "é",
    "\u{7f}",
    "(",
    "\"",
];

const VALUES: &[&str] = &[
    "a",
    "Bearer e30",
    ",",
    ";q=1",
    " ",
    "\t",
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    "\0",
    "\u{7f}",
    "\u{1b}",
    "é",
    "\u{ff1a}",
    "x: y",
    "chunked",
    "0",
    "\r\n\r\nPOST / HTTP/1.1\r\n",
    "\"",
    "\\",
    "%0d%0a",
];

#[test]
fn no_accepted_header_changes_the_framing() {
    let scene = scene();
    let endpoint = scene.endpoint(&scene.url, EndpointOptions::new(None)).unwrap();
    let mut dice = Dice(0x5eed_0001);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..4000 {
        // Mostly valid headers, so that invalid ones appear among accepted ones.
        let headers: Vec<(String, String)> = (0..=dice.roll(2))
            .map(|_| match dice.roll(4) {
                0 => (dice.text(NAMES, 3), dice.text(VALUES, 4)),
                1 => (format!("x-{}", dice.roll(99)), dice.text(VALUES, 2)),
                _ => (format!("x{}", dice.text(&NAMES[..6], 2)), dice.text(&VALUES[..4], 3)),
            })
            .collect();
        let id = (dice.roll(9) == 0).then(|| dice.text(VALUES, 2));
        let content_type = (dice.roll(9) == 0).then(|| dice.text(VALUES, 2));
        let mut options = DeliverOptions::new().headers(headers.clone());
        if let Some(id) = &id {
            options = options.id(id.clone());
        }
        if let Some(content_type) = &content_type {
            options = options.content_type(content_type.clone());
        }
        let body = vec![b'\r'; dice.roll(9)];
        match scene.deliver(&endpoint, body.clone(), options) {
            Ok(seen) => {
                taken += 1;
                assert_eq!(seen.body, body, "round {round}: {headers:?}");
                for (name, value) in &headers {
                    let values = seen.values(&name.to_ascii_lowercase());
                    assert!(
                        values.contains(&value.as_str()),
                        "round {round}: {headers:?} {seen:?}"
                    );
                }
                let known = 4 + usize::from(id.is_some());
                let mut own: Vec<String> =
                    headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
                own.retain(|name| name != "user-agent");
                assert_eq!(seen.headers.len(), known + own.len(), "round {round}: {seen:?}");
                assert_eq!(seen.values("webhook-id"), Vec::from_iter(id.as_deref()));
            }
            Err(error) => {
                refused += 1;
                assert_eq!(
                    (error.kind(), error.sent()),
                    (Kind::HeaderInvalid, Sent::Nothing),
                    "{headers:?}"
                );
                let shown = error.to_json().to_string();
                assert!(!shown.contains("Bearer e30"), "round {round}: {shown}");
            }
        }
        assert!(scene.is_quiet());
    }
    assert!(taken > 200 && refused > 1000, "{taken} taken, {refused} refused");
}

const URLS: &[&str] = &[
    "/", "a", "..", "%2e", "%", "%zz", "?", "a=1", "&", "#", "@", ":", "\\", " ", "\t", "\r\n",
    "\n", "\0", "é", "[", "]", "{", "|", "^", "`", "\"", "<", ";", "+", "//", "%0d%0a", "%00", "~",
    "HTTP/1.1",
];

#[test]
fn no_accepted_url_changes_the_request_line_or_the_host() {
    let scene = scene();
    let authority =
        scene.url.strip_prefix("https://").unwrap().split('/').next().unwrap().to_owned();
    let mut dice = Dice(0x5eed_0002);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..3000 {
        let tail = dice.text(URLS, 6);
        let prefix = dice.one_of(&["/", "/hook", "", "?"]);
        let url = format!("https://{authority}{prefix}{tail}");
        let endpoint = match scene.endpoint(&url, EndpointOptions::new(None)) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), Kind::UrlInvalid, "round {round}: {url:?}");
                continue;
            }
        };
        // A tail that changes the port leads to another server, or to none.
        if !endpoint.url().starts_with(&format!("https://{authority}/")) {
            continue;
        }
        taken += 1;
        let seen = scene.deliver(&endpoint, b"{}".to_vec(), DeliverOptions::new()).unwrap();
        assert_eq!(seen.values("host"), [authority.as_str()], "round {round}: {url:?}");
        let written = url.strip_prefix("https://").unwrap().strip_prefix(&authority).unwrap();
        let wanted =
            if written.starts_with('/') { written.to_owned() } else { format!("/{written}") };
        assert_eq!(seen.target, wanted, "round {round}: {url:?}");
        assert_eq!(endpoint.url(), format!("https://{authority}{wanted}"));
        assert!(scene.is_quiet());
    }
    assert!(taken > 300 && refused > 1000, "{taken} taken, {refused} refused");
}

#[test]
fn every_length_of_body_is_framed_once_and_exact() {
    let scene = scene();
    let endpoint = scene.endpoint(&scene.url, EndpointOptions::new(None)).unwrap();
    // Around the sizes of TLS records, of buffers, and of the limit.
    let edges =
        [0, 1, 2, 255, 256, 8_191, 8_192, 16_383, 16_384, 16_385, 65_536, 1 << 20, 32 << 20];
    for length in edges {
        let body: Vec<u8> = (0..=250).cycle().take(length).collect();
        let seen = scene.deliver(&endpoint, body.clone(), DeliverOptions::new()).unwrap();
        assert!(seen.body == body, "{length}");
        assert_eq!(seen.values("content-length"), [length.to_string()]);
    }
    let error =
        scene.deliver(&endpoint, vec![0; (32 << 20) + 1], DeliverOptions::new()).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (Kind::BodyTooLarge, Sent::Nothing));
    assert!(scene.is_quiet());
}

#[test]
fn a_signed_request_has_each_header_of_the_signature_once() {
    let scene = scene();
    let signing = StandardWebhooks::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"; 8]).unwrap();
    let endpoint = scene.endpoint(&scene.url, EndpointOptions::new(None).signing(signing)).unwrap();
    let token = ("Authorization".to_owned(), "Bearer e30.e30.c2ln".to_owned());
    let options = DeliverOptions::new().id("evt_1").headers(vec![token]);
    let seen = scene.deliver(&endpoint, b"{}".to_vec(), options).unwrap();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert_eq!(seen.values(name).len(), 1, "{seen:?}");
    }
    assert_eq!(seen.values("webhook-signature")[0].split(' ').count(), 8);
    assert_eq!(seen.values("authorization"), ["Bearer e30.e30.c2ln"]);
}

#[test]
fn a_credential_is_sent_unchanged_and_never_shown() {
    const TOKEN: &str = "e30.e30.c2lnbmF0dXJl";
    let lab = Lab::start().unwrap();
    // Echoes the request, with the status in the target.
    let url = listen(&lab, move |mut conversation| {
        while let Some(bytes) = conversation.head() {
            let text = String::from_utf8(bytes).unwrap();
            let status = text.split(['/', ' ']).nth(2).unwrap();
            conversation.say(&format!(
                "HTTP/1.1 {status} Echo\r\nx-echo: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            ));
        }
    });
    let dispatcher = lab.dispatcher();
    for (status, header) in [
        (200, "authorization"),
        (401, "Authorization"),
        (503, "cookie"),
        (200, "proxy-authorization"),
    ] {
        let url = url.replace("/in", &format!("/{status}"));
        let endpoint = dispatcher.endpoint("acme", &url, EndpointOptions::new(None)).unwrap();
        let headers = vec![(header.to_owned(), format!("Bearer {TOKEN}"))];
        let options = DeliverOptions::new().headers(headers);
        let outcome = runtime::drive(dispatcher.deliver(&endpoint, "", options), || false).unwrap();
        let (shown, body) = match outcome {
            Ok(receipt) => (format!("{receipt:?}"), receipt.response().excerpt.clone()),
            Err(error) => {
                let body = error.response().unwrap().excerpt.clone();
                (format!("{error:?} {error} {}", error.to_json()), body)
            }
        };
        let body = String::from_utf8(body).unwrap();
        let line = format!("{}: [redacted]\r\n", header.to_ascii_lowercase());
        assert!(body.contains(&line), "the credential was echoed: {body}");
        assert!(!shown.contains(TOKEN) && !body.contains(TOKEN), "{status}: {shown}");
    }
}

#[test]
fn a_token_that_the_consumer_echoes_is_never_shown() {
    let lab = Lab::start().unwrap();
    let url = listen(&lab, move |mut conversation| {
        while let Some(bytes) = conversation.head() {
            let head = String::from_utf8(bytes).unwrap();
            let found = head.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
            let echo = found.expect("a token").to_owned();
            conversation.say(&format!(
                "HTTP/1.1 401 Unauthorized\r\nx-echo: {echo}\r\ncontent-length: {}\r\n\r\n{echo}",
                echo.len()
            ));
        }
    });
    // An Ed25519 key in PKCS#8 whose seed is zero.
    let mut key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    key.resize(48, 0);
    let token = JwtBearer::from_pem(&key).unwrap();
    let signing = EndpointOptions::new(None).signing(token);
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &url, signing).unwrap();
    let options = DeliverOptions::new().id("evt_1");
    let delivered = runtime::drive(dispatcher.deliver(&endpoint, "{}", options), || false).unwrap();
    let error = delivered.unwrap_err();
    assert_eq!(error.response().unwrap().excerpt, b"[redacted]");
    // Every token of this key begins with the same header, in base64url `{"`.
    let shown = format!("{error:?} {error} {}", error.to_json());
    assert!(!shown.contains("eyJ"), "{shown}");
}
