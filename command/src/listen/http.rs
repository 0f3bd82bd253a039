//! Reads one request from a stranger, within limits, and answers it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The largest head of a request.
const HEAD: usize = 32 * 1024;
/// The most header lines.
const HEADERS: usize = 100;
/// The largest body that is read.
const BODY: usize = 32 * 1024 * 1024;
/// The part of a body that is kept.
const KEPT: usize = 64 * 1024;

/// A request, as far as it is kept.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// In the order of the request; names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The first 64 KiB of the body.
    pub(super) body: Vec<u8>,
    /// The bytes of the whole body.
    pub(super) length: usize,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum BadRequest {
    /// The client closed the connection before a whole request.
    Closed,
    /// The request is refused with this status.
    Refused(u16, &'static str),
}

impl From<io::Error> for BadRequest {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// The bytes of a connection that were read and not used yet.
pub(super) struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads one request with its body.
    pub(super) async fn request(&mut self) -> Result<Request, BadRequest> {
        let mut request = loop {
            if let Some(request) = self.head()? {
                break request;
            }
            if self.buffer.len() > HEAD {
                return Err(BadRequest::Refused(431, "the head has more than 32 KiB"));
            }
            self.fill().await?;
        };
        let framing = framing(&request.headers)?;
        let expects = request
            .headers
            .iter()
            .any(|(name, value)| name == "expect" && value.eq_ignore_ascii_case("100-continue"));
        if expects && framing != Framing::Length(0) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            self.stream.flush().await?;
        }
        match framing {
            Framing::Length(length) => self.body(&mut request, length).await?,
            Framing::Chunked => self.chunks(&mut request).await?,
        }
        Ok(request)
    }

    /// Answers, and waits until the client has read the answer or the time of the caller is over.
    pub(super) async fn answer(&mut self, status: u16, text: &str) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status} \r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: \
             {}\r\nconnection: close\r\n\r\n",
            text.len()
        );
        self.send(&[head.as_bytes(), text.as_bytes()]).await
    }

    /// Sends bytes that the caller has framed.
    pub(super) async fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.stream.write_all(part).await?;
        }
        self.stream.flush().await
    }

    /// Waits until the client closes its side, and discards what it sends before.
    pub(super) async fn closed(&mut self) {
        while self.fill().await.is_ok() {
            self.buffer.clear();
        }
    }

    /// Closes the connection. A close with unread bytes would take the answer away from the client.
    pub(super) async fn close(&mut self) {
        if self.stream.shutdown().await.is_ok() {
            self.closed().await;
        }
    }

    fn head(&mut self) -> Result<Option<Request>, BadRequest> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(&self.buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(BadRequest::Refused(431, "the head has more than 100 headers"));
            }
            Err(_) => return Err(BadRequest::Refused(400, "the head is no HTTP/1.1")),
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let request = Request {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
            headers: head
                .headers
                .iter()
                .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
                .collect(),
            body: Vec::new(),
            length: 0,
        };
        self.buffer.drain(..length);
        Ok(Some(request))
    }

    async fn body(&mut self, request: &mut Request, length: usize) -> Result<(), BadRequest> {
        if length > BODY - request.length.min(BODY) {
            return Err(BadRequest::Refused(413, "the body has more than 32 MiB"));
        }
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let taken = left.min(self.buffer.len());
            let kept = taken.min(KEPT - request.body.len());
            request.body.extend_from_slice(&self.buffer[..kept]);
            self.buffer.drain(..taken);
            left -= taken;
        }
        request.length += length;
        Ok(())
    }

    async fn chunks(&mut self, request: &mut Request) -> Result<(), BadRequest> {
        const MALFORMED: BadRequest = BadRequest::Refused(400, "a chunk is malformed");
        loop {
            let line = self.line().await?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let digits = std::str::from_utf8(digits).map_err(|_| MALFORMED)?.trim();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(MALFORMED);
            }
            let length = usize::from_str_radix(digits, 16)
                .map_err(|_| BadRequest::Refused(413, "the body has more than 32 MiB"))?;
            if length == 0 {
                // The trailers end with an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.body(request, length).await?;
            if !self.line().await?.is_empty() {
                return Err(MALFORMED);
            }
        }
    }

    /// Reads a line without its end.
    async fn line(&mut self) -> Result<Vec<u8>, BadRequest> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.truncate(line.len() - 1);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.buffer.len() > HEAD {
                return Err(BadRequest::Refused(400, "a line of the body's framing is too long"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), BadRequest> {
        let mut chunk = [0; 8 * 1024];
        match self.stream.read(&mut chunk).await? {
            0 => Err(BadRequest::Closed),
            length => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(())
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

/// Returns the framing of the body (RFC 9112 section 6.3). A request that two readers could frame
/// differently is refused.
fn framing(headers: &[(String, String)]) -> Result<Framing, BadRequest> {
    let values = |wanted: &str| {
        let of = headers.iter().filter(|(name, _)| name == wanted);
        of.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let refused = BadRequest::Refused(400, "the length of the body is not clear");
    match (&values("transfer-encoding")[..], &values("content-length")[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([], [length]) if !length.is_empty() && length.bytes().all(|it| it.is_ascii_digit()) => {
            length
                .parse()
                .map(Framing::Length)
                .map_err(|_| BadRequest::Refused(413, "the body has more than 32 MiB"))
        }
        ([encoding], []) if encoding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        _ => Err(refused),
    }
}
