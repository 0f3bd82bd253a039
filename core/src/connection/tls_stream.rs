//! The TLS stream of one connection, the last alert of its peer, and how it ended.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_rustls::client::TlsStream as RustlsStream;

use super::socket::Socket;
use crate::tls::{self, Alert, PollLimited as _};

/// The bytes without data that may arrive during one exchange. Some servers pad each record to 16 KiB, and
/// put the client's chain into each ticket.
const EXCHANGE_BYTES: usize = 128 * 1024;

/// The bytes without data that may arrive on an idle connection: a few tickets.
const IDLE_BYTES: usize = 16 * 1024;

/// The minimum charge for a read on an idle connection. It limits the number of wake-ups by small
/// messages.
const CHECK_BYTES: usize = 512;

/// The most session tickets on a connection. Servers send one to four. Resumption is off, so none is used.
const MAX_TICKETS: u32 = 32;

/// The TLS stream of one connection. It carries one request after the other.
pub(super) struct TlsStream {
    stream: RustlsStream<Socket>,
    requests: u32,
    /// Whether a byte of the current response has arrived.
    answered: bool,
    alert: Option<Alert>,
    end: Option<StreamEnd>,
}

/// How the stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// With a `close_notify`.
    Closed,
    /// Without a `close_notify`.
    Unannounced,
    Reset,
    Broken,
    /// Unsolicited bytes arrived while the connection was idle.
    Stale,
    /// The peer exceeded the limit of TLS bytes without data.
    Flooded,
}

impl StreamEnd {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            _ if tls::is_flood(error) => Self::Flooded,
            io::ErrorKind::ConnectionReset => Self::Reset,
            io::ErrorKind::UnexpectedEof => Self::Unannounced,
            _ => Self::Broken,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Unannounced => "closed without a TLS close_notify",
            Self::Reset => "reset",
            Self::Broken => "broken",
            Self::Stale => "closed after unsolicited data",
            Self::Flooded => "flooded",
        }
    }
}

impl TlsStream {
    pub(super) fn new(stream: RustlsStream<Socket>) -> Self {
        Self { stream, requests: 0, answered: false, alert: None, end: None }
    }

    /// Prepares the stream for a request. Returns `false` if no request may be written. HTTP/1.1 does not
    /// number requests, so unread bytes on a reused connection would count as the next response.
    pub(super) fn begin(&mut self) -> bool {
        self.requests += 1;
        self.answered = false;
        let plaintext = self.has_plaintext();
        let socket = self.socket();
        socket.allow(EXCHANGE_BYTES);
        let unsolicited = socket.check_early(plaintext);
        if unsolicited && self.requests > 1 && self.end.is_none() {
            self.end = Some(StreamEnd::Stale);
        }
        self.end.is_none()
    }

    /// Begins a poll of the task that uses this stream, which resets the limits of one poll.
    pub(super) fn begin_poll(&mut self) {
        self.socket().begin_poll();
    }

    /// Whether the next read needs nothing from the socket.
    pub(super) fn has_plaintext(&self) -> bool {
        tls::has_plaintext(&self.stream)
    }

    /// Whether a part of the bytes read last arrived before the last byte of the request left. No response
    /// to that request can.
    pub(super) fn is_early(&self) -> bool {
        self.stream.get_ref().0.is_early()
    }

    fn socket(&mut self) -> &mut Socket {
        self.stream.get_mut().0
    }

    /// Writes some of these bytes. If this is pending, none has entered TLS. If it fails, some may have.
    ///
    /// * `ends`: they include the last byte of a request. The caller then calls
    ///   [`poll_flush`](Self::poll_flush).
    pub(super) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        ends: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.socket().expect_end(ends);
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    /// Writes the buffered bytes to the kernel. Returns whether the kernel took all bytes.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.socket().expect_end(false);
        Poll::Ready(Ok(!self.stream.get_ref().0.is_broken()))
    }

    /// Returns the plaintext that was not [consumed](Self::consume) yet, at least one byte, or `None` at the
    /// [end](Self::end).
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<&[u8]>> {
        if tls::tickets(&self.stream) > MAX_TICKETS {
            self.end = self.end.or(Some(StreamEnd::Flooded));
        }
        // Plaintext that arrived before the connection broke is still valid.
        if self.end.is_some() && !self.has_plaintext() {
            return Poll::Ready(None);
        }
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_fill_buf(context)) {
            self.alert = Alert::of(&error);
            self.end = self.end.or(Some(StreamEnd::of(&error)));
        }
        let bytes = tls::plaintext(&mut self.stream);
        if bytes.is_empty() {
            self.end = self.end.or(Some(StreamEnd::Closed));
            return Poll::Ready(None);
        }
        self.answered = true;
        Poll::Ready(Some(bytes))
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        Pin::new(&mut self.stream).consume(bytes);
        self.socket().earn(bytes);
    }

    /// Marks the stream as idle, which lowers the limit of bytes without data.
    pub(super) fn rest(&mut self) {
        self.socket().allow(IDLE_BYTES);
    }

    /// Reads once from an idle connection, where only a few messages of TLS itself may arrive. Returns
    /// `false` if the connection has ended or holds data. Registers `waker` for later events.
    pub(super) fn is_quiet(&mut self, waker: &Waker) -> bool {
        self.begin_poll();
        let quiet = self.poll_read(&mut Context::from_waker(waker)).is_pending();
        let socket = self.socket();
        if socket.has_read() {
            socket.charge(CHECK_BYTES);
        }
        quiet
    }

    /// Sends `close_notify` if the socket takes it at once.
    pub(super) fn close_notify(&mut self) {
        self.begin_poll();
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }

    /// Records that writing failed.
    pub(super) fn note_write_error(&mut self, error: &io::Error) {
        self.end = self.end.or(Some(StreamEnd::of(error)));
    }

    pub(super) fn end(&self) -> Option<StreamEnd> {
        self.end
    }

    pub(super) fn alert(&self) -> Option<Alert> {
        self.alert
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether the current request is the first and no byte of a response has arrived.
    pub(super) fn is_first_and_unanswered(&self) -> bool {
        self.requests <= 1 && !self.answered
    }

    /// Whether the peer has shown that it accepted our certificate: in TLS 1.3, session tickets follow its
    /// verdict.
    pub(super) fn is_accepted(&self) -> bool {
        tls::tickets(&self.stream) > 0
    }
}
