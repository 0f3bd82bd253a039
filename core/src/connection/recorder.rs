//! Above TLS: a stream that records what of a request left, and what the peer said last.
//!
//! The HTTP client's errors do not tell an alert from a reset, nor how much was written. The recorder
//! sits where both can be seen, and `sent` is read from it.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::error::Sent;
use crate::tls::Alert;

/// What happened on one connection.
#[derive(Default)]
pub(crate) struct Record {
    /// The socket swallowed a write: the kernel never took those bytes.
    broken: Arc<AtomicBool>,
    state: Mutex<State>,
    written: Notify,
}

#[derive(Default)]
struct State {
    requests: u32,
    request: Progress,
    answered: bool,
    alert: Option<Alert>,
    read_error: Option<io::ErrorKind>,
    ended: bool,
}

/// How much of the current request was written.
#[derive(Default)]
struct Progress {
    /// A write is under way on another thread: the peer may see it before its outcome is recorded.
    entering: bool,
    entered: bool,
    /// How many bytes of the empty line that ends the head were seen.
    blank: usize,
    in_body: bool,
    body_left: u64,
    flushed: bool,
}

impl Record {
    /// A request with a body of this length is about to be written.
    pub(crate) fn begin(&self, body: u64) {
        let mut state = self.state();
        state.requests += 1;
        state.answered = false;
        state.request = Progress { body_left: body, ..Progress::default() };
    }

    pub(super) fn broken(&self) -> Arc<AtomicBool> {
        self.broken.clone()
    }

    /// Returns once the kernel has taken the last byte of the current request.
    pub(super) async fn flushed(&self) {
        loop {
            let mut written = pin!(self.written.notified());
            written.as_mut().enable();
            if self.sent() == Sent::All {
                return;
            }
            written.await;
        }
    }

    pub(crate) fn sent(&self) -> Sent {
        let state = self.state();
        if !state.request.entered && !state.request.entering {
            Sent::Nothing
        } else if state.request.flushed {
            Sent::All
        } else {
            Sent::Maybe
        }
    }

    pub(crate) fn alert(&self) -> Option<Alert> {
        self.state().alert
    }

    /// Whether this is the connection's first request and no byte of an answer has come.
    pub(crate) fn is_first_and_unanswered(&self) -> bool {
        let state = self.state();
        state.requests <= 1 && !state.answered
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.state().answered
    }

    /// How the reading side ended, if it did.
    pub(crate) fn end(&self) -> Option<&'static str> {
        let state = self.state();
        match state.read_error {
            Some(io::ErrorKind::ConnectionReset) => Some("reset"),
            Some(io::ErrorKind::UnexpectedEof) => Some("closed without a TLS close_notify"),
            Some(_) => Some("broken"),
            None if state.ended => Some("closed"),
            None => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes, with a request in between `nothing` and `maybe` as long as that takes.
    fn writing(
        &self,
        write: impl FnOnce() -> Poll<io::Result<usize>>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.state().request.entering = true;
        let polled = write();
        let length = if let Poll::Ready(Ok(length)) = &polled { *length } else { 0 };
        self.wrote(bytes.iter().map(|slice| &**slice), length);
        polled
    }

    fn wrote<'a>(&self, slices: impl Iterator<Item = &'a [u8]>, mut length: usize) {
        let mut state = self.state();
        state.request.entering = false;
        for slice in slices {
            let taken = &slice[..slice.len().min(length)];
            state.request.wrote(taken);
            length -= taken.len();
        }
    }

    fn was_flushed(&self) {
        if self.broken.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        let request = &mut state.request;
        if !request.flushed && request.in_body && request.body_left == 0 {
            request.flushed = true;
            self.written.notify_waiters();
        }
    }

    fn read(&self, outcome: &io::Result<()>, bytes: usize) {
        let mut state = self.state();
        match outcome {
            Ok(()) if bytes > 0 => state.answered = true,
            Ok(()) => state.ended = true,
            Err(error) => {
                state.alert = state.alert.or(Alert::of(error));
                state.read_error = state.read_error.or(Some(error.kind()));
            }
        }
    }
}

impl Progress {
    fn wrote(&mut self, mut bytes: &[u8]) {
        self.entered |= !bytes.is_empty();
        while !self.in_body {
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            self.blank = match (self.blank, byte) {
                (1 | 3, b'\n') => self.blank + 1,
                (2, b'\r') => 3,
                (_, b'\r') => 1,
                _ => 0,
            };
            self.in_body = self.blank == 4;
            bytes = rest;
        }
        self.body_left = self.body_left.saturating_sub(bytes.len() as u64);
    }
}

/// A stream that keeps a [`Record`].
pub(super) struct Recorder<IO> {
    inner: IO,
    record: Arc<Record>,
}

impl<IO> Recorder<IO> {
    pub(super) fn new(inner: IO, record: Arc<Record>) -> Self {
        Self { inner, record }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Recorder<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if let Poll::Ready(outcome) = &polled {
            self.record.read(outcome, buffer.filled().len() - before);
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Recorder<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, record } = &mut *self;
        let write = || Pin::new(inner).poll_write(context, bytes);
        record.writing(write, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, record } = &mut *self;
        record.writing(|| Pin::new(inner).poll_write_vectored(context, slices), slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(context);
        if let Poll::Ready(Ok(())) = &polled {
            self.record.was_flushed();
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_after(body: u64, pieces: &[&[u8]], flush: bool) -> Sent {
        let record = Record::default();
        record.begin(body);
        for piece in pieces {
            record.wrote(std::iter::once(*piece), piece.len());
        }
        if flush {
            record.was_flushed();
        }
        record.sent()
    }

    #[test]
    fn all_needs_the_last_byte_and_the_flush() {
        const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\n\r\n";
        assert_eq!(sent_after(2, &[], true), Sent::Nothing);
        assert_eq!(sent_after(2, &[HEAD], true), Sent::Maybe);
        assert_eq!(sent_after(2, &[HEAD, b"{"], true), Sent::Maybe);
        assert_eq!(sent_after(2, &[HEAD, b"{}"], false), Sent::Maybe);
        assert_eq!(sent_after(2, &[HEAD, b"{}"], true), Sent::All);
        assert_eq!(sent_after(0, &[&HEAD[..9], &HEAD[9..27], &HEAD[27..]], true), Sent::All);
    }

    #[test]
    fn what_the_kernel_never_took_is_not_all() {
        let record = Record::default();
        record.begin(0);
        record.wrote(std::iter::once(&b"POST / HTTP/1.1\r\n\r\n"[..]), 19);
        record.broken.store(true, Ordering::Relaxed);
        record.was_flushed();
        assert_eq!(record.sent(), Sent::Maybe);
    }

    #[test]
    fn a_write_under_way_may_have_been_seen() {
        let record = Record::default();
        record.begin(2);
        let bytes = [IoSlice::new(b"POST")];
        let pending = record.writing(
            || {
                assert_eq!(record.sent(), Sent::Maybe);
                Poll::Pending
            },
            &bytes,
        );
        assert!(pending.is_pending());
        assert_eq!(record.sent(), Sent::Nothing, "TLS has taken none of it");
        assert!(record.writing(|| Poll::Ready(Ok(4)), &bytes).is_ready());
        assert_eq!(record.sent(), Sent::Maybe);
    }
}
