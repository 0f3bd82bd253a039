//! Signed deliveries. Run with `--features testing`.
#![cfg(feature = "testing")]

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use webhook_mtls::bindings::{Setting, runtime};
use webhook_mtls::error::{Scope, Stage};
use webhook_mtls::testing::{Lab, Received};
use webhook_mtls::{DeliverOptions, EndpointOptions, Error, Kind, Retry, Sent, StandardWebhooks};

const SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"];

fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    &received.headers.iter().find(|header| header.0 == name).expect("the header came").1
}

/// Verifies as a consumer does with its secret.
fn is_signed(received: &Received, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut message =
        format!("{}.{}.", header(received, "webhook-id"), header(received, "webhook-timestamp"))
            .into_bytes();
    message.extend(&received.body);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    let wanted = format!("v1,{}", BASE64_STANDARD.encode(tag));
    header(received, "webhook-signature").split(' ').any(|signature| signature == wanted)
}

#[test]
fn either_secret_of_a_rotation_verifies_and_the_payload_may_be_any_bytes() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let options = EndpointOptions::new(None).signing(StandardWebhooks::new(SECRETS).unwrap());
    let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
    for body in [&b""[..], b"{}", b"\0\xff\r\n\r\n."] {
        let delivery =
            dispatcher.deliver(&endpoint, body.to_vec(), DeliverOptions::new().id("evt_1"));
        runtime::drive(delivery, || false).unwrap().unwrap();
        let received = acme.received().pop().unwrap();
        assert_eq!(received.body, body);
        assert!(SECRETS.iter().all(|secret| is_signed(&received, secret)), "{received:?}");
        assert!(!is_signed(&received, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    }
}

#[test]
fn a_signed_delivery_without_id_is_refused_at_once() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let signing = StandardWebhooks::new(SECRETS).unwrap();
    let endpoint = dispatcher
        .endpoint("acme", &acme.url(), EndpointOptions::new(None).signing(signing))
        .unwrap();
    let deliver = |options| -> Error {
        runtime::drive(dispatcher.deliver(&endpoint, "{}", options), || false).unwrap().unwrap_err()
    };
    let error = deliver(DeliverOptions::new());
    assert_eq!((error.kind(), error.stage()), (Kind::OptionInvalid, Stage::Config));
    assert_eq!((error.sent(), error.retry()), (Sent::Nothing, Retry::Never));
    assert_eq!((error.scope(), error.consumer()), (Scope::Delivery, Some("acme")));
    assert_eq!(deliver(DeliverOptions::new().id("a.1")).kind(), Kind::HeaderInvalid);
    assert_eq!(acme.connections(), 0);
}

#[test]
fn neither_secrets_nor_header_values_are_printed() {
    let signing = StandardWebhooks::new(SECRETS).unwrap();
    let endpoint = EndpointOptions::new(None).signing(signing);
    let token = "Bearer hunter2".to_owned();
    let delivery = DeliverOptions::new().headers(vec![("authorization".to_owned(), token)]);
    let setting = Setting::Pairs(vec![("authorization".into(), "Bearer hunter2".into())]);
    let shown = format!("{endpoint:?} {delivery:?} {setting:?}");
    assert!(shown.contains("StandardWebhooks(v1, v1)") && shown.contains("authorization"));
    assert!(!shown.contains("MfKQ") && !shown.contains("hunter2"), "{shown}");
}
