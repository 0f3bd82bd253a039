//! No error shows a key, a passphrase, a payload or a header value, whatever the input's fault. Run
//! with `--features testing`.
#![cfg(feature = "testing")]

use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::runtime;
use webhook_mtls::testing::Lab;
use webhook_mtls::{DeliverOptions, EndpointOptions, Error, Identity, Trust};

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
    let mut refused = 0;
    for round in 0..ROUNDS {
        let whole = [&key, &one_line, &no_label][draw.below(3)].as_str();
        let damaged = draw.damaged(whole);
        let passphrase = (draw.below(2) == 0).then_some(SECRET.as_bytes());
        for (cert, key) in [(cert.as_bytes(), &damaged[..]), (&damaged[..], key.as_bytes())] {
            if let Err(error) = Identity::from_pem(cert, key, passphrase) {
                assert_hidden(&error, &letters, &format!("round {round}"));
                assert_hidden(&error, &[SECRET], &format!("round {round}"));
                refused += 1;
            }
        }
        // A key instead of anchors is a common mistake.
        if let Err(error) = Trust::from_pem(&damaged, Some(&damaged), &[&damaged[..]]) {
            assert_hidden(&error, &letters, &format!("round {round}, as trust"));
            refused += 1;
        }
    }
    assert!(refused > 2 * ROUNDS, "{refused} of {}", 3 * ROUNDS);
}

#[test]
fn an_invalid_value_is_never_quoted() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let spoils = ["\r\n", "\n", "\0", "\u{7f}", "é", " ", "\t", "\u{2028}", "\r"];
    let mut draw = Draw(2);
    let mut refused = 0;
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
            refused += 1;
        }
    }
    assert!(refused > ROUNDS / 2, "{refused} of {ROUNDS}");
}

#[test]
fn credentials_in_a_url_are_never_quoted() {
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let mut draw = Draw(3);
    let mut refused = 0;
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
            refused += 1;
        }
    }
    assert!(refused > ROUNDS / 2, "{refused} of {ROUNDS}");
}

/// A secret in a wrong argument, and the parts that would reveal it.
struct Misplaced {
    what: &'static str,
    text: String,
    parts: Vec<String>,
}

fn misplaced(lab: &Lab) -> Vec<Misplaced> {
    let (_, key) = lab.identity_pem();
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let letters: Vec<String> =
        (0..body.len() - 8).step_by(4).map(|at| body[at..at + 8].to_owned()).collect();
    let whole = |what, text: &str, part: &str| Misplaced {
        what,
        text: text.to_owned(),
        parts: vec![part.to_owned()],
    };
    let userinfo = format!("https://user:{}@acme.example/in", "hunter2/".repeat(40));
    vec![
        Misplaced { what: "PEM", text: key, parts: letters.clone() },
        Misplaced { what: "one line", text: body, parts: letters },
        whole("a passphrase", "correct horse battery staple", "battery"),
        whole("a signing secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8G"),
        whole("a token", "Bearer mF_9.B5f-4.1JqMmF_9.B5f-4.1JqM", "mF_9.B5f"),
        whole("hex", &"5eC2e70f".to_lowercase().repeat(8), "5ec2e70f"),
        whole("user information", &userinfo, "hunter2"),
    ]
}

/// What a call shows: its error, or what it made.
fn told<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Ok(made) => format!("{made:?}"),
        Err(error) => shown(&error),
    }
}

type Use = (&'static str, Box<dyn Fn(&str) -> String>);

fn each(name: &'static str, call: impl Fn(&str) -> String + 'static) -> Use {
    (name, Box::new(call))
}

/// Everything that takes a text and makes a value of it.
fn makers() -> Vec<Use> {
    use std::path::Path;
    use webhook_mtls::material::Pin;
    use webhook_mtls::{Authorization, Egress, Pins, Proxy, StandardWebhooks, TenantRule};
    vec![
        each("Identity::from_files, cert", |text| {
            told(Identity::from_files(text, "tls.key", None))
        }),
        each("Identity::from_files, key", |text| told(Identity::from_files("/dev", text, None))),
        each("Identity::from_files, passphrase", |text| {
            told(Identity::from_files("tls.crt", "tls.key", Some(text.as_bytes())))
        }),
        each("Identity::from_pem, cert", |text| {
            told(Identity::from_pem(text.as_bytes(), b"", None))
        }),
        each("Identity::from_pkcs12", |text| {
            told(Identity::from_pkcs12(text.as_bytes(), text.as_bytes()))
        }),
        each("Trust::from_files, anchors", |text| told(Trust::from_files(text, None, None))),
        each("Trust::from_files, intermediates", |text| {
            told(Trust::from_files("/dev", Some(Path::new(text)), None))
        }),
        each("Trust::from_files, crls", |text| {
            told(Trust::from_files("/dev", None, Some(Path::new(text))))
        }),
        each("Trust::from_pem", |text| {
            let bytes = text.as_bytes();
            told(Trust::from_pem(bytes, Some(bytes), &[bytes]))
        }),
        each("Trust::dangerous_public", |text| {
            told(Trust::dangerous_public(text.as_bytes(), None, &[]))
        }),
        each("Trust::exact", |text| told(Trust::exact(text.as_bytes()))),
        each("Trust::exact_from_file", |text| told(Trust::exact_from_file(text))),
        each("Pin::parse", |text| told(Pin::parse(text))),
        each("Pin::parse, prefixed", |text| told(Pin::parse(&format!("sha256/{text}")))),
        each("Pins::with_next", |text| {
            told(Pins::new([text])) + &told(Pins::with_next([UNUSED_PIN], [text]))
        }),
        each("Pins::from_file", |text| told(Pins::from_file(text))),
        each("pin_of", |text| told(webhook_mtls::material::pin_of(text.as_bytes()))),
        each("Egress::preset", |text| told(Egress::preset(text))),
        each("Egress::allow", |text| {
            told(Egress::public().allow([text])) + &told(Egress::public().deny([text]))
        }),
        each("Proxy::new", |text| told(Proxy::new(text))),
        each("Proxy::credentials", |text| {
            let proxy = Proxy::new("http://proxy.example:3128").unwrap();
            told(proxy.clone().credentials(text, "x")) + &told(proxy.credentials("x", text))
        }),
        each("TenantRule::san_uri", |text| told(TenantRule::san_uri(text))),
        each("TenantRule::san_uri, with a tenant", |text| {
            told(TenantRule::san_uri(&format!("{text}/{{tenant}}/{{tenant}}")))
        }),
        each("TenantRule::san_dns_suffix", |text| told(TenantRule::san_dns_suffix(text))),
        each("Authorization::trust_domain", |text| told(Authorization::trust_domain(text))),
        each("StandardWebhooks::new", |text| told(StandardWebhooks::new([text]))),
        each("JwtBearer::from_pem", |text| {
            told(webhook_mtls::JwtBearer::from_pem(text.as_bytes()).map(drop))
        }),
        each("JwtBearer::from_file", |text| {
            told(webhook_mtls::JwtBearer::from_file(text).map(drop))
        }),
        each("JwtBearer::claims", |text| {
            told(jwt_bearer().claims(serde_json::json!({ text: text })).map(drop))
        }),
        each("JwtKeys::new", |text| {
            told(webhook_mtls::webhook::JwtKeys::new(text.as_bytes(), None).map(drop))
        }),
        each("JwtKeys::new, key_id", |text| {
            told(webhook_mtls::webhook::JwtKeys::new(b"{}", Some(text)).map(drop))
        }),
        each("JwtKeys::from_file", |text| {
            told(webhook_mtls::webhook::JwtKeys::from_file(text, None).map(drop))
        }),
        each("WebhookVerifierOptions::secrets_of", |text| {
            let options = webhook_mtls::webhook::WebhookVerifierOptions::new();
            told(options.secrets_of(text, [text]).map(drop))
        }),
        each("Error::from_json", |text| {
            format!("{:?}", Error::from_json(&serde_json::json!({ "kind": text })))
        }),
        each("Error::unknown_name", |text| shown(&Error::unknown_name(text, "a field"))),
    ]
}

/// Every option that is a text or made of texts, and the name of the option itself.
fn setters(lab: &Lab) -> Vec<Use> {
    use webhook_mtls::bindings::{Setting, options::ALL};
    use webhook_mtls::{Role, VerifierOptions};
    let mut uses = Vec::new();
    for row in ALL {
        let settings = |text: &str| {
            [
                Setting::Text(text.to_owned()),
                Setting::Texts(vec![text.to_owned()]),
                Setting::Pairs(vec![(text.to_owned(), "later".to_owned())]),
                Setting::Pairs(vec![("404".to_owned(), text.to_owned())]),
            ]
        };
        let trust = lab.trust();
        uses.push(each(row.name, move |text| {
            let mut told_all = Vec::new();
            for setting in settings(text) {
                told_all.push(format!("{setting:?}"));
                for name in [row.name, text] {
                    let setting = setting.clone();
                    told_all.push(match row.of {
                        "dispatcher" => {
                            told(webhook_mtls::DispatcherOptions::new().set(name, setting))
                        }
                        "endpoint" => told(EndpointOptions::new(None).set(name, setting)),
                        "deliver" => told(DeliverOptions::new().set(name, setting)),
                        "probe" => told(webhook_mtls::ProbeOptions::new().set(name, setting)),
                        "verifier" => told(
                            VerifierOptions::new(Role::Server, trust.clone()).set(name, setting),
                        ),
                        "retry_policy" => {
                            told(webhook_mtls::RetryPolicy::default().set(name, setting))
                        }
                        "jwt_bearer" => told(jwt_bearer().set(name, setting)),
                        "webhook_verifier" => told(
                            webhook_mtls::webhook::WebhookVerifierOptions::new().set(name, setting),
                        ),
                        "diagnosis" => told(
                            webhook_mtls::diagnosis::DiagnosisOptions::new().set(name, setting),
                        ),
                        other => panic!("{other} has options and no line here"),
                    });
                }
            }
            told_all.concat()
        }));
    }
    uses
}

/// A token that is signed with an Ed25519 key whose seed is zero.
fn jwt_bearer() -> webhook_mtls::JwtBearer {
    let mut key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    key.resize(48, 0);
    webhook_mtls::JwtBearer::from_pem(&key).expect("a key")
}

const UNUSED_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn a_secret_in_the_wrong_place_is_never_quoted() {
    let lab = Lab::start().unwrap();
    let trust = lab.trust();
    let distrusting =
        each("Trust::distrusting", move |text| told(trust.clone().distrusting([text])));
    let uses: Vec<Use> = makers().into_iter().chain(setters(&lab)).chain([distrusting]).collect();
    for Misplaced { what, text, parts } in misplaced(&lab) {
        for (call, using) in &uses {
            // Words and digits can be a name, which is shown.
            let is_name = ["Authorization::trust_domain", "owner"].contains(call);
            if is_name && ["hex", "a passphrase"].contains(&what) {
                continue;
            }
            let shown = using(&text);
            for part in &parts {
                assert!(!shown.contains(part), "{call} shows {what}: {shown}");
            }
        }
    }
}

#[test]
fn a_secret_given_to_a_noun_is_never_quoted() {
    use std::time::SystemTime;
    use webhook_mtls::{Delivery, Role, Verifier, VerifierOptions};
    let lab = Lab::start().unwrap();
    let dispatcher = lab.dispatcher();
    let verifier = Verifier::new(VerifierOptions::new(Role::Server, lab.trust())).unwrap();
    let nowhere = dispatcher.endpoint("acme", "https://127.0.0.1:1/", EndpointOptions::new(None));
    let nowhere = nowhere.unwrap();
    for Misplaced { what, text, parts } in misplaced(&lab) {
        let unpinned = || EndpointOptions::new(None);
        let url = format!("https://acme.example/in/{text}?token={text}");
        let mut told_all = vec![
            told(dispatcher.endpoint("acme", &text, unpinned())),
            told(dispatcher.endpoint("acme", &url, unpinned())),
            told(verifier.verify(text.as_bytes(), Some("acme.example"), SystemTime::now())),
            told(verifier.verify(b"", Some(&text), SystemTime::now())),
            format!("{:?}", dispatcher.remove(&text)),
            told(lab.consumer(&text).map(drop)),
            told(webhook_mtls::endpoint::merge([&text])),
            told(dispatcher.retire_in_fleet(&lab.identity(), &text, true)),
        ];
        // Words can be a consumer's name; the other values cannot.
        if what != "a passphrase" && what != "hex" {
            let url = "https://acme.example/";
            told_all.push(told(dispatcher.endpoint(&text, url, unpinned())));
        }
        for options in [
            DeliverOptions::new().id(&text),
            DeliverOptions::new().content_type(&text),
            DeliverOptions::new().headers(vec![("x-token".into(), text.clone())]),
            DeliverOptions::new().headers(vec![(text.clone(), "\n".into())]),
        ] {
            let delivery = Delivery::new(&nowhere, text.clone(), options.clone());
            told_all.push(format!("{delivery:?}"));
            let delivered =
                dispatcher.deliver_blocking(&nowhere, text.clone(), options, None).unwrap();
            told_all.push(told(delivered));
        }
        for shown in told_all {
            for part in &parts {
                assert!(!shown.contains(part), "{what} is shown: {shown}");
            }
        }
    }
}
