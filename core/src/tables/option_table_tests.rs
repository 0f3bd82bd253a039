//! Every row of the table has an arm in the `set` of its noun, and a true default.

use std::time::Duration;

use crate::diagnosis::DiagnosisOptions;
use crate::dispatcher::{DeliverOptions, DispatcherOptions, ProbeOptions};
use crate::endpoint::EndpointOptions;
use crate::error::{Error, Kind};
use crate::material::jwt_bearer::JwtBearer;
use crate::material::trust::Trust;
use crate::options::current::Current;
use crate::options::{ALL, SetByName, Setting};
use crate::retry::RetryPolicy;
use crate::verify::{Role, VerifierOptions};
use crate::webhook::WebhookVerifierOptions;

fn verifier() -> VerifierOptions {
    let vectors = include_str!("../../../tests/vectors/config.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).expect("JSON");
    let anchors = vectors["fixtures"]["trust"]["anchors"].as_str().expect("a text");
    let trust = Trust::from_pem(anchors.as_bytes(), None, &[]).expect("a trust");
    VerifierOptions::new(Role::Server, trust)
}

fn token() -> JwtBearer {
    // PKCS#8 of Ed25519, whose seed is zero.
    let mut key = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    key.resize(48, 0);
    JwtBearer::from_pem(&key).expect("a key")
}

fn fresh(of: &str) -> Box<dyn Current> {
    match of {
        "dispatcher" => Box::new(DispatcherOptions::new()),
        "endpoint" => Box::new(EndpointOptions::default()),
        "jwt_bearer" => Box::new(token()),
        "deliver" => Box::new(DeliverOptions::new()),
        "probe" => Box::new(ProbeOptions::new()),
        "diagnosis" => Box::new(DiagnosisOptions::new()),
        "verifier" => Box::new(verifier()),
        "webhook_verifier" => Box::new(WebhookVerifierOptions::new()),
        "retry_policy" => Box::new(RetryPolicy::default()),
        other => panic!("{other} has options and no line here"),
    }
}

fn set(of: &str, name: &str, value: Setting) -> Result<Box<dyn Current>, Error> {
    fn boxed<T: SetByName + Current + 'static>(
        noun: T,
        name: &str,
        value: Setting,
    ) -> Result<Box<dyn Current>, Error> {
        Ok(Box::new(noun.set(name, value)?))
    }
    match of {
        "dispatcher" => boxed(DispatcherOptions::new(), name, value),
        "endpoint" => boxed(EndpointOptions::default(), name, value),
        "jwt_bearer" => boxed(token(), name, value),
        "deliver" => boxed(DeliverOptions::new(), name, value),
        "probe" => boxed(ProbeOptions::new(), name, value),
        "diagnosis" => boxed(DiagnosisOptions::new(), name, value),
        "verifier" => boxed(verifier(), name, value),
        "webhook_verifier" => boxed(WebhookVerifierOptions::new(), name, value),
        "retry_policy" => boxed(RetryPolicy::default(), name, value),
        other => panic!("{other} has options and no line here"),
    }
}

#[test]
fn the_default_of_every_row_is_the_value_of_fresh_options() {
    for row in ALL {
        assert_eq!(fresh(row.of).current(row.name), row.default, "{} {}", row.of, row.name);
    }
}

/// Nouns, which only a typed setter takes.
const NOUNS: [&str; 9] = [
    "identity",
    "trust",
    "pins",
    "signing",
    "role",
    "tenant_rule",
    "authorization",
    "secrets",
    "keys",
];

#[test]
fn every_row_has_an_arm_that_stores_the_value_in_its_own_field() {
    for row in ALL.iter().filter(|row| !NOUNS.contains(&row.kind)) {
        let (value, stored) = match (row.kind, row.name) {
            ("duration", "token_tolerance" | "lifetime") => (Setting::Millis(7000.0), "7000"),
            ("duration", _) => (Setting::Millis(1234.0), "1234"),
            ("json", _) => (Setting::Text(r#"{"a":1}"#.into()), "a value"),
            ("integer", _) => (Setting::Number(77.0), "77"),
            ("number", _) => (Setting::Number(0.125), "0.125"),
            ("flag", _) if row.default == "true" => (Setting::Flag(false), "false"),
            ("flag", _) => (Setting::Flag(true), "true"),
            ("pairs", "status_retry") => {
                (Setting::Pairs(vec![("404".into(), "never".into())]), "a value")
            }
            ("pairs", _) => (Setting::Pairs(vec![("x-a".into(), "b".into())]), "a value"),
            ("egress", _) => (Setting::Text("private".into()), "a value"),
            ("text", "request") => (Setting::Text("options".into()), "options"),
            ("text", "min_tls") => (Setting::Text("1.2".into()), "1.2"),
            ("text", "crl_policy") => (Setting::Text("require".into()), "require"),
            ("text", "proxy") => (Setting::Text("http://127.0.0.1:3128".into()), "a value"),
            ("text", "server_name") => (Setting::Text("consumer.example".into()), "a value"),
            ("text", "server_uri") => (Setting::Text("spiffe://corp/a".into()), "a value"),
            ("text", "content_type") => (Setting::Text("text/plain".into()), "text/plain"),
            ("text", _) => (Setting::Text("user:password".into()), "a value"),
            (kind, name) => panic!("{name} is of the type {kind}, which has no line here"),
        };
        let options = set(row.of, row.name, value)
            .unwrap_or_else(|error| panic!("{} {}: {error}", row.of, row.name));
        for other in ALL.iter().filter(|other| other.of == row.of) {
            let expected = if other.name == row.name { stored } else { other.default };
            let what = format!("{} {} after {} was set", row.of, other.name, row.name);
            assert_eq!(options.current(other.name), expected, "{what}");
        }
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_the_type_of_the_row() {
    for row in ALL {
        let wrong = match row.kind {
            "flag" => Setting::Number(1.0),
            _ => Setting::Flag(true),
        };
        let error = set(row.of, row.name, wrong).err().expect("a fault");
        let expected = format!("must be of type {}", row.kind);
        assert!(error.to_string().contains(&expected), "{} {}: {error}", row.of, row.name);
        assert_eq!(error.context()["option"], row.name);
    }
}

#[test]
fn typed_setters_refuse_what_the_setters_by_name_refuse() {
    let day = Duration::from_secs(24 * 3600);
    for duration in [Duration::ZERO, day + Duration::from_nanos(1), Duration::MAX] {
        let options = DispatcherOptions::new;
        for refused in [
            options().timeout(duration).err(),
            options().connect_timeout(duration).err(),
            options().handshake_timeout(duration).err(),
            options().write_timeout(duration).err(),
            options().response_timeout(duration).err(),
            options().reload(Some(duration)).err(),
            DeliverOptions::new().timeout(duration).err(),
            ProbeOptions::new().timeout(duration).err(),
            verifier().reload(Some(duration)).err(),
            RetryPolicy::default().first(duration).err(),
            RetryPolicy::default().ceiling(duration).err(),
            RetryPolicy::new(1, duration, duration).err(),
        ] {
            assert_eq!(refused.expect("a fault").kind(), Kind::OptionInvalid, "{duration:?}");
        }
    }
    for count in [0, 1_000_001, usize::MAX] {
        for refused in [
            DispatcherOptions::new().max_connections(count).err(),
            DispatcherOptions::new().max_waiting(count).err(),
            EndpointOptions::new(None).concurrency(count).err(),
            RetryPolicy::default().attempts(u32::try_from(count).unwrap_or(u32::MAX)).err(),
        ] {
            assert_eq!(refused.expect("a fault").kind(), Kind::OptionInvalid, "{count}");
        }
    }
    for rate in [0.0, -1.0, 0.0009, 1_000_001.0, f64::NAN, f64::INFINITY] {
        assert!(EndpointOptions::new(None).rate(rate).is_err(), "{rate}");
    }
    for fraction in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
        assert!(DispatcherOptions::new().expiry_warning(fraction).is_err(), "{fraction}");
        assert!(verifier().expiry_warning(fraction).is_err(), "{fraction}");
    }
}
