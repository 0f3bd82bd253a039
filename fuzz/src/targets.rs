//! The fuzz targets.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use webhook_mtls::forwarded::{Dialect, Hop, Remote};
use webhook_mtls::material::{Pin, pin_of};
use webhook_mtls::testing::{read_answer, read_first_messages};
use webhook_mtls::webhook::{JwtKeys, WebhookVerifier, WebhookVerifierOptions};
use webhook_mtls::{
    Authorization, Error, Identity, Kind, Pins, Role, TenantRule, Trust, Verifier, VerifierOptions,
};

use crate::{differential, pfx};

/// A CA, a leaf of it that is valid for a century, and its key. The key is public.
const ROOT: &[u8] = include_bytes!("../fixtures/root.pem");
const CHAIN: &[u8] = include_bytes!("../fixtures/chain.pem");
const KEY: &[u8] = include_bytes!("../fixtures/key.pem");
const PASSPHRASE: &[u8] = b"correct horse";

/// 2026-06-01, when the fixtures are valid.
const AT: Duration = Duration::from_secs(1_780_272_000);

/// Parses PEM text and DER as certificates, as keys and as bundles.
pub fn pem(input: &[u8]) {
    let _ = Identity::from_pem(input, KEY, None);
    let _ = Identity::from_pem(input, input, Some(PASSPHRASE));
    let _ = Trust::from_pem(input, None, &[]);
    let _ = Trust::from_pem(ROOT, Some(input), &[]);
    if let Err(error) = Identity::from_pem(CHAIN, input, Some(PASSPHRASE)) {
        quotes_nothing(&error, input);
    }
}

/// Verifies a leaf that a peer presents, alone and before its CAs.
pub fn certificate(input: &[u8]) {
    let _ = pin_of(input);
    let at = SystemTime::UNIX_EPOCH + AT;
    for verifier in verifiers() {
        let presented: [&[u8]; 3] = [input, input, input];
        for chain in [&presented[..1], &presented] {
            if let Ok(peer) = verifier.verify_chain(chain, None, at) {
                peer.to_json();
                assert_eq!(peer.subject(), "CN=dispatcher", "only this certificate can pass");
            }
        }
        if let Err(error) = verifier.verify(input, None, at) {
            let text = error.to_string();
            assert!(
                !text.contains(char::is_control),
                "a name contains control characters: {text:?}"
            );
        }
    }
}

/// Parses the texts that identify peers and tenants.
pub fn pin(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(pin) = Pin::parse(text) {
        assert_eq!(
            Pin::parse(&pin.to_string()).ok(),
            Some(pin),
            "a formatted pin parses to the same pin"
        );
    }
    let lines = || text.lines();
    let _ = Pins::with_next(lines(), lines());
    let _ = TenantRule::san_uri(text);
    let _ = TenantRule::san_dns_suffix(text);
    let _ = Authorization::trust_domain(text);
    let _ = Authorization::san_uris(lines());
}

/// Parses one or several CRLs, in PEM or DER.
pub fn crl(input: &[u8]) {
    let Ok(trust) = Trust::from_pem(ROOT, None, &[input]) else { return };
    let options =
        VerifierOptions::new(Role::Client, trust).authorization(Authorization::ca_members());
    let verifier = Verifier::new(options).expect("a rule is given");
    let _ = verifier.verify(CHAIN, None, SystemTime::UNIX_EPOCH + AT);
}

/// Parses a PKCS#12 file, and the same bytes as the content of a file with a valid MAC. Damage to a
/// file never gets past its MAC.
pub fn pkcs12(input: &[u8]) {
    for file in [input, &pfx::sealed(input, PASSPHRASE)] {
        if let Err(error) = Identity::from_pkcs12(file, PASSPHRASE) {
            quotes_nothing(&error, input);
        }
    }
}

/// Reads the first messages of a TLS server. The result must not depend on the sizes of the received
/// pieces, and has only known names.
pub fn server_hello(input: &[u8]) {
    let whole = read_first_messages(input, usize::MAX);
    for piece in [1, 2, 5, 64, 1000] {
        assert_eq!(read_first_messages(input, piece), whole, "in pieces of {piece}");
    }
    if let Some([version, _, _]) = whole {
        assert!(version.starts_with("TLSv1.") || version == "SSLv3", "{version}");
    }
}

/// Compares the verdicts on a chain, which the input describes, with those of other verifiers.
pub fn path(input: &[u8]) {
    differential::compare(input);
}

/// Parses a consumer's response. The result must not depend on the sizes of the received pieces.
pub fn answer(input: &[u8]) {
    let whole = read_answer(input, usize::MAX);
    for piece in [1, 2, 5, 64, 1000] {
        assert_eq!(read_answer(input, piece), whole, "in pieces of {piece}");
    }
}

/// Decodes the header lines of a request in one dialect, which the first byte selects. A decoder
/// either reads the one line, or fails with an error that quotes no header.
pub fn forwarded(input: &[u8]) {
    static HOP: OnceLock<Hop> = OnceLock::new();
    let hop = HOP.get_or_init(|| Hop::unix("edge").expect("a name"));
    let Some((first, text)) = input.split_first() else { return };
    let dialect = Dialect::ALL[usize::from(*first) % Dialect::ALL.len()];
    let lines: Vec<(&[u8], &[u8])> = text.split(|byte| *byte == b'\n').map(header).collect();
    let at = SystemTime::UNIX_EPOCH + AT;
    for verifier in verifiers() {
        match verifier.verify_forwarded(&lines, dialect, hop, Some(Remote::Unix), at) {
            Ok(peer) => {
                assert_eq!(peer.subject(), "CN=dispatcher", "only this certificate can pass");
                assert_eq!(peer.hop(), Some("edge"));
                for header in dialect.headers() {
                    let same = |name: &[u8]| {
                        let name = String::from_utf8_lossy(name).replace('_', "-");
                        name.eq_ignore_ascii_case(header)
                    };
                    let count = lines.iter().filter(|(name, _)| same(name)).count();
                    assert!(count <= 1, "{count} lines of {header} passed");
                }
            }
            Err(error) => quotes_nothing(&error, text),
        }
    }
}

fn header(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b':') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

fn verifiers() -> &'static [Verifier] {
    static VERIFIERS: OnceLock<Vec<Verifier>> = OnceLock::new();
    VERIFIERS.get_or_init(|| {
        let trust = Trust::from_pem(ROOT, Some(CHAIN_CAS), &[]).expect("the fixtures are sound");
        let rule = TenantRule::san_uri("spiffe://corp.example/tenant/{tenant}").expect("sound");
        let tenants = VerifierOptions::new(Role::Client, trust.clone()).tenant(rule);
        let members =
            VerifierOptions::new(Role::Client, trust).authorization(Authorization::ca_members());
        [tenants, members].map(|options| Verifier::new(options).expect("a rule is given")).into()
    })
}

/// The CAs between the leaf and the root.
const CHAIN_CAS: &[u8] = include_bytes!("../fixtures/issuing.pem");

/// Asserts that an error about a key quotes no part of it.
fn quotes_nothing(error: &Error, input: &[u8]) {
    const ENOUGH: usize = 20;
    let said = error.to_json().to_string();
    for window in input.windows(ENOUGH) {
        let Ok(text) = std::str::from_utf8(window) else { continue };
        let telling =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        assert!(!(telling && said.contains(text)), "the error quotes its input: {said}");
    }
}

/// Reads public keys of tokens, and verifies a webhook: five lines with an id, a timestamp, signatures, the
/// value of `authorization` and the body.
pub fn webhook(input: &[u8]) {
    if let Err(error) = JwtKeys::new(input, None) {
        quotes_nothing(&error, input);
    }
    let mut lines = input.splitn(5, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "authorization"];
    let headers: Vec<_> = names
        .map(|name| (name, line()))
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let body = line();
    let at = SystemTime::UNIX_EPOCH + AT;
    for verifier in webhook_verifiers() {
        let headers = headers.iter().map(|(name, value)| (*name, *value));
        match verifier.verify_webhook_of(Some("acme"), WEBHOOK_PEER, headers, body, at) {
            Ok(webhook) => {
                webhook.to_json();
                assert_eq!(webhook.tenant(), "acme");
                // No mutation can sign: an id that is signed, or claimed by a token, is one of a seed.
                let known = ["evt_1", "jti-1", "evt.1"];
                let is_covered =
                    webhook.scheme().is_some() || webhook.claims().contains_key("webhook_id");
                let is_known = webhook.id().is_none_or(|id| known.contains(&id));
                assert!(is_known || !is_covered, "{webhook:?}");
            }
            Err(error) => {
                assert!(matches!(
                    error.kind(),
                    Kind::SignatureInvalid | Kind::TokenInvalid | Kind::TenantRefused
                ));
            }
        }
    }
}

/// The `x5t#S256` of the peer, the keys and the secret of the seeds.
const WEBHOOK_PEER: &str = include_str!("../fixtures/webhook.x5t");
const WEBHOOK_KEYS: &[u8] = include_bytes!("../fixtures/webhook.json");
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook_verifiers() -> &'static [WebhookVerifier; 2] {
    static VERIFIERS: OnceLock<[WebhookVerifier; 2]> = OnceLock::new();
    VERIFIERS.get_or_init(|| {
        let keys = JwtKeys::new(WEBHOOK_KEYS, None).expect("keys");
        let options = WebhookVerifierOptions::new().keys(keys).require_token(false);
        let either = options.clone().secrets([WEBHOOK_SECRET]).expect("a secret");
        [options, either.require_signature(false)]
            .map(|options| WebhookVerifier::new(options).expect("a verifier"))
    })
}
