//! The request of a delivery: what callers may set, and what only we may.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};

use crate::clock;
use crate::connection::Request;
use crate::endpoint::Generation;
use crate::error::{Error, Form, Kind, Retry, Scope, shown};
use crate::limits::Limit;
use crate::material::signing::StandardWebhooks;
use crate::options;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// They frame the message or belong to the connection: two of them, and two parsers could disagree
/// about where a request ends.
const OWNED: &[HeaderName] = &[
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::UPGRADE,
    header::TRAILER,
    header::EXPECT,
];

/// Headers of a caller's that prove who he is.
const CREDENTIALS: &[HeaderName] =
    &[header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// A request that was checked, and can be made again for a second attempt.
pub(super) struct Payload {
    body: Bytes,
    content_type: HeaderValue,
    id: Option<HeaderValue>,
    /// The caller's own.
    given: Vec<(HeaderName, HeaderValue)>,
    credentials: Vec<String>,
}

impl Payload {
    pub(super) fn new(
        body: Bytes,
        id: Option<&str>,
        content_type: Option<&str>,
        given: &[(String, String)],
    ) -> Result<Self, Error> {
        Limit::body().check(body.len())?;
        let own = [("webhook-id", id), ("content-type", content_type)];
        check_amount(
            given,
            own.iter().filter_map(|(name, value)| value.map(|value| (*name, value))),
        )?;
        let content_type = match content_type {
            Some(content_type) => checked_value("content-type", content_type)?,
            None => HeaderValue::from_static("application/json"),
        };
        let id = id.map(|id| checked_value("webhook-id", id)).transpose()?;
        let mut payload = Self {
            body,
            content_type,
            id,
            given: Vec::with_capacity(given.len()),
            credentials: Vec::new(),
        };
        for (name, value) in given {
            payload.add(name, value)?;
        }
        Ok(payload)
    }

    /// Adds a header of the caller's.
    fn add(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let name = checked_name(name)?;
        let refuse = |why: &str| {
            Err(Error::new(Kind::HeaderInvalid, format!("header {name} {why}"))
                .noting("header", name.as_str()))
        };
        if OWNED.contains(&name) {
            return refuse("is set by the library");
        }
        if name == header::CONTENT_TYPE {
            return refuse("is set by the option content_type");
        }
        if name == WEBHOOK_ID {
            return refuse("is set by the option id");
        }
        let mut value = checked_value(name.as_str(), value)?;
        // What a caller adds may be a credential: whoever prints the request shows none.
        value.set_sensitive(true);
        if CREDENTIALS.contains(&name) {
            self.credentials.extend(secrets_of(value.to_str().unwrap_or_default()));
        }
        self.given.push((name, value));
        Ok(())
    }

    /// What must not be shown where a consumer sends it back.
    pub(super) fn credentials(&self) -> &[String] {
        &self.credentials
    }

    /// What a signature needs: an id to sign, and nobody else's signature in its place.
    pub(super) fn check_signable(&self) -> Result<(), Error> {
        let Some(id) = &self.id else {
            return Err(options::fault("id", "must be said, because the endpoint signs")
                .scoped(Scope::Delivery)
                .retried(Retry::Never, None)
                .advising("Give the event's id, the same one for every attempt."));
        };
        let refuse = |name: &HeaderName, why: &str| {
            Err(Error::new(Kind::HeaderInvalid, format!("header {name} {why}"))
                .noting("header", name.as_str()))
        };
        // It separates what is signed: with one in the id, two messages could be signed alike.
        if id.as_bytes().contains(&b'.') {
            return refuse(&WEBHOOK_ID, "holds a full stop, which no signed id may");
        }
        for name in [WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
            if self.given.iter().any(|(given, _)| *given == name) {
                return refuse(&name, "is set by the library, because the endpoint signs");
            }
        }
        Ok(())
    }

    /// The headers that sign this attempt.
    fn sign(&self, signing: &StandardWebhooks) -> Result<[(HeaderName, HeaderValue); 2], Error> {
        // Again: the endpoint may sign only since after the delivery was admitted.
        self.check_signable()?;
        let now = clock::now()?;
        let id = self.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
        let signature = HeaderValue::from_str(&signing.sign(id, now, &self.body)?)
            .map_err(|_| Error::new(Kind::Internal, "a signature is no header value"))?;
        Ok([(WEBHOOK_TIMESTAMP, now.into()), (WEBHOOK_SIGNATURE, signature)])
    }

    /// The request as it is written to an endpoint of this generation, now.
    ///
    /// * `waits`: whether the payload waits for the consumer's word.
    pub(super) fn request(&self, generation: &Generation, waits: bool) -> Result<Request, Error> {
        let url = &generation.url;
        let signed = generation.signing().map(|signing| self.sign(signing)).transpose()?;
        let agent = self.given.iter().rev().find(|(name, _)| *name == header::USER_AGENT);
        let agent = agent.map_or(USER_AGENT.as_bytes(), |(_, value)| value.as_bytes());
        // Without content there is nothing to expect (RFC 9110 section 10.1.1).
        let held = waits && !self.body.is_empty();

        let mut written = Head::new(url.target.as_str());
        // The host comes first (RFC 9110 section 7.2).
        written.add(&header::HOST, url.host_header.as_bytes());
        // Even for an empty body: a POST without it is refused by some servers.
        written.add(&header::CONTENT_LENGTH, self.body.len().to_string().as_bytes());
        written.add(&header::CONTENT_TYPE, self.content_type.as_bytes());
        written.add(&header::USER_AGENT, agent);
        if let Some(id) = &self.id {
            written.add(&WEBHOOK_ID, id.as_bytes());
        }
        for (name, value) in &self.given {
            if *name != header::USER_AGENT {
                written.add(name, value.as_bytes());
            }
        }
        for (name, value) in signed.iter().flatten() {
            written.add(name, value.as_bytes());
        }
        if held {
            written.add(&header::EXPECT, b"100-continue");
        }
        Ok(Request { head: written.end(), body: self.body.clone(), held })
    }
}

/// The head of a request, under construction.
struct Head(Vec<u8>);

impl Head {
    fn new(target: &str) -> Self {
        // Enough for most.
        let mut head = Vec::with_capacity(512);
        for part in [b"POST ", target.as_bytes(), b" HTTP/1.1\r\n"] {
            head.extend_from_slice(part);
        }
        Self(head)
    }

    /// Neither name nor value may hold a line break: their types see to it.
    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }
}

const USER_AGENT: &str = concat!("webhook-mtls/", env!("CARGO_PKG_VERSION"));

/// A credential, and its parts: a token without its scheme, a cookie without its name. Shorter parts
/// are words, not secrets.
fn secrets_of(value: &str) -> impl Iterator<Item = String> + '_ {
    let parts = value.split([' ', ';', ',', '=']).filter(|part| part.len() >= 12);
    std::iter::once(value).filter(|whole| whole.len() >= 8).chain(parts).map(str::to_owned)
}

fn check_amount<'a>(
    given: &'a [(String, String)],
    own: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Error> {
    let all = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(own);
    let bytes: usize = all.map(|(name, value)| name.len() + value.len() + 4).sum();
    if given.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(Error::new(
            Kind::HeaderInvalid,
            format!(
                "{} headers of {bytes} bytes; {MAX_HEADERS} of {MAX_HEADER_BYTES} are the limit",
                given.len()
            ),
        ));
    }
    Ok(())
}

fn checked_name(name: &str) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        let name = shown(name, Form::Header);
        Error::new(Kind::HeaderInvalid, format!("the name of a header, {name}, is not a token"))
            .noting("header", name)
    })
}

/// Visible ASCII, with spaces and tabs inside (RFC 9110 section 5.5). The value is never repeated.
fn checked_value(name: &str, value: &str) -> Result<HeaderValue, Error> {
    let sound = value.is_ascii() && !value.is_empty() && value == value.trim_matches([' ', '\t']);
    HeaderValue::from_str(value).ok().filter(|_| sound).ok_or_else(|| {
        let name = shown(name, Form::Header);
        let name = name.trim_matches('"');
        Error::new(
            Kind::HeaderInvalid,
            format!("the value of header {name} is empty, has white space around it, or holds characters other than visible ASCII"),
        )
        .noting("header", name)
    })
}
