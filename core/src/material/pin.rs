//! Pins: the keys or certificates that a peer may have, in the form of RFC 7469 section 2.4.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, PIN_IS_MISSING, cause, certain_secret, described, key};
use crate::keystore::pem;
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::x509::{ParsedCertificate, pin_text};

/// The SHA-256 of a peer's public key or of its whole certificate.
///
/// ```
/// use webhook_mtls::material::Pin;
///
/// let pin = Pin::parse("sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")?;
/// assert_eq!(pin.to_string(), "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Pin {
    /// The SHA-256 of the leaf's DER SubjectPublicKeyInfo. It stays the same if a renewal keeps the key.
    Spki([u8; 32]),
    /// The SHA-256 of the leaf's whole certificate. It changes with every renewal.
    Certificate([u8; 32]),
}

/// The length of 32 bytes in padded base64.
const ENCODED_LENGTH: usize = 44;

impl Pin {
    /// Reads `sha256/<base64>`, curl's `sha256//<base64>`, the bare base64 of 32 bytes, or
    /// `cert-sha256/<base64>`.
    ///
    /// # Errors
    ///
    /// Fails with `pin_invalid`. The message describes the text and never quotes it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|why| pin_fault(format!("the pin {why}")))
    }

    /// Parses a pin, or describes the text without a quote. A key in place of a pin looks like one, so the
    /// text must not appear in errors.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let fault = |why: &str| Err(why.to_owned());
        if let Some(what) = certain_secret(text) {
            return Err(format!("looks like {what}; a pin is the base64 of a SHA-256"));
        }
        let (make, encoded): (fn([u8; 32]) -> Self, &str) =
            if let Some(rest) = text.strip_prefix("cert-sha256/") {
                (Self::Certificate, rest)
            } else if let Some(rest) = text.strip_prefix("sha256/") {
                // curl writes two slashes, but base64 itself may begin with a slash.
                let curl = rest.strip_prefix('/').filter(|_| rest.len() > ENCODED_LENGTH);
                (Self::Spki, curl.unwrap_or(rest))
            } else {
                (Self::Spki, text)
            };
        if encoded.is_empty() {
            return fault("is empty");
        }
        if encoded.chars().all(|letter| matches!(letter, '.' | '…')) {
            return fault(
                "is a placeholder; the pin of a key comes from its owner, or from webhook-mtls inspect",
            );
        }
        if encoded.trim() != encoded {
            return fault("has white space around it");
        }
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if encoded.contains(':') {
            return fault("looks like a colon-separated fingerprint; a pin is base64");
        }
        if matches!(encoded.len(), 40 | 64) && hex(encoded) {
            return fault("looks like hex; a pin is base64");
        }
        if encoded.contains(['-', '_']) {
            return fault("looks like base64url; a pin is standard base64, with + and /");
        }
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| {
            format!("is {} instead of the padded base64 of 32 bytes", described(encoded))
        })?;
        let length = bytes.len();
        <[u8; 32]>::try_from(bytes)
            .map(make)
            .map_err(|_| format!("holds {length} bytes; a SHA-256 has 32"))
    }

    fn matches(self, leaf: &ParsedCertificate<'_>, der: &[u8]) -> bool {
        match self {
            Self::Spki(digest) => digest == leaf.spki_digest(),
            Self::Certificate(digest) => digest == <[u8; 32]>::from(Sha256::digest(der)),
        }
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spki(digest) => f.write_str(&pin_text(digest)),
            Self::Certificate(digest) => write!(f, "cert-{}", pin_text(digest)),
        }
    }
}

crate::error::words! {
    /// The part of a pin set that matched. Exhaustive: a set has two parts.
    PinSlot {
        /// A pin in use now.
        Current = 1 "current",
        /// A pin announced for the next key.
        Next = 2 "next",
    }
}

/// The pins of one endpoint: current ones, and those announced for the next key. Never empty.
///
/// ```
/// use webhook_mtls::Pins;
///
/// let now = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
/// let announced = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// let pins = Pins::with_next([now], [announced])?;
/// assert_eq!(pins.iter().count(), 2);
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone)]
pub struct Pins {
    pins: Arc<[(Pin, PinSlot)]>,
    origin: Option<Arc<Origin>>,
}

impl Pins {
    /// Makes a set of current pins.
    ///
    /// # Errors
    ///
    /// Fails with `pin_invalid` if a pin is malformed or there is none.
    pub fn new<I>(current: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::with_next(current, std::iter::empty::<&str>())
    }

    /// Makes a set of current pins, and of next pins, which are accepted as well during a key rotation.
    ///
    /// # Errors
    ///
    /// Fails with `pin_invalid` if a pin is malformed or there is no current pin.
    pub fn with_next<I, J>(current: I, next: J) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
        J: IntoIterator,
        J::Item: AsRef<str>,
    {
        let mut pins: Vec<(Pin, PinSlot)> = Vec::new();
        let mut known = HashSet::new();
        let mut add = |text: &str, slot: PinSlot, at: usize| {
            let pin = Pin::read(text).map_err(|why| {
                let message = format!("{} pin {} {why}", slot.name(), at + 1);
                let error = pin_fault(message).noting(key::POSITION, at + 1);
                if text.is_empty() { error.advising(PIN_IS_MISSING) } else { error }
            })?;
            // A pin in both sets counts as current, so that a match is not reported as the next key.
            if known.insert(pin) {
                pins.push((pin, slot));
            }
            Ok::<(), Error>(())
        };
        for (at, text) in current.into_iter().enumerate() {
            add(text.as_ref(), PinSlot::Current, at)?;
        }
        for (at, text) in next.into_iter().enumerate() {
            add(text.as_ref(), PinSlot::Next, at)?;
        }
        if !pins.iter().any(|(_, slot)| *slot == PinSlot::Current) {
            return Err(Error::new(Kind::PinInvalid, "the set of current pins is empty").advising(
                "Pass at least one pin, or state explicitly that the endpoint has none.",
            ));
        }
        Ok(Self { pins: pins.into(), origin: None })
    }

    /// Reads a file with one pin per line. `next` before a pin announces it, and `#` starts a comment.
    /// The pins keep the path, and a dispatcher or verifier that uses them watches the file.
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid` if the file cannot be read within five seconds, `pin_invalid` if a line
    /// is malformed, and `overloaded` if this process has no descriptor or thread left.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let source = Arc::new(Source::Pins { file: absolute_path(path.as_ref(), "pin")? });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// Reads pins from the content of their file.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let text = std::str::from_utf8(&snapshot.texts[0])
            .map_err(|_| Error::new(Kind::PinInvalid, "the pin file is not UTF-8"))
            .map_err(|error| origin.source.blame(Some(0), &snapshot.texts, error))?;
        let (mut current, mut next) = (Vec::new(), Vec::new());
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.split_once(char::is_whitespace) {
                Some(("next", pin)) => next.push(pin.trim()),
                Some(("current", pin)) => current.push(pin.trim()),
                _ if line.is_empty() => {}
                _ => current.push(line),
            }
        }
        let read = Self::with_next(current, next)
            .map_err(|error| origin.source.blame(Some(0), &snapshot.texts, error))?;
        Ok(Self { origin: Some(Arc::new(origin)), ..read })
    }

    /// The file that the pins were read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// Iterates over the pins with their slots, current ones first.
    pub fn iter(&self) -> impl Iterator<Item = (Pin, PinSlot)> + '_ {
        self.pins.iter().copied()
    }

    /// Returns the pin that matches the leaf.
    pub(crate) fn matching(
        &self,
        leaf: &ParsedCertificate<'_>,
        der: &[u8],
    ) -> Option<(Pin, PinSlot)> {
        self.iter().find(|(pin, _)| pin.matches(leaf, der))
    }
}

impl PartialEq for Pins {
    fn eq(&self, other: &Self) -> bool {
        self.pins == other.pins
    }
}

impl Eq for Pins {}

impl std::hash::Hash for Pins {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pins.hash(state);
    }
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pins").field(&self.pins).finish()
    }
}

/// Returns the pin (`sha256/…`) of a certificate in PEM or DER. Of a chain, it is the pin of the first
/// certificate, the leaf.
///
/// # Errors
///
/// Fails with `pem_invalid`.
pub fn pin_of(certificate: &[u8]) -> Result<String, Error> {
    let chain = pem::certificates(certificate, "certificate")?;
    let leaf = chain.first().ok_or_else(|| Error::new(Kind::PemInvalid, "no certificate found"))?;
    Ok(leaf.spki_pin())
}

fn pin_fault(message: String) -> Error {
    let is_fingerprint = ["fingerprint", "hex"].iter().any(|form| message.contains(form));
    let error = Error::new(Kind::PinInvalid, message);
    if is_fingerprint { error.caused(&cause::PIN_IS_FINGERPRINT, &[]) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE64: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn every_spelling_is_the_same_pin() {
        let pin = Pin::parse(BASE64).unwrap();
        for text in [format!("sha256/{BASE64}"), format!("sha256//{BASE64}")] {
            assert_eq!(Pin::parse(&text).unwrap(), pin);
        }
        assert_ne!(Pin::parse(&format!("cert-sha256/{BASE64}")).unwrap(), pin);
        assert_eq!(pin.to_string(), format!("sha256/{BASE64}"));
    }

    #[test]
    fn base64_may_begin_with_a_slash() {
        let pin = Pin::Spki([0xff; 32]);
        for text in [pin.to_string(), pin.to_string().replacen('/', "//", 1)] {
            assert!(text.starts_with("sha256//"));
            assert_eq!(Pin::parse(&text).unwrap(), pin);
        }
    }

    #[test]
    fn a_pin_in_both_sets_is_current() {
        let pins = Pins::with_next([BASE64], [BASE64]).unwrap();
        assert_eq!(pins.iter().map(|(_, slot)| slot).collect::<Vec<_>>(), [PinSlot::Current]);
    }

    #[test]
    fn a_file_may_announce_the_next_pin() {
        let file = std::env::temp_dir().join(format!("webhook-mtls-pins-{}", std::process::id()));
        let other = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        std::fs::write(&file, format!("# acme\n{BASE64}\r\nnext {other}  # from May\n\n")).unwrap();
        let pins = Pins::from_file(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pins, Pins::with_next([BASE64], [other]).unwrap());
    }
}
