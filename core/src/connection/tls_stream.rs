//! The TLS stream of one connection, and what the peer said last on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_rustls::client::TlsStream as RustlsStream;

use super::socket::Socket;
use crate::tls::{self, Alert, InTurns as _};

/// How much TLS may come with one answer beyond what its data is worth. Some servers pad each record
/// to 16 KiB, and put a client's chain into each ticket.
const EXCHANGE_BYTES: usize = 128 * 1024;

/// How much may come on an idle connection: a few tickets.
const IDLE_BYTES: usize = 16 * 1024;

/// What a look at an idle connection costs at least, however little it reads.
const LOOK_BYTES: usize = 512;

/// How many session tickets a connection may bring, of which we use none. Servers send one to four.
const MOST_TICKETS: u32 = 32;

/// Carries one request after the other, each with its answer.
pub(super) struct TlsStream {
    stream: RustlsStream<Socket>,
    requests: u32,
    /// Whether a byte of the current answer has come.
    answered: bool,
    alert: Option<Alert>,
    end: Option<End>,
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By a `close_notify`.
    Closed,
    Unannounced,
    Reset,
    Broken,
    /// Bytes that nobody asked for lay on it while it was idle.
    Stale,
    /// The peer sent more TLS than brings any data.
    Flooded,
}

impl End {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            _ if tls::is_flood(error) => Self::Flooded,
            io::ErrorKind::ConnectionReset => Self::Reset,
            io::ErrorKind::UnexpectedEof => Self::Unannounced,
            _ => Self::Broken,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Unannounced => "closed without a TLS close_notify",
            Self::Reset => "reset",
            Self::Broken => "broken",
            Self::Stale => "found to hold words that nobody asked for",
            Self::Flooded => "flooded",
        }
    }
}

impl TlsStream {
    pub(super) fn new(stream: RustlsStream<Socket>) -> Self {
        Self { stream, requests: 0, answered: false, alert: None, end: None }
    }

    /// One more request is about to be written. `false` if it must not be: HTTP/1.1 has no name for
    /// requests, and what lies unread on a connection that was used before would answer the next one.
    pub(super) fn begin(&mut self) -> bool {
        self.requests += 1;
        self.answered = false;
        let plaintext = self.has_plaintext();
        let socket = self.socket();
        socket.allow(EXCHANGE_BYTES);
        let unasked = socket.look(plaintext);
        if unasked && self.requests > 1 && self.end.is_none() {
            self.end = Some(End::Stale);
        }
        self.end.is_none()
    }

    /// A poll begins of the task that uses this.
    pub(super) fn begin_turn(&mut self) {
        self.socket().begin_turn();
    }

    /// Whether the next read needs nothing from the socket.
    pub(super) fn has_plaintext(&self) -> bool {
        tls::has_plaintext(&self.stream)
    }

    /// Whether what was read last had come, at least in part, before the last byte of the request
    /// left. No answer to that request can have.
    pub(super) fn is_early(&self) -> bool {
        self.stream.get_ref().0.is_early()
    }

    fn socket(&mut self) -> &mut Socket {
        self.stream.get_mut().0
    }

    /// Writes some of these bytes. Pending: none of them entered TLS. Failed: some may have.
    ///
    /// * `ends`: the last byte of a request is among them. [`poll_flush`](Self::poll_flush) follows.
    pub(super) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        ends: bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.socket().expect_end(ends);
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    /// Hands to the kernel what was written; whether it took all of it.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.socket().expect_end(false);
        Poll::Ready(Ok(!self.stream.get_ref().0.is_broken()))
    }

    /// What has come and was not [consumed](Self::consume), at least one byte; `None` at the
    /// [end](Self::end).
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<&[u8]>> {
        if tls::tickets(&self.stream) > MOST_TICKETS {
            self.end = self.end.or(Some(End::Flooded));
        }
        // What came whole before the connection broke counts.
        if self.end.is_some() && !self.has_plaintext() {
            return Poll::Ready(None);
        }
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_fill_buf(context)) {
            self.alert = Alert::of(&error);
            self.end = self.end.or(Some(End::of(&error)));
        }
        let bytes = tls::plaintext(&mut self.stream);
        if bytes.is_empty() {
            self.end = self.end.or(Some(End::Closed));
            return Poll::Ready(None);
        }
        self.answered = true;
        Poll::Ready(Some(bytes))
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        Pin::new(&mut self.stream).consume(bytes);
        self.socket().earn(bytes);
    }

    /// Nobody uses it from now on.
    pub(super) fn rest(&mut self) {
        self.socket().allow(IDLE_BYTES);
    }

    /// Reads once what lies on an idle connection: nothing, but for a few of TLS's own messages.
    /// `false` if it is of no use any more. Registers `waker` for what comes later.
    pub(super) fn is_quiet(&mut self, waker: &Waker) -> bool {
        self.begin_turn();
        let quiet = self.poll_read(&mut Context::from_waker(waker)).is_pending();
        let socket = self.socket();
        if socket.has_read() {
            socket.charge(LOOK_BYTES);
        }
        quiet
    }

    /// Says `close_notify`, unless that cannot be written at once.
    pub(super) fn say_goodbye(&mut self) {
        self.begin_turn();
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }

    /// The writing side failed.
    pub(super) fn break_off(&mut self, error: &io::Error) {
        self.end = self.end.or(Some(End::of(error)));
    }

    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    pub(super) fn alert(&self) -> Option<Alert> {
        self.alert
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether this is its first request and no byte of an answer has come.
    pub(super) fn is_first_and_unanswered(&self) -> bool {
        self.requests <= 1 && !self.answered
    }

    /// Whether the peer has shown that it took our certificate.
    pub(super) fn is_accepted(&self) -> bool {
        tls::tickets(&self.stream) > 0
    }
}
