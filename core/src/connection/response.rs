//! Reads a response: the head decides the outcome; the body is read up to a limit and never inflated.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::redaction::{BLOT, Secrets};
use super::tls_stream::{StreamEnd, TlsStream};
use crate::error::cause::{self, Cause};
use crate::error::{Error, HttpResponse, Kind, Retry, Sent, Stage, key, presented};
use crate::http::BodyFraming;
use crate::http::{HeadText, ResponseHead};
use crate::material::identity::Identity;
use crate::material::presented_identity::PresentedIdentity;
use crate::process::Once;
use crate::retry::StatusRetry;

/// The most bytes of a body that are read.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Where the consumer asks us to keep a secret of its own.
const SECRET_HEADER: &str = "set-cookie";

/// The longest `Retry-After` that is honored.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A final response.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    head: HeadText,
    body: Vec<u8>,
    /// Whether the body was read to its end.
    complete: bool,
    secrets: Secrets,
    /// The most bytes of the body that are shown.
    excerpt: usize,
    /// Built on first use: most callers need only the status.
    shown: Once<HttpResponse>,
}

impl Response {
    /// A response of which only the head was read, with the framing of its body.
    pub(super) fn new(head: ResponseHead) -> (Self, BodyFraming) {
        let ResponseHead { status, framing, text } = head;
        let (body, secrets, shown) = (Vec::new(), Secrets::default(), Once::new());
        let (complete, excerpt) = (false, MAX_BODY);
        (Self { status, head: text, body, complete, secrets, excerpt, shown }, framing)
    }

    /// Reads the body up to its end or the limit. A broken body does not change the outcome, which the
    /// head has decided.
    pub(super) fn poll_body(
        &mut self,
        framing: &mut BodyFraming,
        stream: &mut TlsStream,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        while !framing.is_complete() {
            let Some(bytes) = ready!(stream.poll_read(context)) else {
                // Without a close_notify, an attacker may have truncated the body.
                self.complete = stream.end() == Some(StreamEnd::Closed) && framing.is_until_close();
                return Poll::Ready(());
            };
            let Some(taken) = self.take(framing, bytes) else { return Poll::Ready(()) };
            stream.consume(taken);
        }
        self.complete = true;
        Poll::Ready(())
    }

    /// Takes bytes of the body. Returns how many it took, or `None` if the body exceeds the limit or is
    /// malformed. It is then read no further.
    fn take(&mut self, framing: &mut BodyFraming, bytes: &[u8]) -> Option<usize> {
        let (taken, data) = framing.take(bytes)?;
        let (data, capacity) = (&bytes[data], MAX_BODY - self.body.len());
        self.body.extend_from_slice(&data[..data.len().min(capacity)]);
        (data.len() <= capacity).then_some(taken)
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// How many bytes of the response are kept.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Whether the body was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Sets which parts of the response receipts and errors show.
    ///
    /// * `secrets`: what the caller sent; blotted out if the consumer sent it back.
    /// * `excerpt`: the most bytes of the body.
    pub(crate) fn conceal(&mut self, secrets: Secrets, excerpt: usize) {
        self.secrets = secrets;
        self.excerpt = excerpt;
    }

    /// The response in the form of a receipt.
    pub(crate) fn response(&self) -> &HttpResponse {
        self.shown.get_or_init(|| {
            let head = self.redacted_head();
            let excerpt = self.secrets.redact(&self.body).unwrap_or_else(|| self.body.clone());
            self.with_excerpt(head.as_ref().unwrap_or(&self.head), excerpt)
        })
    }

    /// The head without what the caller sent, or `None` if it contains nothing of it.
    fn redacted_head(&self) -> Option<HeadText> {
        let headers = self.head.headers();
        let redacted: Vec<Option<Vec<u8>>> =
            headers.iter().map(|(_, value)| self.secrets.redact(value)).collect();
        if redacted.iter().all(Option::is_none) {
            return None;
        }
        let headers = headers.into_iter().zip(redacted);
        Some(HeadText::of(
            headers.map(|((name, value), redacted)| (name, redacted.unwrap_or(value.to_vec()))),
        ))
    }

    /// Blots out what the caller sent.
    fn redact(&mut self) {
        if let Some(head) = self.redacted_head() {
            self.head = head;
        }
        if let Some(body) = self.secrets.redact(&self.body) {
            self.body = body;
        }
    }

    /// * `body`: without what the caller sent, so that no secret is cut in two before it is found.
    fn with_excerpt(&self, head: &HeadText, mut body: Vec<u8>) -> HttpResponse {
        let truncated = !self.complete || body.len() > self.excerpt;
        body.truncate(self.excerpt);
        HttpResponse { status: self.status, headers: shown(head), excerpt: body, truncated }
    }

    /// The error for a response other than 2xx.
    ///
    /// * `endpoint_rules`: the endpoint's rules for statuses.
    /// * `dispatcher_rules`: the dispatcher's rules, used for statuses that `endpoint_rules` does not contain.
    /// * `asked`: the request that the response answers.
    /// * `passed`: the consumer has accepted our certificate, so this cannot be a page that refuses it.
    pub(crate) fn into_error(
        mut self,
        endpoint_rules: &StatusRetry,
        dispatcher_rules: &StatusRetry,
        asked: Asked<'_>,
        passed: bool,
    ) -> Error {
        let status = self.status;
        let ours = PresentedIdentity::of(asked.identity);
        let subject = asked.identity.leaf().subject_text();
        // Before a number in it may be blotted out.
        let after = self.head.value("retry-after").and_then(retry_after);
        self.redact();
        let error = if let Some((page, cause)) = self.certificate_page().filter(|_| !passed) {
            Error::new(
                Kind::ClientCertificateRejected,
                format!(
                    "the consumer refused our certificate ({subject}) with an HTTP {status} page: {page}"
                ),
            )
            .noting(key::VIA, "http")
            .noting(key::IDENTITY, subject)
            .caused(cause, &ours.values())
        } else {
            let (retry, scope) = endpoint_rules.judge(dispatcher_rules, status);
            let after = after.filter(|_| retry == Retry::Later);
            let error =
                Error::new(Kind::HttpStatus, self.summary()).retried(retry, after).scoped(scope);
            self.explain(error, asked.length, after, &ours)
        };
        let excerpt = std::mem::take(&mut self.body);
        error
            .at(Stage::Response)
            .having_sent(Sent::All)
            .noting(key::STATUS, status)
            .answered(self.with_excerpt(&self.head, excerpt))
    }

    /// Adds the cause of a status.
    fn explain(
        &self,
        error: Error,
        length: usize,
        after: Option<Duration>,
        ours: &PresentedIdentity,
    ) -> Error {
        let location = self.location();
        let wait = after.map(|after| format!(", and asks for {} s", after.as_secs()));
        let (wait, shown) = (wait.unwrap_or_default(), location.clone().unwrap_or_default());
        let mut values = ours.values();
        values.push(("length", &length));
        values.push(("wait", &wait));
        values.push(("location", &shown));
        let error = error.caused(status_cause(self.status, location.is_some()), &values);
        match location {
            Some(location) => error.noting(key::LOCATION, location),
            None => error,
        }
    }

    /// Returns the status, the new address or the first line of the text.
    fn summary(&self) -> String {
        let status = self.status;
        match (self.location(), first_line(&self.body)) {
            (Some(location), _) => {
                format!("the consumer answered {status} with Location {location}")
            }
            (None, Some(line)) => format!("the consumer answered {status}: {line:?}"),
            (None, None) => format!("the consumer answered {status}"),
        }
    }

    /// Returns the address of a redirect without its query, which may contain a secret.
    fn location(&self) -> Option<String> {
        let redirects = (300..400).contains(&self.status);
        let text = String::from_utf8_lossy(self.head.value("location").filter(|_| redirects)?);
        let bare = text.split(['?', '#']).next().unwrap_or_default();
        // User information is a credential.
        let has_user = bare.split_once("//").is_some_and(|(_, rest)| rest.contains('@'));
        (!bare.is_empty() && !has_user).then(|| presented(bare))
    }

    /// Recognizes the pages by which servers refuse our certificate after the handshake.
    fn certificate_page(&self) -> Option<(&'static str, &'static Cause)> {
        const REFUSED: (&str, &Cause) =
            ("the certificate was not accepted", &cause::PAGE_NOT_ACCEPTED);
        const MISSING: (&str, &Cause) = ("no certificate arrived", &cause::PAGE_NOT_SENT);
        const NGINX: [(&str, (&str, &Cause)); 2] = [
            ("No required SSL certificate was sent", MISSING),
            ("The SSL certificate error", REFUSED),
        ];
        match self.status {
            495 => Some(REFUSED),
            496 => Some(MISSING),
            400 => {
                let body = String::from_utf8_lossy(&self.body);
                NGINX.iter().find(|(page, _)| body.contains(page)).map(|(_, meaning)| *meaning)
            }
            _ => None,
        }
    }
}

/// What a response answers, for its error.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The identity that was presented.
    pub(crate) identity: &'a Identity,
    /// The size of the payload in bytes.
    pub(crate) length: usize,
}

fn status_cause(status: u16, has_location: bool) -> &'static Cause {
    match status {
        300..=399 if has_location => &cause::REDIRECT,
        300..=399 => &cause::REDIRECT_WITHOUT_LOCATION,
        400 => &cause::STATUS_400,
        401 => &cause::STATUS_401,
        403 => &cause::STATUS_403,
        404 => &cause::STATUS_404,
        405 => &cause::STATUS_405,
        408 => &cause::STATUS_408,
        409 => &cause::STATUS_409,
        410 => &cause::STATUS_410,
        413 => &cause::STATUS_413,
        414 => &cause::STATUS_414,
        415 => &cause::STATUS_415,
        421 => &cause::STATUS_421,
        422 => &cause::STATUS_422,
        425 => &cause::STATUS_425,
        429 => &cause::STATUS_429,
        431 => &cause::STATUS_431,
        500 => &cause::STATUS_500,
        501 => &cause::STATUS_501,
        502 => &cause::STATUS_502,
        503 => &cause::STATUS_503,
        504 => &cause::STATUS_504,
        _ if status < 500 => &cause::STATUS_4XX,
        _ => &cause::STATUS_5XX,
    }
}

/// The longest line of a text that a message quotes, in bytes.
const LONGEST_LINE: usize = 120;

/// Returns the first line of a text that explains a refusal, or `None` for HTML, JSON of many lines and
/// other bytes.
fn first_line(body: &[u8]) -> Option<String> {
    let line =
        body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|it| !it.is_empty())?;
    let text = std::str::from_utf8(line).ok()?;
    let plain =
        line.len() <= LONGEST_LINE && !text.starts_with('<') && !text.contains(char::is_control);
    plain.then(|| text.to_owned())
}

/// Reads a response that arrives in pieces of `piece` bytes before a `close_notify`. Returns its status,
/// the first bytes of its body, and whether the body is complete. Returns `None` if it is malformed.
#[cfg(any(test, feature = "testing"))]
pub fn read_answer(text: &[u8], piece: usize) -> Option<(u16, Vec<u8>, bool)> {
    let mut heads = crate::http::HeadReader::default();
    let mut begun: Option<(Response, BodyFraming)> = None;
    let mut cut = false;
    for mut piece in text.chunks(piece) {
        while !piece.is_empty() && !cut {
            let taken = match &mut begun {
                None => {
                    let (taken, head) = heads.take(piece).ok()?;
                    begun = head.map(Response::new);
                    taken
                }
                Some((_, framing)) if framing.is_complete() => break,
                Some((answer, framing)) => answer.take(framing, piece).unwrap_or_else(|| {
                    cut = true;
                    0
                }),
            };
            piece = &piece[taken..];
        }
    }
    let (Response { status, body, .. }, framing) = begun?;
    let complete = framing.is_complete() || framing.is_until_close();
    Some((status, body, complete && !cut))
}

fn shown(head: &HeadText) -> Vec<(String, String)> {
    let shown = |(name, value): (&str, &[u8])| {
        let name = name.to_ascii_lowercase();
        let value = if name == SECRET_HEADER { BLOT } else { value };
        (name, String::from_utf8_lossy(value).into_owned())
    };
    head.headers().into_iter().map(shown).collect()
}

/// Parses seconds or a date (RFC 9110 section 10.2.3), limited to one day. The time to a date is rounded
/// up to seconds, so that no part of it is lost in milliseconds. Returns `None` for any other value.
fn retry_after(value: &[u8]) -> Option<Duration> {
    let value = std::str::from_utf8(value).ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        let left = date.duration_since(crate::clock::read()).unwrap_or_default();
        Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(value: &str) -> Option<Duration> {
        retry_after(value.as_bytes())
    }

    fn answer(text: &str) -> Response {
        let head = crate::http::HeadReader::default().take(text.as_bytes()).unwrap().1.unwrap();
        Response::new(head).0
    }

    #[test]
    fn headers_keep_their_order_and_get_lower_case_names() {
        let text = "HTTP/1.1 200 OK\r\nX-A:  b: c, d \r\nx-b:\r\nDate: now\r\nx-a: e\r\n\r\n";
        let shown = [("x-a", "b: c, d"), ("x-b", ""), ("date", "now"), ("x-a", "e")];
        let shown = shown.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(answer(text).response().headers, shown);
    }

    #[test]
    fn a_secret_that_is_sent_back_is_redacted() {
        let mut answer = answer("HTTP/1.1 400 no\r\nx-token: a token\r\nvia: b\r\n\r\n");
        answer.body = b"your token: token".to_vec();
        let token = http::header::HeaderValue::from_static("token");
        answer.conceal(Secrets { headers: vec![token], ..Secrets::default() }, MAX_BODY);
        let response = answer.response();
        let headers = [("x-token", "a [redacted]"), ("via", "b")];
        assert_eq!(
            response.headers,
            headers.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(response.excerpt, b"your [redacted]: [redacted]");
    }

    #[test]
    fn a_secret_at_the_end_of_the_excerpt_is_redacted() {
        let mut answer = answer("HTTP/1.1 200 OK\r\n\r\n");
        answer.body = b"your token: secret-of-16-byte".to_vec();
        answer.complete = true;
        let secret = http::header::HeaderValue::from_static("secret-of-16-byte");
        answer.conceal(Secrets { headers: vec![secret], ..Secrets::default() }, 15);
        let response = answer.response();
        assert_eq!((&response.excerpt[..], response.truncated), (&b"your token: [re"[..], true));
    }

    #[test]
    fn a_cookie_is_not_shown() {
        let text = "HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\ncookie: 2\r\n\r\n";
        let shown = [("set-cookie", "[redacted]"), ("cookie", "2")];
        let shown = shown.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(answer(text).response().headers, shown);
    }

    #[test]
    fn retry_after_is_clamped_and_garbage_ignored() {
        assert_eq!(waits("7"), Some(Duration::from_secs(7)));
        assert_eq!(waits("99999999999999999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(waits("Fri, 31 Dec 9999 23:59:59 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(waits("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        for garbage in ["", "-1", "1.5", "soon", "7s"] {
            assert_eq!(waits(garbage), None, "{garbage}");
        }
    }
}
