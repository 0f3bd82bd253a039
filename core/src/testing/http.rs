//! As much of HTTP/1.1 as a receiver of webhooks needs (RFC 9112): whole requests in, answers out.

use std::io;

use bytes::{Buf as _, BytesMut};
use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::consumer::Answer;

const HEAD_LIMIT: usize = 64 << 10;
const HEADER_LIMIT: usize = 128;
const BODY_LIMIT: usize = 64 << 20;

/// A connection and what was read from it beyond the last request.
pub(super) struct Wire<S> {
    stream: S,
    buffer: BytesMut,
}

/// A request whose last byte has been read. Header names are in lower case.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the client will take another answer on this connection.
    pub(super) keep_alive: bool,
}

/// Why there is no request.
pub(super) enum Fault {
    /// The client went away, with or without a goodbye.
    Gone,
    /// What it sent is no request that we take; the status says why.
    Refused(u16),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Waits for the first byte of a request. Whoever gives up waiting loses nothing.
    pub(super) async fn begin(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() { self.fill().await } else { Ok(()) }
    }

    /// Reads one whole request.
    pub(super) async fn request(&mut self) -> Result<Request, Fault> {
        let (mut request, framing) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(Fault::Refused(431));
            }
            self.fill().await?;
        };
        if framing != Framing::Length(0) && expects_continue(&request.headers) {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match framing {
            Framing::Length(length) if length > BODY_LIMIT => return Err(Fault::Refused(413)),
            Framing::Length(length) => self.take(length).await?,
            Framing::Chunked => self.chunks().await?,
        };
        Ok(request)
    }

    /// Writes one answer; without its body to a HEAD request.
    pub(super) async fn answer(
        &mut self,
        answer: &Answer,
        method: &str,
        last: bool,
    ) -> Result<(), Fault> {
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
        // RFC 9110 sections 15.3.5 and 15.4.5: these two have no body, and a length would promise
        // one.
        let bodiless = matches!(answer.status, 204 | 304);
        // A length that the test chose itself stands, even a wrong one.
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

    /// Waits until the client closes, whatever it sends before.
    pub(super) async fn drain(&mut self) {
        while self.fill().await.is_ok() {
            self.buffer.clear();
        }
    }

    /// Says goodbye, then waits for the client's. To close with unread bytes would reset the
    /// connection and could take what we said last from the client.
    pub(super) async fn close(&mut self) {
        if self.stream.shutdown().await.is_ok() {
            self.drain().await;
        }
    }

    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    fn head(&mut self) -> Result<Option<(Request, Framing)>, Fault> {
        let mut headers = [EMPTY_HEADER; HEADER_LIMIT];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(&self.buffer) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::Refused(431)),
            Err(_) => return Err(Fault::Refused(400)),
        };
        let headers: Vec<_> = head.headers.iter().map(owned).collect();
        let framing = Framing::of(&headers)?;
        let request = Request {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            keep_alive: head.version == Some(1) && !has_word(&headers, "connection", "close"),
            headers,
            body: Vec::new(),
        };
        self.buffer.advance(length);
        Ok(Some((request, framing)))
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            let length = self.chunk_length().await?;
            if length == 0 {
                self.trailers().await?;
                return Ok(body);
            }
            if length > BODY_LIMIT - body.len() {
                return Err(Fault::Refused(413));
            }
            body.append(&mut self.take(length).await?);
            if self.take(2).await? != b"\r\n" {
                return Err(Fault::Refused(400));
            }
        }
    }

    async fn chunk_length(&mut self) -> Result<usize, Fault> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(Status::Complete((line, length))) => {
                    self.buffer.advance(line);
                    return usize::try_from(length).map_err(|_| Fault::Refused(413));
                }
                Ok(Status::Partial) if self.buffer.len() <= HEAD_LIMIT => self.fill().await?,
                _ => return Err(Fault::Refused(400)),
            }
        }
    }

    async fn trailers(&mut self) -> Result<(), Fault> {
        loop {
            let mut trailers = [EMPTY_HEADER; HEADER_LIMIT];
            match httparse::parse_headers(&self.buffer, &mut trailers) {
                Ok(Status::Complete((length, _))) => {
                    self.buffer.advance(length);
                    return Ok(());
                }
                Ok(Status::Partial) if self.buffer.len() <= HEAD_LIMIT => self.fill().await?,
                _ => return Err(Fault::Refused(400)),
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length).to_vec())
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        self.buffer.reserve(16 << 10);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Fault::Gone),
            Ok(_) => Ok(()),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let gone = |_: io::Error| Fault::Gone;
        self.stream.write_all(bytes).await.map_err(gone)?;
        self.stream.flush().await.map_err(gone)
    }
}

#[derive(PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Framing {
    /// RFC 9112 section 6.3. Anything that two readers could frame differently is refused: a
    /// recorded body has to be the one that was meant.
    fn of(headers: &[(String, String)]) -> Result<Self, Fault> {
        let mut encodings = values(headers, "transfer-encoding");
        let mut lengths = values(headers, "content-length");
        match (encodings.next(), lengths.next()) {
            (None, None) => Ok(Self::Length(0)),
            (None, Some(length)) if lengths.next().is_none() && is_digits(length) => {
                length.parse().map(Self::Length).map_err(|_| Fault::Refused(413))
            }
            (Some(encoding), None)
                if encodings.next().is_none() && encoding.eq_ignore_ascii_case("chunked") =>
            {
                Ok(Self::Chunked)
            }
            _ => Err(Fault::Refused(400)),
        }
    }
}

/// `str::parse` would also take a sign.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

fn expects_continue(headers: &[(String, String)]) -> bool {
    has_word(headers, "expect", "100-continue")
}

fn has_word(headers: &[(String, String)], name: &str, word: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(word))
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |header| header.0 == name).map(|header| header.1.as_str())
}

fn owned(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
}
