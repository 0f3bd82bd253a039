//! Standard Webhooks at the receiver: the secrets of a sender, and the check of a signature.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::headers::WebhookHeaders;
use crate::error::{Error, Kind, cause, key};
use crate::limits::Limit;
use crate::material::signing::{MAX_SECRETS, decoded};
use crate::options;
use crate::process::Section;

/// The most signatures of one message. Each is checked with each secret of its scheme.
const MAX_SIGNATURES: usize = 16;

/// The secrets and public keys of one sender. Never empty.
#[derive(Clone)]
pub(super) struct Secrets(Vec<Secret>);

#[derive(Clone)]
enum Secret {
    Hmac(Box<hmac::Key>),
    Ed25519([u8; 32]),
}

/// The signature that was valid.
pub(super) struct Signed {
    pub(super) timestamp: i64,
    pub(super) scheme: &'static str,
    /// The number of the secret; the first is 1.
    pub(super) secret: usize,
}

impl Secrets {
    /// Reads secrets: `whsec_` and the base64 of 24 to 64 bytes, or `whpk_` and the base64 of an Ed25519
    /// public key. Fails with `option_invalid`; the error never shows a secret.
    pub(super) fn read<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let mut read = Vec::new();
        for (at, secret) in secrets.into_iter().take(MAX_SECRETS + 1).enumerate() {
            read.push(Secret::read(secret.as_ref()).map_err(|why| bad_secret(at + 1, why))?);
        }
        match read.len() {
            0 => Err(options::fault("secrets", "needs at least one secret for each tenant")),
            1..=MAX_SECRETS => Ok(Self(read)),
            _ => {
                let why = format!("has more than {MAX_SECRETS} secrets for a tenant");
                Err(options::fault("secrets", why))
            }
        }
    }

    /// Checks the signature of a message. Fails with `signature_invalid`.
    ///
    /// * `at`: the time of the check in Unix seconds.
    /// * `tolerance`: the most seconds between the timestamp and `at`.
    pub(super) fn check(
        &self,
        headers: &WebhookHeaders,
        signatures: &str,
        body: &[u8],
        at: i64,
        tolerance: i64,
    ) -> Result<Signed, Error> {
        let id = headers.id.as_deref().ok_or_else(|| missing("webhook-id"))?;
        // A full stop separates the signed parts: with one in the id, two messages could have the same
        // signature.
        if id.is_empty() || id.contains('.') {
            return Err(fault("header webhook-id is empty or contains a full stop"));
        }
        let stamp = headers.timestamp.as_deref().ok_or_else(|| missing("webhook-timestamp"))?;
        let timestamp = whole_number(stamp)
            .ok_or_else(|| fault("header webhook-timestamp is no whole number of seconds"))?;
        let distance = at.abs_diff(timestamp);
        if distance > tolerance.unsigned_abs() {
            let side = if timestamp < at { "old" } else { "ahead" };
            return Err(fault(&format!("the timestamp is {distance} seconds {side}"))
                .caused(&cause::TIMESTAMP_OUT_OF_TOLERANCE, &[("tolerance", &tolerance)]));
        }
        let signed = format!("{id}.{stamp}.");
        let (scheme, secret) = self.matching(signatures, signed.as_bytes(), body)?;
        Ok(Signed { timestamp, scheme, secret })
    }

    /// Returns the scheme and the number of the first secret that made one of the signatures.
    fn matching(
        &self,
        signatures: &str,
        prefix: &[u8],
        body: &[u8],
    ) -> Result<(&'static str, usize), Error> {
        let mut symmetric = Vec::new();
        let mut asymmetric = Vec::new();
        for (at, signature) in signatures.split(' ').filter(|it| !it.is_empty()).enumerate() {
            if at == MAX_SIGNATURES {
                let why =
                    format!("header webhook-signature has more than {MAX_SIGNATURES} signatures");
                return Err(fault(&why).noting(key::LIMIT, MAX_SIGNATURES));
            }
            // A sender may use schemes of a later version beside these two.
            match signature.split_once(',') {
                Some(("v1", text)) => symmetric.extend(BASE64_STANDARD.decode(text)),
                Some(("v1a", text)) => asymmetric.extend(BASE64_STANDARD.decode(text)),
                _ => {}
            }
        }
        let mut whole: Option<Vec<u8>> = None;
        for (at, secret) in self.0.iter().enumerate() {
            match secret {
                Secret::Hmac(key) if !symmetric.is_empty() => {
                    let mut context = hmac::Context::with_key(key);
                    context.update(prefix);
                    context.update(body);
                    let tag = context.sign();
                    if symmetric.iter().any(|it| equal(it, tag.as_ref())) {
                        return Ok(("v1", at + 1));
                    }
                }
                Secret::Ed25519(public) if !asymmetric.is_empty() => {
                    let message = match &mut whole {
                        Some(message) => message,
                        none => none.insert(joined(prefix, body)?),
                    };
                    let _section = Section::enter();
                    let key = UnparsedPublicKey::new(&ED25519, public);
                    if asymmetric.iter().any(|it| key.verify(message, it).is_ok()) {
                        return Ok(("v1a", at + 1));
                    }
                }
                _ => {}
            }
        }
        Err(fault("no signature belongs to the message and a known secret")
            .caused(&cause::SIGNATURE_MISMATCH, &[]))
    }
}

impl Secret {
    fn read(secret: &str) -> Result<Self, &'static str> {
        if let Some(text) = secret.strip_prefix("whsec_") {
            let bytes = decoded(text)?;
            if !(24..=64).contains(&bytes.len()) {
                return Err("does not have 24 to 64 bytes after whsec_");
            }
            return Ok(Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))));
        }
        if let Some(text) = secret.strip_prefix("whpk_") {
            let bytes = <[u8; 32]>::try_from(decoded(text)?);
            return Ok(Self::Ed25519(
                bytes.map_err(|_| "does not have the 32 bytes of an Ed25519 key after whpk_")?,
            ));
        }
        if secret.starts_with("whsk_") {
            return Err("is a private key; a receiver needs only the public one, whpk_");
        }
        Err("begins neither with whsec_ nor with whpk_")
    }
}

/// The error for a message without a signature.
pub(super) fn missing(header: &'static str) -> Error {
    fault(&format!("the webhook has no header {header}"))
        .noting(key::HEADER, header.to_owned())
        .caused(&cause::SIGNATURE_MISSING, &[("header", &header)])
}

fn fault(why: &str) -> Error {
    Error::new(Kind::SignatureInvalid, why)
}

fn bad_secret(position: usize, why: &str) -> Error {
    options::fault("secrets", format_args!("has secret {position}, which {why}"))
        .noting(key::POSITION, position)
        .advising("Give each secret as whsec_ (HMAC) or whpk_ (Ed25519) followed by its base64.")
}

/// Compares in a time that does not depend on the content.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Ed25519 reads its message twice, so the message must be contiguous.
fn joined(prefix: &[u8], body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut message = Limit::body().reserved(prefix.len() + body.len())?;
    message.extend_from_slice(prefix);
    message.extend_from_slice(body);
    Ok(message)
}

/// Reads digits alone: no sign, no white space.
fn whole_number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
