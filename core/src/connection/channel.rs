//! The TLS stream of one connection, and what the peer said last on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_rustls::client::TlsStream;

use super::socket::Socket;
use crate::tls::{self, Alert};

/// Carries one request after the other, each with its answer.
pub(super) struct Channel {
    stream: TlsStream<Socket>,
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
}

impl End {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
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
        }
    }
}

impl Channel {
    pub(super) fn new(stream: TlsStream<Socket>) -> Self {
        Self { stream, requests: 0, answered: false, alert: None, end: None }
    }

    /// One more request is about to be written. `false` if it must not be: HTTP/1.1 has no name for
    /// requests, and what lies unread on a connection that was used before would answer the next one.
    pub(super) fn begin(&mut self) -> bool {
        self.requests += 1;
        self.answered = false;
        if self.requests > 1 && self.end.is_none() && self.stream.get_ref().0.has_unread() {
            self.end = Some(End::Stale);
        }
        self.end.is_none()
    }

    /// Writes some of these bytes. Pending: none of them entered TLS. Failed: some may have.
    pub(super) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    /// Hands to the kernel what was written; whether it took all of it.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        Poll::Ready(Ok(!self.stream.get_ref().0.is_broken()))
    }

    /// What has come and was not [consumed](Self::consume), at least one byte; `None` at the
    /// [end](Self::end).
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<&[u8]>> {
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        let end = match ready!(Pin::new(&mut self.stream).poll_fill_buf(context)) {
            Ok([]) => End::Closed,
            Ok(bytes) => {
                self.answered = true;
                return Poll::Ready(Some(bytes));
            }
            Err(error) => {
                self.alert = Alert::of(&error);
                End::of(&error)
            }
        };
        self.end = Some(end);
        Poll::Ready(None)
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        Pin::new(&mut self.stream).consume(bytes);
    }

    /// Reads what lies on an idle connection: nothing, but for TLS's own messages. `false` if it is of
    /// no use any more. Who is given is woken when something comes.
    pub(super) fn is_quiet(&mut self, waker: &Waker) -> bool {
        self.poll_read(&mut Context::from_waker(waker)).is_pending()
    }

    /// Says `close_notify`, unless that cannot be written at once.
    pub(super) fn say_goodbye(&mut self) {
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
        tls::is_accepted(&self.stream)
    }
}
