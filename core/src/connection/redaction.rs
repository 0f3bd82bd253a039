//! Blots out what the caller sent where a consumer sends it back: callers log responses.
//!
//! An error page may show a header or the payload as it is, or escaped for JSON, a URL or HTML, or in
//! base64. Parts of the payload that do not begin at its start are not recognized.

use std::fmt;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::HeaderValue;

/// The shortest text that is blotted out. A shorter one occurs by chance.
const SHORTEST: usize = 4;

/// From this length on, the start of a payload is recognized without its end, which a consumer may have
/// cut off.
const START: usize = 32;

/// The most comparisons for one text. A consumer may choose a text that needs many; it is then blotted
/// out as a whole.
const MOST_STEPS: usize = 8 << 20;

pub(super) const BLOT: &[u8] = b"[redacted]";

/// What the caller sent in one request.
#[derive(Default)]
pub(crate) struct Secrets {
    pub(crate) headers: Vec<HeaderValue>,
    pub(crate) payload: Bytes,
}

impl Secrets {
    /// Returns the text without what the caller sent, or `None` if it contains nothing of it.
    pub(super) fn redact(&self, text: &[u8]) -> Option<Vec<u8>> {
        if text.len() < SHORTEST {
            return None;
        }
        let mut search = Search { text, blots: Vec::new(), steps: MOST_STEPS };
        for header in &self.headers {
            let value = header.as_bytes();
            search.whole(value);
            // A token without its scheme, a cookie without its name.
            let parts = value.split(|byte| b" ;,=".contains(byte));
            parts.filter(|part| part.len() < value.len()).for_each(|part| search.whole(part));
        }
        search.start(&self.payload);
        search.blotted()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// A search for several secrets in one text.
struct Search<'a> {
    text: &'a [u8],
    /// The ranges to blot out.
    blots: Vec<(usize, usize)>,
    /// How many comparisons are left.
    steps: usize,
}

impl Search<'_> {
    /// Finds a secret in any escaping.
    fn whole(&mut self, secret: &[u8]) {
        if secret.len() >= SHORTEST {
            self.find(secret, secret.len());
        }
    }

    /// Finds a payload, or a start of it that is long enough.
    fn start(&mut self, payload: &[u8]) {
        // No text contains more of it.
        let payload = &payload[..payload.len().min(self.text.len())];
        if payload.len() >= SHORTEST {
            self.find(payload, payload.len().min(START));
        }
    }

    /// * `least`: how many bytes of the secret must occur.
    fn find(&mut self, secret: &[u8], least: usize) {
        let found = memchr::memmem::find_iter(self.text, secret);
        self.blots.extend(found.map(|at| (at, at + secret.len())));
        let mut at = 0;
        while at < self.text.len() && self.steps > 0 {
            let (length, matched) = self.matched(&self.text[at..], secret);
            if matched >= least {
                self.blots.push((at, at + length));
                at += length;
            } else {
                at += 1;
            }
        }
        self.find_base64(&secret[..least.max(secret.len().min(1024))]);
    }

    /// Returns how much of the text matches the start of the secret, and how long that start is.
    fn matched(&mut self, text: &[u8], secret: &[u8]) -> (usize, usize) {
        let (mut at, mut matched) = (0, 0);
        while matched < secret.len() && self.steps > 0 {
            self.steps -= 1;
            let Some((length, taken)) = step(&text[at..], &secret[matched..]) else { break };
            at += length;
            matched += taken;
        }
        (at, matched)
    }

    /// Finds the base64 of a secret, which may be part of a longer text that was encoded.
    fn find_base64(&mut self, secret: &[u8]) {
        const FEWEST: usize = 6;
        for before in 0..3 {
            let shifted = [&[0; 3][..before], secret].concat();
            // The letters that depend on the secret alone.
            let (from, to) = ((before * 4).div_ceil(3), shifted.len() * 4 / 3);
            for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&shifted);
                let Some(own) = encoded.as_bytes().get(from..to).filter(|it| it.len() >= FEWEST)
                else {
                    continue;
                };
                let found = memchr::memmem::find_iter(self.text, own);
                self.blots.extend(found.map(|at| (at, at + own.len())));
            }
        }
    }

    fn blotted(mut self) -> Option<Vec<u8>> {
        if self.steps == 0 {
            return Some(BLOT.to_vec());
        }
        if self.blots.is_empty() {
            return None;
        }
        self.blots.sort_unstable();
        let (mut text, mut end) = (Vec::with_capacity(self.text.len()), 0);
        for (from, to) in self.blots {
            if from >= end {
                text.extend_from_slice(&self.text[end..from]);
                text.extend_from_slice(BLOT);
            }
            end = end.max(to);
        }
        text.extend_from_slice(&self.text[end..]);
        Some(text)
    }
}

/// Matches one character. Returns how many bytes of the text and of the secret it has.
fn step(text: &[u8], secret: &[u8]) -> Option<(usize, usize)> {
    let (first, wanted) = (*text.first()?, *secret.first()?);
    if let b'\\' | b'&' = first
        && let Some((length, letter)) = unescaped(text)
    {
        let mut buffer = [0; 4];
        let letter = letter.encode_utf8(&mut buffer).as_bytes();
        if secret.starts_with(letter) {
            return Some((length, letter.len()));
        }
    }
    if first == b'%' && text.get(1..3).and_then(|digits| number(digits, 16)) == Some(wanted.into())
    {
        return Some((3, 1));
    }
    (first == wanted || (first == b'+' && wanted == b' ')).then_some((1, 1))
}

/// Returns the character of a JSON escape or an HTML reference, and the length of the escape.
fn unescaped(text: &[u8]) -> Option<(usize, char)> {
    match text {
        [b'\\', b'u', digits @ ..] => {
            let unit = number(digits.get(..4)?, 16)?;
            if !(0xd800..0xdc00).contains(&unit) {
                return Some((6, char::from_u32(unit)?));
            }
            let low = number(digits[4..].strip_prefix(b"\\u")?.get(..4)?, 16)?;
            let low = low.checked_sub(0xdc00)?;
            Some((12, char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + low)?))
        }
        [b'\\', letter, ..] => {
            let letter = match letter {
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'"' | b'\\' | b'/' | b'\'' => char::from(*letter),
                _ => return None,
            };
            Some((2, letter))
        }
        [b'&', ..] => {
            let end = text.iter().take(10).position(|byte| *byte == b';')?;
            let letter = match &text[1..end] {
                b"quot" => '"',
                b"amp" => '&',
                b"lt" => '<',
                b"gt" => '>',
                b"apos" => '\'',
                [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
                [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
                _ => return None,
            };
            Some((end + 1, letter))
        }
        _ => None,
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let plain = digits.iter().all(u8::is_ascii_alphanumeric);
    u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| plain)?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(headers: &[&'static str], payload: &'static str) -> Secrets {
        let headers = headers.iter().map(|value| HeaderValue::from_static(value)).collect();
        Secrets { headers, payload: Bytes::from_static(payload.as_bytes()) }
    }

    fn redacted(secrets: &Secrets, text: &str) -> String {
        let text = secrets.redact(text.as_bytes()).unwrap_or(text.as_bytes().to_vec());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_header_is_blotted_out_in_any_escaping() {
        let sent = secrets(&[r#"a"b/c&d <"#], "");
        for echo in [
            r#"a"b/c&d <"#,
            r#"a\"b\/c&d <"#,
            r"a\u0022b/c\u0026d \u003c",
            "a%22b%2Fc%26d%20%3C",
            "a%22b%2fc%26d+%3c",
            "a&quot;b/c&amp;d &lt;",
            "a&#34;b&#x2F;c&#38;d&#32;&lt;",
        ] {
            let text = format!("you sent {echo}, thank you");
            assert_eq!(redacted(&sent, &text), "you sent [redacted], thank you", "{echo}");
        }
    }

    #[test]
    fn a_token_is_blotted_out_without_its_scheme_and_in_base64() {
        let sent = secrets(&["Bearer tok1", "k=s3cr"], "");
        assert_eq!(redacted(&sent, "bad tok1, s3cr"), "bad [redacted], [redacted]");
        assert_eq!(redacted(&sent, "tok s3c"), "tok s3c", "shorter than four");
        let long = secrets(&["a-long-token"], "");
        for before in ["", "x", "xy", "xyz"] {
            let echo = BASE64_STANDARD_NO_PAD.encode(format!("{before}a-long-token and more"));
            let text = redacted(&long, &format!("data:{echo}"));
            assert!(text.contains("[redacted]"), "{text}");
            let rest = BASE64_STANDARD_NO_PAD.encode("long-tok");
            assert!(!text.contains(&rest[..8]), "{text}");
        }
    }

    #[test]
    fn a_payload_is_blotted_out_also_if_its_end_was_cut_off() {
        const PAYLOAD: &str = r#"{"name":"Zoë","card":"4111 1111 1111 1111","note":"x"}"#;
        let sent = secrets(&[], PAYLOAD);
        let json = r#"{\"name\":\"Zo\u00eb\",\"card\":\"4111 1111 1111 1111\",\"note\":\"x\"}"#;
        assert_eq!(redacted(&sent, &format!("{{\"got\":\"{json}\"}}")), r#"{"got":"[redacted]"}"#);
        let cut = format!("cannot parse {} ...", &PAYLOAD[..42]);
        assert_eq!(redacted(&sent, &cut), "cannot parse [redacted] ...");
        assert_eq!(redacted(&secrets(&[], "{}"), "{}"), "{}");
        assert_eq!(secrets(&[], PAYLOAD).redact(b"all is well"), None);
    }

    #[test]
    fn a_text_that_needs_too_many_comparisons_is_blotted_out_as_a_whole() {
        let payload: String = "a".repeat(60_000) + "b";
        let sent = Secrets { headers: Vec::new(), payload: payload.into() };
        let text = ["a".repeat(31), "c".into()].concat().repeat(2000);
        assert_eq!(redacted(&sent, &text), text, "few comparisons");
        let text = "&#97;".repeat(13_000);
        assert!(redacted(&sent, &text).starts_with("[redacted]"));
    }
}
