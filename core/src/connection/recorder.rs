//! Above TLS: a stream that records what of a request left, and what the peer said last.
//!
//! The HTTP client's errors do not tell an alert from a reset, nor how much was written. The recorder
//! sits where both can be seen, and `sent` is read from it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Sent;
use crate::tls::{Alert, Underneath};

/// The empty line that ends a head.
static HEAD_END: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// How many interim answers may come before the final one.
pub(super) const MOST_INTERIM: u32 = 16;

/// What happened on one connection.
#[derive(Default)]
pub(crate) struct Record {
    /// The socket swallowed a write: the kernel never took those bytes.
    broken: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: u32,
    request: Progress,
    /// How many interim answers to the current request came.
    interim: u32,
    answered: bool,
    /// The peer had taken our certificate before its last words.
    accepted: bool,
    alert: Option<Alert>,
    read_error: Option<io::ErrorKind>,
    ended: bool,
    gate: Gate,
}

/// Whether bytes may be written.
#[derive(Clone, Copy, Default, PartialEq)]
enum Gate {
    #[default]
    Open,
    /// It was told how much was sent.
    Sealed,
    /// Bytes that nobody asked for lay on an idle connection.
    Stale,
}

/// How much of the current request was written.
#[derive(Default)]
struct Progress {
    /// Whether some of it may have left.
    entered: bool,
    /// How many bytes of the empty line that ends the head were seen.
    blank: usize,
    in_body: bool,
    body_left: u64,
    flushed: Option<Instant>,
}

impl Record {
    /// A request with a body of this length is about to be written.
    pub(crate) fn begin(&self, body: u64) {
        let mut state = self.state();
        state.requests += 1;
        (state.answered, state.interim) = (false, 0);
        state.request = Progress { body_left: body, ..Progress::default() };
    }

    pub(super) fn broken(&self) -> Arc<AtomicBool> {
        self.broken.clone()
    }

    /// When the kernel took the last byte of the current request, if it has.
    pub(super) fn flushed_at(&self) -> Option<Instant> {
        self.state().request.flushed
    }

    /// One more interim answer to the current request.
    pub(super) fn interim(&self) {
        self.state().interim += 1;
    }

    /// Whether too many interim answers came: the connection is read no further.
    pub(super) fn is_flooded(&self) -> bool {
        self.state().is_flooded()
    }

    pub(crate) fn sent(&self) -> Sent {
        self.state().sent()
    }

    /// How much was sent, with nothing to follow, whoever still drives the connection: what is told
    /// must stay true.
    pub(crate) fn seal(&self) -> Sent {
        let mut state = self.state();
        if state.gate == Gate::Open {
            state.gate = Gate::Sealed;
        }
        state.sent()
    }

    pub(crate) fn alert(&self) -> Option<Alert> {
        self.state().alert
    }

    /// Whether this is the connection's first request and no byte of an answer has come.
    pub(crate) fn is_first_and_unanswered(&self) -> bool {
        let state = self.state();
        state.requests <= 1 && !state.answered
    }

    /// Whether the peer took our certificate before it said anything else.
    pub(crate) fn is_accepted(&self) -> bool {
        self.state().accepted
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.state().answered
    }

    /// How the reading side ended, if it did.
    pub(crate) fn end(&self) -> Option<&'static str> {
        let state = self.state();
        if state.gate == Gate::Stale {
            return Some("found to hold words that nobody asked for");
        }
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

    fn was_flushed(&self) {
        if self.broken.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        let request = &mut state.request;
        if request.flushed.is_none() && request.in_body && request.body_left == 0 {
            request.flushed = Some(Instant::now());
        }
    }
}

impl State {
    /// Whether the next bytes written are the first of a request on a connection used before.
    fn is_beginning_again(&self) -> bool {
        self.requests > 1 && !self.request.entered && self.gate == Gate::Open
    }

    fn wrote<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>, mut length: usize) {
        for slice in slices {
            let taken = &slice[..slice.len().min(length)];
            self.request.wrote(taken);
            length -= taken.len();
        }
    }

    fn is_flooded(&self) -> bool {
        self.interim > MOST_INTERIM
    }

    fn read(&mut self, outcome: &io::Result<()>, bytes: usize, accepted: bool) {
        self.accepted |= accepted;
        match outcome {
            Ok(()) if bytes > 0 => self.answered = true,
            Ok(()) => self.ended = true,
            Err(error) => {
                self.alert = self.alert.or(Alert::of(error));
                self.read_error = self.read_error.or(Some(error.kind()));
            }
        }
    }

    fn sent(&self) -> Sent {
        if !self.request.entered {
            Sent::Nothing
        } else if self.request.flushed.is_some() {
            Sent::All
        } else {
            Sent::Maybe
        }
    }
}

impl Progress {
    fn wrote(&mut self, mut bytes: &[u8]) {
        if !self.in_body && self.blank == 0 {
            // Mostly the head is written as a whole. If not, its end may begin at the end of this.
            let end = HEAD_END.find(bytes);
            self.in_body = end.is_some();
            let rest = end.map_or(bytes.len().saturating_sub(3), |at| at + 4);
            bytes = &bytes[rest..];
        }
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

impl<IO: Underneath> Recorder<IO> {
    /// Runs one write of what is in the slices, between the checks that `sent` rests on.
    fn write<'a>(
        &mut self,
        slices: impl Iterator<Item = &'a [u8]>,
        write: impl FnOnce(&mut IO) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // Whoever asks meanwhile waits: the peer may see the bytes before their outcome is recorded.
        let mut state = self.record.state();
        // What lies there cannot answer a request that was not sent yet. HTTP has no name for
        // requests, so it would be taken for the answer.
        if state.is_beginning_again() && self.inner.has_unread() {
            state.gate = Gate::Stale;
        }
        if state.gate != Gate::Open {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        // They count from now on, because a write that fails may have let some through.
        let before = std::mem::replace(&mut state.request.entered, true);
        let polled = write(&mut self.inner);
        match &polled {
            Poll::Pending | Poll::Ready(Ok(0)) => state.request.entered = before,
            Poll::Ready(Ok(length)) => state.wrote(slices, *length),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<IO: AsyncRead + Underneath + Unpin> AsyncRead for Recorder<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, record } = &mut *self;
        let mut state = record.state();
        if state.is_flooded() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut *inner).poll_read(context, buffer);
        if let Poll::Ready(outcome) = &polled {
            let bytes = buffer.filled().len() - before;
            state.read(outcome, bytes, inner.is_accepted());
        }
        polled
    }
}

impl<IO: AsyncWrite + Underneath + Unpin> AsyncWrite for Recorder<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(std::iter::once(bytes), |inner| Pin::new(inner).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| &**slice);
        self.write(bytes, |inner| Pin::new(inner).poll_write_vectored(context, slices))
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

    /// A stream whose writes end as told.
    struct Told {
        outcome: Poll<io::Result<usize>>,
        unread: bool,
    }

    impl Underneath for Told {
        fn has_unread(&self) -> bool {
            self.unread
        }
    }

    /// Writes bytes to a stream on which nothing lies unread; whether it took them.
    fn written(record: &Arc<Record>, bytes: &[u8], outcome: Poll<io::Result<usize>>) -> bool {
        written_to(Told { outcome, unread: false }, record, bytes)
    }

    fn written_to(stream: Told, record: &Arc<Record>, bytes: &[u8]) -> bool {
        let mut recorder = Recorder::new(stream, record.clone());
        let write = |inner: &mut Told| std::mem::replace(&mut inner.outcome, Poll::Pending);
        matches!(recorder.write(std::iter::once(bytes), write), Poll::Ready(Ok(_)))
    }

    fn sent_after(body: u64, pieces: &[&[u8]], flush: bool) -> Sent {
        let record = Arc::new(Record::default());
        record.begin(body);
        for piece in pieces {
            assert!(written(&record, piece, Poll::Ready(Ok(piece.len()))));
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
        assert_eq!(sent_after(2, &[b"POST / HTTP/1.1\r\n\r\r\n{}"], true), Sent::Maybe);
        let request = [HEAD, b"{}"].concat();
        for first in 1..request.len() {
            for second in first..=request.len() {
                let pieces = [&request[..first], &request[first..second], &request[second..]];
                assert_eq!(sent_after(2, &pieces, true), Sent::All, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn what_the_kernel_never_took_is_not_all() {
        let record = Arc::new(Record::default());
        record.begin(0);
        assert!(written(&record, b"POST / HTTP/1.1\r\n\r\n", Poll::Ready(Ok(19))));
        record.broken.store(true, Ordering::Relaxed);
        record.was_flushed();
        assert_eq!(record.sent(), Sent::Maybe);
    }

    #[test]
    fn a_write_that_fails_may_have_let_bytes_through() {
        let record = Arc::new(Record::default());
        record.begin(2);
        assert!(!written(&record, b"", Poll::Pending));
        assert_eq!(record.sent(), Sent::Nothing);
        assert!(!written(&record, b"", Poll::Ready(Err(io::ErrorKind::TimedOut.into()))));
        assert_eq!(record.sent(), Sent::Maybe);
    }

    #[test]
    fn nothing_is_written_once_it_was_told_how_much() {
        let record = Arc::new(Record::default());
        record.begin(2);
        assert_eq!(record.seal(), Sent::Nothing);
        assert!(!written(&record, b"", Poll::Ready(Ok(9))));
        assert_eq!(record.sent(), Sent::Nothing);
    }

    #[test]
    fn a_used_connection_with_bytes_in_it_takes_no_request() {
        let record = Arc::new(Record::default());
        let holds_some = || Told { outcome: Poll::Ready(Ok(9)), unread: true };
        record.begin(2);
        assert!(written_to(holds_some(), &record, b""), "tickets may lie on a fresh one");
        record.begin(2);
        assert!(!written_to(holds_some(), &record, b""));
        assert_eq!(record.sent(), Sent::Nothing);
        assert!(record.end().is_some());
    }
}
