//! The request of a delivery: checks the headers that callers set, and adds those that only the library
//! sets.

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderName, HeaderValue};

use crate::clock;
use crate::connection::{Request, Secrets};
use crate::endpoint::Generation;
use crate::error::{Error, Form, Kind, Retry, Scope, key, shown};
use crate::limits::Limit;
use crate::material::jwt_bearer::TokenOf;
use crate::material::signing::{Signatures, StandardWebhooks};
use crate::options;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The content type of a payload, unless its delivery sets one.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "application/json";

/// Headers that only the library sets. They frame the message or belong to the connection: with a
/// second one, two parsers could disagree about where a request ends.
const RESERVED: &[HeaderName] = &[
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::UPGRADE,
    header::TRAILER,
    header::EXPECT,
];

/// Headers whose values are words of public vocabularies, which responses contain by chance.
const PUBLIC: &[HeaderName] = &[
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::DATE,
    header::PRAGMA,
    header::USER_AGENT,
];

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A checked payload with its headers, from which each attempt makes its request.
pub(super) struct PreparedRequest {
    body: Bytes,
    content_type: HeaderValue,
    id: Option<HeaderValue>,
    /// The caller's headers.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl PreparedRequest {
    pub(super) fn new(
        body: Bytes,
        id: Option<&str>,
        content_type: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Self, Error> {
        Limit::body().check(body.len())?;
        let own = [("webhook-id", id), ("content-type", content_type)];
        check_amount(
            headers,
            own.iter().filter_map(|(name, value)| value.map(|value| (*name, value))),
        )?;
        let content_type = match content_type {
            Some(content_type) => checked_value("content-type", content_type)?,
            None => HeaderValue::from_static(DEFAULT_CONTENT_TYPE),
        };
        let id = id.map(|id| checked_value("webhook-id", id)).transpose()?;
        let mut request =
            Self { body, content_type, id, headers: Vec::with_capacity(headers.len()) };
        for (name, value) in headers {
            request.add(name, value)?;
        }
        Ok(request)
    }

    /// Checks and adds a header of the caller.
    fn add(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let name = checked_name(name)?;
        let refuse = |why: &str| {
            Err(Error::new(Kind::HeaderInvalid, format!("header {name} {why}"))
                .noting(key::HEADER, name.as_str()))
        };
        if RESERVED.contains(&name) {
            return refuse("is set by the library");
        }
        if name == header::CONTENT_TYPE {
            return refuse("is set by the option content_type");
        }
        if name == WEBHOOK_ID {
            return refuse("is set by the option id");
        }
        let mut value = checked_value(name.as_str(), value)?;
        // The value may be a credential, so `Debug` must not show it.
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(())
    }

    /// Returns the size of the payload in bytes.
    pub(super) fn length(&self) -> usize {
        self.body.len()
    }

    /// Returns what to blot out of the response, if the consumer sends it back.
    ///
    /// * `token`: the token of this attempt, if the endpoint sends one.
    pub(super) fn secrets(&self, token: Option<HeaderValue>) -> Secrets {
        let own = self.headers.iter().filter(|(name, _)| !PUBLIC.contains(name));
        let headers = own.map(|(_, value)| value.clone()).chain(token).collect();
        Secrets { headers, payload: self.body.clone() }
    }

    /// Checks that the request can be signed: the caller set no header of a signature, and a message that
    /// Standard Webhooks signs has an id.
    pub(super) fn check_signable(&self, signing: &Signatures) -> Result<(), Error> {
        if signing.token.is_some() {
            self.check_absent(&header::AUTHORIZATION)?;
        }
        if signing.standard.is_some() {
            self.check_signable_by_secret()?;
        }
        Ok(())
    }

    /// Fails with `header_invalid` if the caller set a header that the library sets when it signs.
    fn check_absent(&self, name: &HeaderName) -> Result<(), Error> {
        if self.headers.iter().any(|(header, _)| header == name) {
            let why = "is set by the library, because the endpoint signs";
            return Err(Error::new(Kind::HeaderInvalid, format!("header {name} {why}"))
                .noting(key::HEADER, name.as_str()));
        }
        Ok(())
    }

    fn check_signable_by_secret(&self) -> Result<(), Error> {
        let Some(id) = &self.id else {
            return Err(options::fault("id", "is missing, but the endpoint signs its deliveries")
                .scoped(Scope::Delivery)
                .retried(Retry::Never, None)
                .advising(
                    "Pass the event's id as `id`, the same for every delivery of the event.",
                ));
        };
        // A full stop separates the signed parts: with one in the id, two messages could have the same
        // signature.
        if id.as_bytes().contains(&b'.') {
            let why = "contains a full stop, which separates the signed parts";
            return Err(Error::new(Kind::HeaderInvalid, format!("header {WEBHOOK_ID} {why}"))
                .noting(key::HEADER, WEBHOOK_ID.as_str()));
        }
        self.check_absent(&WEBHOOK_TIMESTAMP)?;
        self.check_absent(&WEBHOOK_SIGNATURE)
    }

    fn id_text(&self) -> Option<&str> {
        self.id.as_ref().and_then(|id| id.to_str().ok())
    }

    /// Returns the headers with the signatures of this attempt. The token is bound to the identity of this
    /// generation, which may be the previous one.
    fn sign(&self, generation: &Generation) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
        let signing = generation.signing();
        if signing.is_empty() {
            return Ok(Vec::new());
        }
        // Check again: the endpoint may have been changed to sign after the delivery was admitted.
        self.check_signable(signing)?;
        let now = clock::now()?;
        let mut headers = Vec::with_capacity(3);
        if let Some(token) = &signing.token {
            let of = TokenOf {
                certificate: generation.identity().leaf(),
                now,
                id: self.id_text(),
                body: &self.body,
            };
            let value = format!("Bearer {}", token.token(&of)?);
            let value = HeaderValue::from_str(&value)
                .map_err(|_| Error::new(Kind::Internal, "the token is not a valid header value"))?;
            headers.push((header::AUTHORIZATION, value));
        }
        if let Some(signing) = &signing.standard {
            headers.extend(self.sign_by_secret(signing, now)?);
        }
        Ok(headers)
    }

    fn sign_by_secret(
        &self,
        signing: &StandardWebhooks,
        now: i64,
    ) -> Result<[(HeaderName, HeaderValue); 2], Error> {
        let id = self.id_text().unwrap_or_default();
        let signature = HeaderValue::from_str(&signing.sign(id, now, &self.body)?)
            .map_err(|_| Error::new(Kind::Internal, "the signature is not a valid header value"))?;
        Ok([(WEBHOOK_TIMESTAMP, now.into()), (WEBHOOK_SIGNATURE, signature)])
    }

    /// Makes the request of one attempt, signed now if the endpoint signs.
    ///
    /// * `hold`: whether to hold the payload until the consumer answers the head.
    /// * `token`: receives the token of the attempt, if the endpoint sends one.
    pub(super) fn request(
        &self,
        generation: &Generation,
        hold: bool,
        token: &mut Option<HeaderValue>,
    ) -> Result<Request, Error> {
        let url = &generation.url;
        let signed = self.sign(generation)?;
        let agent = self.headers.iter().rev().find(|(name, _)| *name == header::USER_AGENT);
        let agent = agent.map_or(USER_AGENT.as_bytes(), |(_, value)| value.as_bytes());
        // A request without content must not have an expectation (RFC 9110 section 10.1.1).
        let expects_continue = hold && !self.body.is_empty();

        let mut head = RequestHead::of(&Method::POST, url.target.as_str());
        // The host comes first (RFC 9110 section 7.2).
        head.add(&header::HOST, url.host_header.as_bytes());
        // Also for an empty body: some servers refuse a POST without it.
        head.add(&header::CONTENT_LENGTH, self.body.len().to_string().as_bytes());
        head.add(&header::CONTENT_TYPE, self.content_type.as_bytes());
        head.add(&header::USER_AGENT, agent);
        if let Some(id) = &self.id {
            head.add(&WEBHOOK_ID, id.as_bytes());
        }
        for (name, value) in &self.headers {
            if *name != header::USER_AGENT {
                head.add(name, value.as_bytes());
            }
        }
        for (name, value) in signed {
            head.add(&name, value.as_bytes());
            if name == header::AUTHORIZATION {
                *token = Some(value);
            }
        }
        if expects_continue {
            head.add(&header::EXPECT, b"100-continue");
        }
        Ok(Request { head: head.finish(), body: self.body.clone(), held: expects_continue })
    }
}

/// Builds the head of a request.
pub(super) struct RequestHead(Vec<u8>);

impl RequestHead {
    pub(super) fn of(method: &Method, target: &str) -> Self {
        // Large enough for most heads.
        let mut head = Vec::with_capacity(512);
        for part in [method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"] {
            head.extend_from_slice(part);
        }
        Self(head)
    }

    /// `name` cannot contain a line break because of its type. `value` comes from a `HeaderValue`, the
    /// URL or a number, none of which can.
    pub(super) fn add(&mut self, name: &HeaderName, value: &[u8]) {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

pub(super) const USER_AGENT: &str = concat!("webhook-mtls/", env!("CARGO_PKG_VERSION"));

fn check_amount<'a>(
    headers: &'a [(String, String)],
    own: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(own);
    let bytes: usize = all.map(|(name, value)| name.len() + value.len() + 4).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Error::new(
            Kind::HeaderInvalid,
            format!(
                "{} headers with {bytes} bytes; the limits are {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes",
                headers.len()
            ),
        ));
    }
    Ok(())
}

fn checked_name(name: &str) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        let name = shown(name, Form::Header);
        Error::new(Kind::HeaderInvalid, format!("the header name {name} is not a token"))
            .noting(key::HEADER, name)
    })
}

/// Checks that a value is visible ASCII, with spaces and tabs only inside (RFC 9110 section 5.5). The
/// error never shows the value.
fn checked_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let valid = value.is_ascii() && !value.is_empty() && value == value.trim_matches([' ', '\t']);
    HeaderValue::from_str(value).ok().filter(|_| valid).ok_or_else(|| {
        let name = shown(name, Form::Header);
        let name = name.trim_matches('"');
        let why = if value.is_empty() {
            "is empty"
        } else if value.contains(['\r', '\n']) {
            "contains a line break"
        } else if value != value.trim_matches([' ', '\t']) {
            "has white space around it"
        } else {
            "contains a character other than visible ASCII"
        };
        let message = format!("the value of header {name} {why}");
        Error::new(Kind::HeaderInvalid, message).noting(key::HEADER, name)
    })
}
