//! Reads an answer: the head decides, the body is read to a cap and never inflated.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Body as _;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::status::StatusRetry;
use crate::error::{Error, ErrorResponse, Kind, Retry, Sent, Stage};

/// How much of a body is read.
const MAX_BODY: usize = 64 * 1024;

/// The longest wait that a consumer may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A final answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    /// Slices of what was read from the connection, whose buffer they keep.
    headers: HeaderMap,
    /// Instead of them, in what is kept for long: a line `name:value` of each.
    noted: Option<Box<str>>,
    body: Vec<u8>,
    complete: bool,
    /// Made when somebody asks: most who deliver look at the status alone.
    response: OnceLock<HttpResponse>,
}

/// The answer as a receipt shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The first bytes of the body, at most 64 KiB.
    pub excerpt: Vec<u8>,
    /// Whether the body was longer than the excerpt, or broke off.
    pub truncated: bool,
}

impl HttpResponse {
    pub(crate) fn to_json(&self) -> Value {
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "headers": headers,
            "excerpt_base64": BASE64_STANDARD.encode(&self.excerpt),
            "truncated": self.truncated,
        })
    }
}

impl Answer {
    /// An answer of which only the head was read.
    pub(super) fn new(head: Parts) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            noted: None,
            body: Vec::new(),
            complete: false,
            response: OnceLock::new(),
        }
    }

    /// Reads the body, until its end or the cap. Nothing of it can undo the head.
    pub(super) fn poll_body(
        &mut self,
        incoming: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let frame = match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return Poll::Ready(()),
                None => {
                    self.complete = true;
                    return Poll::Ready(());
                }
            };
            if let Some(data) = frame.data_ref() {
                let room = MAX_BODY - self.body.len();
                self.body.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    return Poll::Ready(());
                }
            }
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Lets go of the connection's buffer, for whoever keeps this for long; returns how many bytes are
    /// kept.
    pub(crate) fn compact(&mut self) -> usize {
        let noted = self.noted.get_or_insert_with(|| noted(&std::mem::take(&mut self.headers)));
        noted.len() + self.body.len()
    }

    /// Whether the body was read to its end, so that another request may follow.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Blots out what the caller sent in confidence, wherever the consumer sent it back: answers are
    /// logged.
    pub(crate) fn redact(&mut self, secrets: &[String]) {
        for secret in secrets {
            let secret = secret.as_bytes();
            self.body =
                redacted(&self.body, secret).unwrap_or_else(|| std::mem::take(&mut self.body));
            for value in self.headers.values_mut() {
                let blotted = redacted(value.as_bytes(), secret);
                if let Some(blotted) = blotted.and_then(|text| HeaderValue::from_bytes(&text).ok())
                {
                    *value = blotted;
                }
            }
        }
    }

    /// The answer as a receipt shows it.
    pub(crate) fn response(&self) -> &HttpResponse {
        self.response.get_or_init(|| HttpResponse {
            headers: self.noted.as_deref().map_or_else(|| shown(&self.headers), read_back),
            excerpt: self.body.clone(),
            truncated: !self.complete,
        })
    }

    /// What an answer other than 2xx means: whether trying again helps as `said` or, where it says
    /// nothing, as `others`.
    pub(crate) fn into_error(self, said: &StatusRetry, others: &StatusRetry) -> Error {
        let status = self.status;
        let retry_after = retry_after(&self.headers);
        let error = if let Some(page) = self.certificate_page() {
            Error::new(
                Kind::ClientCertificateRejected,
                format!("the consumer refused our certificate with an HTTP {status} page: {page}"),
            )
            .noting("via", "http")
        } else {
            let (retry, scope) = said.judge(others, status);
            let error = Error::new(Kind::HttpStatus, format!("the consumer answered {status}"));
            let error =
                error.retried(retry, if retry == Retry::Later { retry_after } else { None });
            match status {
                300..=399 => error.scoped(scope).advising(
                    "Redirects are never followed: change the endpoint's URL to the new address.",
                ),
                _ => error.scoped(scope),
            }
        };
        error
            .at(Stage::Response)
            .having_sent(Sent::All)
            .noting("status", status)
            .answered(ErrorResponse { status, headers: shown(&self.headers), excerpt: self.body })
    }

    /// The pages by which servers say that they do not take our certificate, after the handshake.
    fn certificate_page(&self) -> Option<&'static str> {
        const NGINX: &[(&str, &str)] = &[
            ("No required SSL certificate was sent", "no certificate arrived"),
            ("The SSL certificate error", "the certificate was not accepted"),
        ];
        match self.status {
            495 => Some("the certificate was not accepted"),
            496 => Some("no certificate arrived"),
            400 => {
                let body = String::from_utf8_lossy(&self.body);
                NGINX.iter().find(|(page, _)| body.contains(page)).map(|(_, meaning)| *meaning)
            }
            _ => None,
        }
    }
}

/// The text without the secret, or `None` if it is not in there.
fn redacted(text: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut kept = Vec::new();
    while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
        kept.extend_from_slice(&rest[..at]);
        kept.extend_from_slice(b"[redacted]");
        rest = &rest[at + secret.len()..];
    }
    let found = rest.len() < text.len();
    kept.extend_from_slice(rest);
    found.then_some(kept)
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

/// Neither a name has a colon nor a value a line feed in it.
fn noted(headers: &HeaderMap) -> Box<str> {
    let length = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 2;
    let mut text = String::with_capacity(headers.iter().map(length).sum());
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push(':');
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    text.into()
}

fn read_back(noted: &str) -> Vec<(String, String)> {
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.into(), value.into()));
    noted.split_terminator('\n').filter_map(header).collect()
}

/// Seconds or a date (RFC 9110 section 10.2.3), at most a day; anything else was not said.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(std::time::SystemTime::now()).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn noted_headers_are_those_that_were_read() {
        let mut headers = HeaderMap::new();
        let pairs: [(&str, &[u8]); 4] =
            [("date", b"now"), ("x-a", b""), ("x-a", b"b: c, d"), ("x-b", b"\xff:")];
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(read_back(&noted(&headers)), shown(&headers));
    }

    #[test]
    fn retry_after_is_clamped_and_garbage_ignored() {
        assert_eq!(waits("7"), Some(Duration::from_secs(7)));
        assert_eq!(waits("99999999999999999999999"), Some(LONGEST_WAIT));
        assert_eq!(waits("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LONGEST_WAIT));
        assert_eq!(waits("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        for garbage in ["", "-1", "1.5", "soon", "7s"] {
            assert_eq!(waits(garbage), None, "{garbage}");
        }
    }
}
