//! The headers of a webhook. A header that may occur once is refused if it occurs twice: two parsers could
//! read different ones.

use crate::error::{Error, Kind, cause, key};

/// The most bytes of each header. A token of ours has less than 8 KiB.
const MAX_ID: usize = 256;
const MAX_TIMESTAMP: usize = 20;
const MAX_SIGNATURE: usize = 4096;
const MAX_AUTHORIZATION: usize = 16 * 1024;

/// The headers that a signature or a token is in. The values are not yet checked.
#[derive(Default)]
pub(super) struct WebhookHeaders {
    pub(super) id: Option<String>,
    pub(super) timestamp: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) authorization: Option<String>,
}

impl WebhookHeaders {
    /// Picks the headers of a request. Fails with `signature_invalid` or `token_invalid` if one of them
    /// is repeated, too long, or not visible ASCII.
    pub(super) fn read<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Error> {
        let mut found = Self::default();
        for (name, value) in headers {
            let name = name.as_ref();
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            let value = value.as_ref();
            if is("webhook-id") {
                put(&mut found.id, "webhook-id", Kind::SignatureInvalid, value, MAX_ID)?;
            } else if is("webhook-timestamp") {
                let (kind, most) = (Kind::SignatureInvalid, MAX_TIMESTAMP);
                put(&mut found.timestamp, "webhook-timestamp", kind, value, most)?;
            } else if is("webhook-signature") {
                let (kind, most) = (Kind::SignatureInvalid, MAX_SIGNATURE);
                put(&mut found.signature, "webhook-signature", kind, value, most)?;
            } else if is("authorization") {
                let (kind, most) = (Kind::TokenInvalid, MAX_AUTHORIZATION);
                put(&mut found.authorization, "authorization", kind, value, most)?;
            }
        }
        Ok(found)
    }

    /// Returns the token of `authorization: Bearer …`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.authorization.as_deref()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
    }
}

fn put(
    slot: &mut Option<String>,
    name: &'static str,
    kind: Kind,
    value: &[u8],
    most: usize,
) -> Result<(), Error> {
    let fault = |why: &str| {
        Error::new(kind, format!("header {name} {why}")).noting(key::HEADER, name.to_owned())
    };
    if slot.is_some() {
        return Err(fault("occurs twice").caused(&cause::HEADER_REPEATED, &[("header", &name)]));
    }
    let value = value.trim_ascii();
    if value.len() > most {
        return Err(fault(&format!("has more than {most} bytes"))
            .noting(key::LIMIT, most)
            .noting(key::LENGTH, value.len()));
    }
    let text = str::from_utf8(value).ok();
    let text = text.filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    *slot = Some(text.ok_or_else(|| fault("is not visible ASCII"))?.to_owned());
    Ok(())
}
