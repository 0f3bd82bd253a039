//! Text of a caller in errors: quoted, or only described.
//!
//! Callers pass a key in place of a path or a secret in place of a name by mistake, and errors are
//! logged. So a text is quoted only if it has the expected form and does not look like a secret. For
//! any other text, the error gives only the kind and the length.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The expected form of a text. Only a text of this form is quoted.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// A word, such as the name of an option: letters and underscores.
    Word,
    /// The name of a type of an error, with its module.
    Type,
    /// An HTTP status or a class of statuses.
    Status,
    /// A host name with a dot or an IP address, with an optional port.
    Host,
    /// An IP address or a network.
    Network,
    /// A URI without user information, query or fragment.
    Uri,
    /// The name of a header.
    Header,
    /// The path of a file: with a slash or a file extension.
    Path,
}

/// The longest text that is quoted.
const LONGEST: usize = 512;

/// Returns the text quoted and escaped, or its [description](described).
pub(crate) fn shown(text: &str, form: Form) -> String {
    if form.fits(text) && secret(text).is_none() { format!("{text:?}") } else { described(text) }
}

/// Returns a description of the text: its apparent kind and its length.
pub(crate) fn described(text: &str) -> String {
    match (secret(text), text.len()) {
        (_, 0) => "an empty text".to_owned(),
        (Some(kind), length) => format!("{kind} ({length} bytes)"),
        (None, length) => format!("a text of {length} bytes"),
    }
}

/// Returns the apparent kind of a secret text, or `None` if the text does not look like a secret.
fn secret(text: &str) -> Option<&'static str> {
    certain_secret(text).or_else(|| is_opaque(text).then_some("base64 or hex, like a key"))
}

/// The same, but only for texts that cannot be a name.
pub(crate) fn certain_secret(text: &str) -> Option<&'static str> {
    const SCHEMES: [&str; 4] = ["bearer ", "basic ", "digest ", "negotiate "];
    let bare = text.trim();
    let starts_with = |scheme: &&str| {
        bare.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    if text.contains("PRIVATE KEY") {
        Some("PEM text with a private key")
    } else if text.contains("-----BEGIN") || text.contains("-----END") {
        Some("PEM text")
    } else if ["whsec_", "whsk_"].iter().any(|prefix| text.contains(prefix)) {
        Some("a secret of Standard Webhooks")
    } else if SCHEMES.iter().any(starts_with) {
        Some("an Authorization value")
    } else if bare.starts_with("eyJ") && bare.contains('.') {
        Some("a JSON Web Token")
    } else if bare.starts_with('{') && bare.contains("\"kty\"") {
        Some("a JSON Web Key")
    } else if text.split_once("//").is_some_and(|(_, rest)| rest.contains('@')) {
        Some("a URL with a user name or password")
    } else if is_base64_of_der(bare) {
        Some("base64 of DER, like a key")
    } else {
        None
    }
}

/// Whether the text is visible ASCII of a bounded length and does not look like a secret.
pub(crate) fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && secret(text).is_none()
}

impl Form {
    fn fits(self, text: &str) -> bool {
        let of = |allowed: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || allowed.as_bytes().contains(&byte))
        };
        let up_to = |most: usize| (1..=most).contains(&text.len());
        match self {
            Self::Word => {
                up_to(40) && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            }
            Self::Type => up_to(120) && of("_.:<>"),
            Self::Status => up_to(4) && of(""),
            Self::Host => up_to(260) && (is_host(text) || is_address(text)),
            Self::Network => up_to(49) && is_address(text),
            Self::Uri => {
                up_to(200)
                    && text.contains("://")
                    && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
            }
            Self::Header => up_to(60) && of("-_"),
            Self::Path => {
                up_to(LONGEST)
                    && !text.contains(char::is_control)
                    && (text.contains('/') || text.starts_with(['.', '~']) || has_extension(text))
            }
        }
    }
}

/// Returns whether the text is a host name with a dot or a port.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    port.bytes().all(|byte| byte.is_ascii_digit())
        && host.bytes().all(of_host)
        && (host.contains('.') || (!port.is_empty() && Form::Word.fits(host)))
}

fn is_address(text: &str) -> bool {
    let of_address = |byte: u8| byte.is_ascii_hexdigit() || b".:/%[]".contains(&byte);
    text.bytes().all(of_address) && text.contains(['.', ':'])
}

fn has_extension(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && (1..=6).contains(&extension.len())
            && extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

/// Returns whether the text is base64 of a DER SEQUENCE with a matching length. Every form of a
/// private key is one.
fn is_base64_of_der(text: &str) -> bool {
    // The tag 0x30 encodes to this letter. Almost all other texts end here.
    if !text.starts_with('M') || text.len() < 24 {
        return false;
    }
    let letters = text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=');
    let start: Vec<u8> = letters.clone().take(8).collect();
    let Ok(start) = BASE64_STANDARD.decode(start) else { return false };
    let taken = |length: usize| (length * 4).div_ceil(3);
    match start[..] {
        // A word in capitals may begin alike, but its length does not match by chance.
        [0x30, length @ 0..=0x7f, ..] => letters.count() == taken(2 + usize::from(length)),
        [0x30, 0x81, length, ..] => letters.count() >= taken(3 + usize::from(length)),
        [0x30, 0x82, high, low, ..] => {
            letters.count() >= taken(4 + (usize::from(high) << 8 | usize::from(low)))
        }
        _ => false,
    }
}

/// The shortest run of letters and digits that may be a key.
const KEY_SIZED: usize = 20;

/// Returns whether a part of the text looks like random base64 or hex.
fn is_opaque(text: &str) -> bool {
    let of_base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/=".contains(letter);
    let whole = text.len() >= 2 * KEY_SIZED && text.chars().all(of_base64) && is_random(text);
    whole
        || text
            .split(|letter: char| !(letter.is_ascii_alphanumeric() || "+=_-".contains(letter)))
            .any(|run| {
                let is_hex = run.len() >= 32
                    && run.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && run.contains(|letter: char| letter.is_ascii_digit());
                // A path with a directory named by a digest is not a key.
                (is_hex && run.len() == text.trim().len())
                    || (run.len() >= KEY_SIZED && is_random(run))
            })
}

/// Returns whether upper case, lower case and digits alternate as often as in random base64. In joined
/// words, the runs of one class are longer.
fn is_random(text: &str) -> bool {
    let class = |byte: u8| match byte {
        b'A'..=b'Z' => Some(0),
        b'a'..=b'z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    };
    let classes: Vec<u8> = text.bytes().filter_map(class).collect();
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let all_three = (0..3).all(|class| classes.contains(&class));
    all_three && changes * 5 >= classes.len() * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [&str; 14] = [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----",
        "BEGIN EC PRIVATE KEY MHcCAQEEI",
        "MC4CAQAwBQYDK2VwBCIEIEhRs2AZvhBBoTpuYP8PPnJDsGJPmN7dcnBYXSMKKqOz",
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "Bearer mF_9.B5f-4.1JqM",
        "basic dXNlcjpwYXNz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        r#"{"kty":"EC","d":"x"}"#,
        "https://user:pa/ss@acme.example/",
        "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=",
        "sha256/q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "/run/q83vASNFZ4mrze8BI0VniavN7wEjRWeJ",
    ];

    const FORMS: [Form; 7] =
        [Form::Word, Form::Status, Form::Host, Form::Network, Form::Uri, Form::Header, Form::Path];

    #[test]
    fn an_event_id_is_plain_unless_it_looks_like_a_secret() {
        for id in ["evt_1", "evt-1", "5f0c6f4e-8d2b-4c55-9a0e-0d3a8e1f2b47", "order/4711:created"] {
            assert!(is_plain(id), "{id}");
        }
        for secret in SECRETS.iter().chain(&["two words", "evt\u{0}1"]) {
            assert!(!is_plain(secret), "{secret}");
        }
    }

    #[test]
    fn a_secret_is_quoted_in_no_form() {
        for secret in SECRETS {
            for form in FORMS {
                let shown = shown(secret, form);
                assert!(shown.ends_with(&format!("({} bytes)", secret.len())), "{shown}");
                assert!(!shown.contains(&secret[6..16]), "{shown}");
            }
        }
    }

    #[test]
    fn a_passphrase_matches_no_form() {
        for passphrase in
            ["correct horse battery staple", "hunter2", "Tr0ub4dor&3", "pa\u{df}wort 7"]
        {
            for form in FORMS {
                if matches!(form, Form::Header) && passphrase == "hunter2" {
                    continue;
                }
                assert!(!shown(passphrase, form).contains(passphrase), "{passphrase}");
            }
        }
    }

    #[test]
    fn a_text_of_the_expected_form_is_quoted_and_escaped() {
        for (text, form) in [
            ("colour", Form::Word),
            ("2xx", Form::Status),
            ("hooks_1.acme.example", Form::Host),
            ("10.0.0.1/8", Form::Network),
            ("spiffe://corp/tenant/{name}", Form::Uri),
            ("x-request-id", Form::Header),
            ("tls.key", Form::Path),
            ("/etc/webhook-mtls/production/acme/tls", Form::Path),
            ("../certs/MyCompanyProductionCertificates/ca-bundle.pem", Form::Path),
            (
                "/var/lib/kubelet/pods/7d1c1e9a-30c5-4ea2-9c1e-0a2f7a3b5c6d/volumes/tls.crt",
                Form::Path,
            ),
            ("/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-ca/ca.pem", Form::Path),
            ("/data/..2026_11_29_01_02_03.123456789/tls.key", Form::Path),
            (
                "/var/lib/docker/0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0/ca.pem",
                Form::Path,
            ),
        ] {
            assert_eq!(shown(text, form), format!("{text:?}"));
        }
        assert_eq!(shown("/a \"b\"", Form::Path), r#""/a \"b\"""#);
    }

    #[test]
    fn a_text_of_another_form_is_described() {
        for (text, form) in [
            ("key", Form::Path),
            ("a/b\n", Form::Path),
            ("localhost", Form::Host),
            ("deadbeefdeadbeef", Form::Network),
            ("https://corp/{tenant}?token=1", Form::Uri),
            ("x event", Form::Header),
        ] {
            assert_eq!(shown(text, form), format!("a text of {} bytes", text.len()));
        }
        assert_eq!(shown("", Form::Word), "an empty text");
    }

    #[test]
    fn names_are_not_certain_secrets() {
        for name in [
            "acme",
            "8f14e45fceea167a5a36dedd4bea2543",
            "Müller & Co",
            "MICHELANGELOBUONARROTISIMONI",
        ] {
            assert_eq!(certain_secret(name), None, "{name}");
        }
    }
}
