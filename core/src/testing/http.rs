//! The part of HTTP/1.1 (RFC 9112) that a receiver of webhooks needs: reads requests, writes answers.

use std::io;

use bytes::{Buf as _, BytesMut};
use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::script::Answer;

const HEAD_LIMIT: usize = 64 << 10;
const HEADER_LIMIT: usize = 128;
const BODY_LIMIT: usize = 64 << 20;

/// A connection, and the bytes that were read after the last request.
pub(super) struct HttpConnection<S> {
    stream: S,
    buffer: BytesMut,
}

/// A completely read request. Header names are in lower case.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the client will send another request on this connection.
    pub(super) keep_alive: bool,
}

/// The reason why no request could be read.
pub(super) enum RequestError {
    /// The client closed the connection, with or without a `close_notify`.
    Closed,
    /// The receiver refuses the request with this status.
    Refused(u16),
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Waits for the first byte of a request. Safe to cancel: no byte is lost.
    pub(super) async fn wait_for_request(&mut self) -> Result<(), RequestError> {
        if self.buffer.is_empty() { self.fill().await } else { Ok(()) }
    }

    /// Reads one request.
    pub(super) async fn read_request(&mut self) -> Result<Request, RequestError> {
        let (mut request, framing) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(RequestError::Refused(431));
            }
            self.fill().await?;
        };
        if framing != Framing::Length(0) && expects_continue(&request.headers) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match framing {
            Framing::Length(length) if length > BODY_LIMIT => {
                return Err(RequestError::Refused(413));
            }
            Framing::Length(length) => self.take(length).await?,
            Framing::Chunked => self.chunks().await?,
        };
        Ok(request)
    }

    /// Writes one answer. Omits the body if the method is HEAD.
    ///
    /// * `last`: whether to announce that the connection closes.
    pub(super) async fn write_answer(
        &mut self,
        answer: &Answer,
        method: &str,
        last: bool,
    ) -> Result<(), RequestError> {
        let mut bytes = format!("HTTP/1.1 {:03} \r\n", answer.status).into_bytes();
        let mut header = |name: &str, value: &str| {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        };
        for (name, value) in &answer.headers {
            header(name, value);
        }
        if let Some(seconds) = answer.retry_after {
            header("retry-after", &seconds.to_string());
        }
        // 204 and 304 have no body, and a length would announce one (RFC 9110 sections 15.3.5 and
        // 15.4.5).
        let bodiless = matches!(answer.status, 204 | 304);
        // A length that the test set replaces the true one, even if it is wrong.
        if !bodiless
            && answer.header("content-length").is_none()
            && answer.header("transfer-encoding").is_none()
        {
            header("content-length", &answer.body.len().to_string());
        }
        if last && answer.header("connection").is_none() {
            header("connection", "close");
        }
        bytes.extend_from_slice(b"\r\n");
        if !bodiless && method != "HEAD" {
            bytes.extend_from_slice(&answer.body);
        }
        self.write(&bytes).await
    }

    /// Discards all input until the client closes.
    pub(super) async fn drain(&mut self) {
        while self.fill().await.is_ok() {
            self.buffer.clear();
        }
    }

    /// Shuts down the connection, then waits until the client closes. A close with unread bytes would
    /// reset the connection, and the client could lose the last bytes sent to it.
    pub(super) async fn close(&mut self) {
        if self.stream.shutdown().await.is_ok() {
            self.drain().await;
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    fn head(&mut self) -> Result<Option<(Request, Framing)>, RequestError> {
        let mut headers = [EMPTY_HEADER; HEADER_LIMIT];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(&self.buffer) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(RequestError::Refused(431)),
            Err(_) => return Err(RequestError::Refused(400)),
        };
        let headers: Vec<_> = head.headers.iter().map(owned).collect();
        let framing = Framing::of(&headers)?;
        let request = Request {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            keep_alive: head.version == Some(1) && !has_token(&headers, "connection", "close"),
            headers,
            body: Vec::new(),
        };
        self.buffer.advance(length);
        Ok(Some((request, framing)))
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, RequestError> {
        let mut body = Vec::new();
        loop {
            let length = self.chunk_length().await?;
            if length == 0 {
                self.trailers().await?;
                return Ok(body);
            }
            if length > BODY_LIMIT - body.len() {
                return Err(RequestError::Refused(413));
            }
            body.append(&mut self.take(length).await?);
            if self.take(2).await? != b"\r\n" {
                return Err(RequestError::Refused(400));
            }
        }
    }

    async fn chunk_length(&mut self) -> Result<usize, RequestError> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(Status::Complete((line, length))) => {
                    self.buffer.advance(line);
                    return usize::try_from(length).map_err(|_| RequestError::Refused(413));
                }
                Ok(Status::Partial) if self.buffer.len() <= HEAD_LIMIT => self.fill().await?,
                _ => return Err(RequestError::Refused(400)),
            }
        }
    }

    async fn trailers(&mut self) -> Result<(), RequestError> {
        loop {
            let mut trailers = [EMPTY_HEADER; HEADER_LIMIT];
            match httparse::parse_headers(&self.buffer, &mut trailers) {
                Ok(Status::Complete((length, _))) => {
                    self.buffer.advance(length);
                    return Ok(());
                }
                Ok(Status::Partial) if self.buffer.len() <= HEAD_LIMIT => self.fill().await?,
                _ => return Err(RequestError::Refused(400)),
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, RequestError> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).to_vec())
    }

    async fn fill(&mut self) -> Result<(), RequestError> {
        self.buffer.reserve(16 << 10);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(RequestError::Closed),
            Ok(_) => Ok(()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        let closed = |_: io::Error| RequestError::Closed;
        self.stream.write_all(bytes).await.map_err(closed)?;
        self.stream.flush().await.map_err(closed)
    }
}

#[derive(PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Framing {
    /// Returns the framing of a request by RFC 9112 section 6.3. Refuses a request that two parsers could
    /// frame differently, so that a recorded body is the one that the client sent.
    fn of(headers: &[(String, String)]) -> Result<Self, RequestError> {
        let mut encodings = values(headers, "transfer-encoding");
        let mut lengths = values(headers, "content-length");
        match (encodings.next(), lengths.next()) {
            (None, None) => Ok(Self::Length(0)),
            (None, Some(length)) if lengths.next().is_none() && is_digits(length) => {
                length.parse().map(Self::Length).map_err(|_| RequestError::Refused(413))
            }
            (Some(encoding), None)
                if encodings.next().is_none() && encoding.eq_ignore_ascii_case("chunked") =>
            {
                Ok(Self::Chunked)
            }
            _ => Err(RequestError::Refused(400)),
        }
    }
}

/// `str::parse` would also accept a sign.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

fn expects_continue(headers: &[(String, String)]) -> bool {
    has_token(headers, "expect", "100-continue")
}

fn has_token(headers: &[(String, String)], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |header| header.0 == name).map(|header| header.1.as_str())
}

fn owned(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
}
