//! Tokens bound to our certificate, from a dispatcher to a verifier of webhooks. Run with
//! `--features testing`.
#![cfg(feature = "testing")]

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use serde_json::json;
use webhook_mtls::bindings::runtime;
use webhook_mtls::error::Stage;
use webhook_mtls::material::JwtKeys;
use webhook_mtls::testing::{Authority, Consumer, Issued, Lab, Leaf, Received};
use webhook_mtls::verify::PeerIdentity;
use webhook_mtls::webhook::{VerifiedWebhook, WebhookVerifier, WebhookVerifierOptions};
use webhook_mtls::{
    DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Error, Identity, JwtBearer, Kind,
    Receipt, Role, StandardWebhooks, TenantRule, Trust, Verifier, VerifierOptions,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SOON: Duration = Duration::from_secs(60);

/// Private keys in DER.
fn p256() -> Vec<u8> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    key.unwrap().as_ref().to_vec()
}

fn ed25519() -> Vec<u8> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec()
}

fn rsa_2048() -> Vec<u8> {
    rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap().as_der().unwrap().as_ref().to_vec()
}

fn keys_of(tokens: &[&JwtBearer]) -> JwtKeys {
    let keys: Vec<_> = tokens.iter().map(|token| token.public_jwk()).collect();
    JwtKeys::new(json!({ "keys": keys }).to_string().as_bytes(), None).unwrap()
}

fn peer_of(issued: &Issued, trust: Trust) -> PeerIdentity {
    let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}").unwrap();
    let verifier = Verifier::new(VerifierOptions::new(Role::Client, trust).tenant(rule)).unwrap();
    verifier.verify_chain(&issued.chain_der, None, SystemTime::now()).unwrap()
}

fn identity_of(issued: &Issued) -> Identity {
    Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None).unwrap()
}

fn deliver(
    dispatcher: &Dispatcher,
    endpoint: &Endpoint,
    body: &str,
    options: DeliverOptions,
) -> Result<Receipt, Error> {
    let outcome = dispatcher.deliver_blocking(endpoint, body.to_owned(), options, None);
    outcome.expect("nothing interrupts it")
}

fn verify(
    verifier: &WebhookVerifier,
    peer: &PeerIdentity,
    received: &Received,
) -> Result<VerifiedWebhook, Error> {
    let headers = received.headers.iter().map(|(name, value)| (name, value));
    verifier.verify_webhook(peer, headers, &received.body, SystemTime::now())
}

fn last(consumer: &Consumer) -> Received {
    consumer.received().pop().expect("a webhook came")
}

#[test]
fn a_token_of_each_key_type_is_verified_on_the_connection_of_its_certificate() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let ours = lab.authority().issue(Leaf::client("sender")).unwrap();
    let stolen = lab.authority().issue(Leaf::client("sender")).unwrap();
    let (peer, thief) = (peer_of(&ours, lab.trust()), peer_of(&stolen, lab.trust()));
    for (key, algorithm) in [(p256(), "ES256"), (ed25519(), "EdDSA"), (rsa_2048(), "RS256")] {
        let token = JwtBearer::from_pem(&key)
            .unwrap()
            .issuer("https://sender.test")
            .and_then(|token| token.audience("https://acme.test"))
            .and_then(|token| token.subject("sender"))
            .and_then(|token| token.claims(json!({ "tenant": "sender", "tier": 7 })))
            .unwrap()
            .content_digest(true);
        let options =
            EndpointOptions::new(None).identity(identity_of(&ours)).signing(token.clone());
        let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
        let mut ids = HashSet::new();
        let verifier = WebhookVerifierOptions::new()
            .keys(keys_of(&[&token]))
            .audience("https://acme.test")
            .and_then(|options| options.issuer("https://sender.test"))
            .and_then(|options| options.tenant_claim("tenant"))
            .unwrap()
            .content_digest(true);
        let verifier = WebhookVerifier::new(verifier).unwrap();
        for _ in 0..3 {
            deliver(&dispatcher, &endpoint, "{}", DeliverOptions::new().id("evt_1")).unwrap();
            let received = last(&acme);
            let webhook = verify(&verifier, &peer, &received).unwrap();
            assert_eq!((webhook.tenant(), webhook.id()), ("sender", Some("evt_1")));
            assert_eq!((webhook.algorithm(), webhook.scheme()), (Some(algorithm), None));
            assert_eq!(webhook.claims()["tier"], 7);
            ids.insert(webhook.claims()["jti"].as_str().unwrap().to_owned());
            let error = verify(&verifier, &thief, &received).unwrap_err();
            assert_eq!((error.kind(), error.stage()), (Kind::TokenInvalid, Stage::Verify));
            assert_eq!(error.context()["cause"], "token_of_another_certificate");
            let mut changed = received;
            changed.body = b"[]".to_vec();
            let error = verify(&verifier, &peer, &changed).unwrap_err();
            assert_eq!(error.context()["cause"], "token_of_another_body");
        }
        assert_eq!(ids.len(), 3, "each attempt has a jti of its own");
    }
}

#[test]
fn a_token_is_bound_to_the_previous_identity_after_a_fallback() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let previous = lab.authority().issue(Leaf::client("sender")).unwrap();
    let elsewhere = Authority::new("Elsewhere").unwrap();
    let next = elsewhere.issue(Leaf::client("sender")).unwrap();
    let token = JwtBearer::from_pem(&p256()).unwrap();
    let options = WebhookVerifierOptions::new().keys(keys_of(&[&token]));
    let verifier = WebhookVerifier::new(options).unwrap();
    let to = |issued: &Issued| {
        let signing = EndpointOptions::new(None).signing(token.clone());
        dispatcher.endpoint("acme", &acme.url(), signing.identity(identity_of(issued))).unwrap()
    };
    deliver(&dispatcher, &to(&previous), "{}", DeliverOptions::new()).unwrap();
    // The consumer does not trust the new CA, so the delivery falls back.
    deliver(&dispatcher, &to(&next), "{}", DeliverOptions::new()).unwrap();
    let received = acme.received();
    assert_eq!(received.len(), 2);
    let peer = peer_of(&previous, lab.trust());
    for received in &received {
        verify(&verifier, &peer, received).unwrap();
    }
    // Once the consumer accepts the new CA, the token is bound to the new certificate.
    acme.accept(&elsewhere);
    dispatcher.retire(&identity_of(&previous), true).unwrap();
    deliver(&dispatcher, &to(&next), "{}", DeliverOptions::new()).unwrap();
    let trust = Trust::from_pem(elsewhere.root_pem().as_bytes(), None, &[]).unwrap();
    verify(&verifier, &peer_of(&next, trust), &last(&acme)).unwrap();
    assert!(verify(&verifier, &peer, &last(&acme)).is_err());
}

#[test]
fn a_token_and_a_signature_go_together_and_each_can_be_required() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let ours = lab.authority().issue(Leaf::client("sender")).unwrap();
    let peer = peer_of(&ours, lab.trust());
    let token = JwtBearer::from_pem(&ed25519()).unwrap();
    let secrets = StandardWebhooks::new([SECRET]).unwrap();
    let base = || EndpointOptions::new(None).identity(identity_of(&ours));
    let endpoint = |options| dispatcher.endpoint("acme", &acme.url(), options).unwrap();
    let id = || DeliverOptions::new().id("evt_1");
    let both = base().signing(secrets.clone()).signing(token.clone());
    deliver(&dispatcher, &endpoint(both.clone()), "{}", id()).unwrap();
    let signed_twice = last(&acme);
    deliver(&dispatcher, &endpoint(base().signing(secrets)), "{}", id()).unwrap();
    let signed = last(&acme);
    deliver(&dispatcher, &endpoint(base().signing(token.clone())), "{}", id()).unwrap();
    let with_token = last(&acme);

    let options = || {
        let options = WebhookVerifierOptions::new().keys(keys_of(&[&token]));
        options.secrets([SECRET]).unwrap()
    };
    let strict = WebhookVerifier::new(options()).unwrap();
    let webhook = verify(&strict, &peer, &signed_twice).unwrap();
    assert_eq!((webhook.scheme(), webhook.secret()), (Some("v1"), Some(1)));
    assert_eq!(webhook.key_id(), token.public_jwk()["kid"].as_str());
    let kind = |verifier, received| verify(verifier, &peer, received).unwrap_err().kind();
    assert_eq!(kind(&strict, &signed), Kind::TokenInvalid);
    assert_eq!(kind(&strict, &with_token), Kind::SignatureInvalid);
    let either = options().require_signature(false).require_token(false);
    let either = WebhookVerifier::new(either).unwrap();
    assert!(verify(&either, &peer, &signed).is_ok() && verify(&either, &peer, &with_token).is_ok());
    let mut unsigned = signed;
    unsigned.headers.clear();
    assert!(verify(&either, &peer, &unsigned).is_err(), "one of the two is always required");

    // A caller's own header would be a second one.
    let own = vec![("Authorization".to_owned(), "Bearer hunter2".to_owned())];
    let error = deliver(&dispatcher, &endpoint(both), "{}", id().headers(own)).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (Kind::HeaderInvalid, Stage::Config));
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_store_is_asked_last_and_marks_duplicates() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dispatcher = lab.dispatcher();
    let ours = lab.authority().issue(Leaf::client("sender")).unwrap();
    let peer = peer_of(&ours, lab.trust());
    let signing = StandardWebhooks::new([SECRET]).unwrap();
    let options = EndpointOptions::new(None).identity(identity_of(&ours)).signing(signing);
    let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
    deliver(&dispatcher, &endpoint, "{}", DeliverOptions::new().id("evt_1")).unwrap();
    let received = last(&acme);
    let verifier =
        WebhookVerifier::new(WebhookVerifierOptions::new().secrets([SECRET]).unwrap()).unwrap();
    let mut store = HashSet::new();
    let mut once = |body: &[u8]| {
        let headers = received.headers.iter().map(|(name, value)| (name, value));
        verifier.verify_webhook_once(&peer, headers, body, SystemTime::now(), |key| {
            assert!(key.keep_until > SystemTime::now() + Duration::from_secs(71 * 3600));
            Ok::<_, Error>(!store.insert((key.tenant.to_owned(), key.id.to_owned())))
        })
    };
    // A forged message must not use up the id of a true one.
    assert_eq!(once(b"[]").unwrap_err().kind(), Kind::SignatureInvalid);
    assert!(!once(b"{}").unwrap().is_duplicate());
    assert!(once(b"{}").unwrap().is_duplicate());
}

/// A directory that is removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("webhook-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Replaces a file in one step.
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let (new, path) = (self.0.join(format!("{name}.new")), self.0.join(name));
        fs::write(&new, content).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // The test has its result already.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn identities_and_keys_rotate_under_load_and_no_webhook_is_refused() {
    const ROTATIONS: usize = 4;
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let dir = Dir::new("rotation");
    let issued: Vec<Issued> = (0..=ROTATIONS)
        .map(|number| lab.authority().issue(Leaf::client(&format!("sender-{number}"))).unwrap())
        .collect();
    let private: Vec<Vec<u8>> = (0..=ROTATIONS).map(|_| p256()).collect();
    let tokens: Vec<JwtBearer> =
        private.iter().map(|key| JwtBearer::from_pem(key).unwrap()).collect();
    let key_set = |known: &[JwtBearer]| {
        let keys: Vec<_> = known.iter().map(JwtBearer::public_jwk).collect();
        json!({ "keys": keys }).to_string()
    };
    let pair = |issued: &Issued| format!("{}{}", issued.chain_pem, issued.key_pem);
    let identity = dir.write("identity.pem", pair(&issued[0]).as_bytes());
    let key = dir.write("token.key", &private[0]);
    let keys = dir.write("keys.json", key_set(&tokens[..1]).as_bytes());

    let options = lab.dispatcher_options().reload(None).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let options = EndpointOptions::new(None)
        .identity(Identity::from_files(&identity, &identity, None).unwrap())
        .signing(JwtBearer::from_file(&key).unwrap().content_digest(true));
    let endpoint = dispatcher.endpoint("acme", &acme.url(), options).unwrap();
    let options = WebhookVerifierOptions::new()
        .keys(JwtKeys::from_file(&keys, None).unwrap())
        .reload(None)
        .unwrap();
    let verifier = WebhookVerifier::new(options).unwrap();
    let peers: Vec<PeerIdentity> =
        issued.iter().map(|issued| peer_of(issued, lab.trust())).collect();

    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let used: HashSet<(String, String)> = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("evt_{}", sent.fetch_add(1, Ordering::Relaxed));
                    let outcome =
                        deliver(&dispatcher, &endpoint, "{}", DeliverOptions::new().id(&*id));
                    outcome.unwrap();
                }
            });
        }
        let (mut used, mut done) = (HashSet::new(), 0);
        // Verifies what has come since the last call.
        let mut verify_new = || {
            let received = acme.received();
            for received in &received[done..] {
                let tenant = received.tenant.as_deref().unwrap();
                let peer = peers.iter().find(|peer| peer.tenant() == Some(tenant)).unwrap();
                let webhook = verify(&verifier, peer, received).unwrap();
                used.insert((tenant.to_owned(), webhook.key_id().unwrap().to_owned()));
            }
            done = received.len();
            used.len()
        };
        let mut run = || {
            for number in 0..=ROTATIONS {
                if number > 0 {
                    // The receiver knows the next key before the sender signs with it.
                    dir.write("keys.json", key_set(&tokens[..=number]).as_bytes());
                    assert_eq!(verifier.reload().len(), 1);
                    dir.write("token.key", &private[number]);
                    dir.write("identity.pem", pair(&issued[number]).as_bytes());
                    runtime::drive(dispatcher.reload(), || false).unwrap().unwrap();
                }
                let until = Instant::now() + SOON;
                while verify_new() <= number {
                    assert!(Instant::now() < until, "rotation {number} is never used");
                    thread::yield_now();
                }
            }
        };
        // The senders must end even if this thread fails.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut run));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
        used
    });
    for (number, token) in tokens.iter().enumerate() {
        let key_id = token.public_jwk()["kid"].as_str().unwrap().to_owned();
        assert!(used.contains(&(format!("sender-{number}"), key_id)), "{number}: {used:?}");
    }
}

#[test]
fn a_key_file_that_cannot_be_used_keeps_the_former_keys_and_raises_an_event() {
    let dir = Dir::new("unusable");
    let token = JwtBearer::from_pem(&ed25519()).unwrap();
    let path = dir.write("keys.json", token.public_jwk().to_string().as_bytes());
    let options = WebhookVerifierOptions::new()
        .keys(JwtKeys::from_file(&path, None).unwrap())
        .reload(None)
        .unwrap();
    let verifier = WebhookVerifier::new(options).unwrap();
    dir.write("keys.json", b"{\"keys\":[]}");
    let events = verifier.reload();
    assert_eq!(events.len(), 1);
    let event = events[0].to_json();
    assert_eq!(event["name"], "rotation_failed");
    assert_eq!(event["fields"]["what"], "jwt_keys");
    let error = JwtKeys::from_file(&path, None).unwrap_err();
    assert_eq!(error.kind(), Kind::PemInvalid);
    let private = dir.write("private.der", &ed25519());
    let error = JwtKeys::from_file(&private, None).unwrap_err();
    assert_eq!(error.kind(), Kind::PemInvalid);
}

#[test]
fn options_of_a_token_are_checked_and_never_shown() {
    let token = || JwtBearer::from_pem(&ed25519()).unwrap();
    for refused in [
        token().lifetime(Duration::from_millis(999)).err(),
        token().lifetime(Duration::from_secs(301)).err(),
        token().claims(json!([])).err(),
        token().claims(json!({ "cnf": {} })).err(),
        token().claims(json!({ "a": "b".repeat(5000) })).err(),
        token().issuer("").err(),
        token().key_id("a\nb").err(),
    ] {
        assert_eq!(refused.expect("a fault").kind(), Kind::OptionInvalid);
    }
    let shown = format!("{:?}", token().issuer("https://sender.test").unwrap());
    assert_eq!(shown, "JwtBearer(EdDSA)");
    for key in [&b"hunter2"[..], b""] {
        let error = JwtBearer::from_pem(key).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
