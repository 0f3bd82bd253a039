//! No error shows a key, a passphrase, a payload or a header value, whatever the input's fault. Run
//! with `--features testing`.
#![cfg(feature = "testing")]

use webhook_mtls::testing::Lab;
use webhook_mtls::{DeliverOptions, EndpointOptions, Error, Identity, Trust, runtime};

/// Part of every value that must not be shown. Visible ASCII, and also base64.
const SECRET: &str = "aHVudGVyMmh1bnRlcjI";

/// The number of inputs per test.
const ROUNDS: u64 = 300;

/// A sequence that is the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap_or(0) % limit.max(1)
    }

    /// Damages a text in one to four places: drops, doubles or exchanges bytes, or inserts the
    /// secret.
    fn damaged(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, bytes[at]),
                2 => bytes[at] = u8::try_from(self.below(256)).unwrap_or(0),
                3 => bytes.truncate(at.max(1)),
                _ => drop(bytes.splice(at..at, SECRET.bytes()).collect::<Vec<_>>()),
            }
        }
        bytes
    }
}

/// Returns all forms of an error.
fn shown(error: &Error) -> String {
    format!("{error} {error:?} {} {} {}", error.to_json(), error.public(), error.remedy())
}

fn assert_hidden(error: &Error, secrets: &[&str], what: &str) {
    let shown = shown(error);
    for secret in secrets {
        assert!(!shown.contains(secret), "{what} shows {secret}: {shown}");
    }
}

#[test]
fn a_damaged_key_is_never_quoted() {
    let lab = Lab::start().unwrap();
    let (cert, key) = lab.identity_pem();
    // Eight characters of the key in a row are a leak.
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let letters: Vec<&str> = (0..body.len() - 8).step_by(4).map(|at| &body[at..at + 8]).collect();
    let one_line = key.replace('\n', "");
    let no_label = body.clone();
    let mut draw = Draw(1);
    for round in 0..ROUNDS {
        let whole = [&key, &one_line, &no_label][draw.below(3)].as_str();
        let damaged = draw.damaged(whole);
        let passphrase = (draw.below(2) == 0).then_some(SECRET.as_bytes());
        for (cert, key) in [(cert.as_bytes(), &damaged[..]), (&damaged[..], key.as_bytes())] {
            if let Err(error) = Identity::from_pem(cert, key, passphrase) {
                assert_hidden(&error, &letters, &format!("round {round}"));
                assert_hidden(&error, &[SECRET], &format!("round {round}"));
            }
        }
        // A key instead of anchors is a common mistake.
        if let Err(error) = Trust::from_pem(&damaged, Some(&damaged), &[&damaged[..]]) {
            assert_hidden(&error, &letters, &format!("round {round}, as trust"));
        }
    }
}

#[test]
fn an_invalid_value_is_never_quoted() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let spoils = ["\r\n", "\n", "\0", "\u{7f}", "é", " ", "\t", "\u{2028}", "\r"];
    let mut draw = Draw(2);
    for round in 0..ROUNDS {
        let spoil = spoils[draw.below(spoils.len())];
        let value = match draw.below(3) {
            0 => format!("{SECRET}{spoil}{SECRET}"),
            1 => format!("{spoil}{SECRET}"),
            _ => format!("{SECRET}{spoil}"),
        };
        let options = match draw.below(3) {
            0 => DeliverOptions::new().headers(vec![("x-token".into(), value)]),
            1 => DeliverOptions::new().id(value),
            _ => DeliverOptions::new().content_type(value),
        };
        let delivery = dispatcher.deliver(&endpoint, SECRET, options);
        if let Err(error) = runtime::drive(delivery, || false).unwrap() {
            assert_hidden(&error, &[SECRET], &format!("round {round}, {spoil:?}"));
        }
    }
}

#[test]
fn credentials_in_a_url_are_never_quoted() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let mut draw = Draw(3);
    for round in 0..ROUNDS {
        let urls = [
            format!("https://user:{SECRET}@acme.example/"),
            format!("https://{SECRET}@acme.example/in"),
            format!("http://user:{SECRET}@acme.example:80/"),
            format!("https://user:{SECRET}@[::1"),
            format!("https://user:{SECRET}@acme.example:port/"),
        ];
        let url = &urls[draw.below(urls.len())];
        let damaged = draw.damaged(url);
        let Ok(url) = String::from_utf8(damaged) else { continue };
        // After the last @, or without one, the secret is part of the host, which may be shown.
        if url.rsplit('@').next().is_none_or(|host| host.contains(SECRET)) {
            continue;
        }
        if let Err(error) = dispatcher.endpoint("acme", &url, EndpointOptions::new(None)) {
            assert_hidden(&error, &[SECRET], &format!("round {round}, {url:?}"));
        }
    }
}
