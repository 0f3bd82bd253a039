//! Writes a request. Its body may be held until the consumer has accepted our certificate.
//!
//! A consumer that answers `Expect: 100-continue` has read the head, and so has accepted our certificate
//! (RFC 9110 section 10.1.1). A consumer that does not support the expectation waits for the body while
//! we wait for its response, so the hold is limited in time.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::fault::ExchangeFault;
use super::tls_stream::TlsStream;
use super::{Deadlines, Progress};
use crate::admission::Starting;
use crate::error::Sent;

/// How long to wait for a consumer that does not answer the expectation.
const MAX_HOLD: Duration = Duration::from_secs(1);

/// How many bytes TLS buffers before it writes.
const TLS_BUFFER: usize = 64 * 1024;

/// A request in its wire form.
pub(crate) struct Request {
    /// The head, up to and including the empty line.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
    /// The head contains `Expect: 100-continue`: the body is held until the consumer responds.
    pub(crate) held: bool,
}

/// Decides right before the first byte of a request whether the request may start. See
/// [`Starts`](crate::admission::Starts).
pub(crate) type MayStart<'a> = &'a (dyn Fn() -> Option<Starting<'a>> + Sync);

/// The state of a held body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// The body waits for the consumer's response.
    Awaited,
    /// 100 (Continue) arrived.
    Continue,
    /// No response arrived in time.
    Ignored,
    /// A final response arrived first. The body is not sent.
    Final,
}

impl Hold {
    fn is_closed(self) -> bool {
        matches!(self, Self::Awaited | Self::Final)
    }
}

/// Writes one request, and records in the delivery's progress how much of it was sent.
pub(super) struct RequestWriter<'a> {
    request: Request,
    may_start: MayStart<'a>,
    progress: &'a Progress,
    started: Instant,
    /// How many bytes of head and body TLS has taken.
    written: usize,
    /// Whether TLS may still buffer some of them.
    unflushed: bool,
    hold: Option<Hold>,
    /// When the head of a held body was flushed.
    held_since: Option<Instant>,
    flushed: Option<Instant>,
}

impl<'a> RequestWriter<'a> {
    pub(super) fn new(
        request: Request,
        may_start: MayStart<'a>,
        started: Instant,
        progress: &'a Progress,
    ) -> Self {
        Self {
            hold: request.held.then_some(Hold::Awaited),
            request,
            may_start,
            progress,
            started,
            written: 0,
            unflushed: false,
            held_since: None,
            flushed: None,
        }
    }

    /// Writes as much as can be written now. Fails with [`ExchangeFault::Withdrawn`] before the first
    /// byte if the request may not start. The stream stores any other failure.
    pub(super) fn go_on(
        &mut self,
        stream: &mut TlsStream,
        context: &mut Context<'_>,
    ) -> Result<(), ExchangeFault> {
        let first = self.written == 0;
        // A change of the endpoint waits until this guard is dropped, after the first write.
        let _starting = match first.then(self.may_start) {
            None => None,
            Some(Some(starting)) => Some(starting),
            Some(None) => return Err(ExchangeFault::Withdrawn),
        };
        if let Err(error) = self.write(stream, context) {
            stream.note_write_error(&error);
        }
        Ok(())
    }

    fn write(&mut self, stream: &mut TlsStream, context: &mut Context<'_>) -> io::Result<()> {
        while let Some(slices) = self.next_slices() {
            match stream.poll_write(&slices, self.may_end(), context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => self.wrote(self.written + length),
                Poll::Ready(Err(error)) => {
                    // Any of the offered bytes may have entered TLS.
                    self.progress.wrote(Sent::Maybe);
                    if !slices[1].is_empty() {
                        self.progress.wrote_payload();
                    }
                    return Err(error);
                }
            }
            self.unflushed = true;
        }
        if !self.unflushed {
            return Ok(());
        }
        let Poll::Ready(taken) = stream.poll_flush(context) else { return Ok(()) };
        // If the kernel did not take all bytes, the request was not sent. The peer's alert is still read.
        if taken? {
            let now = Instant::now();
            if self.written == self.length() {
                self.flushed = Some(now);
                self.progress.wrote_all(now);
            } else {
                self.held_since = Some(now);
            }
        }
        self.unflushed = false;
        Ok(())
    }

    /// Records how many bytes of head and body have entered TLS.
    fn wrote(&mut self, written: usize) {
        self.written = written;
        self.progress.wrote(Sent::Maybe);
        if written > self.request.head.len() {
            self.progress.wrote_payload();
        }
    }

    /// The bytes to write next, if any.
    fn next_slices(&self) -> Option<[IoSlice<'_>; 2]> {
        let Request { head, body, .. } = &self.request;
        let body = if self.hold.is_some_and(Hold::is_closed) { &[][..] } else { body };
        let rest = self.written.saturating_sub(head.len());
        let left = [&head[self.written.min(head.len())..], &body[rest.min(body.len())..]];
        left.iter().any(|left| !left.is_empty()).then(|| left.map(IoSlice::new))
    }

    /// Whether the next write may send the rest of the request.
    fn may_end(&self) -> bool {
        self.length() - self.written <= TLS_BUFFER
    }

    /// Whether the kernel has taken the last byte.
    pub(super) fn has_left(&self) -> bool {
        self.flushed.is_some()
    }

    fn length(&self) -> usize {
        self.request.head.len() + self.request.body.len()
    }

    /// Releases a held body after 100 (Continue).
    pub(super) fn release(&mut self) {
        self.settle(Hold::Continue);
    }

    /// Stops a held body after a final response.
    pub(super) fn shut(&mut self) {
        self.settle(Hold::Final);
    }

    /// Releases a held body if its hold has timed out. Returns `false` if another deadline has passed.
    pub(super) fn lapse(&mut self) -> bool {
        let due = self.held_until().is_some_and(|until| until <= Instant::now());
        due && self.settle(Hold::Ignored)
    }

    /// Ends the wait of a held body. Returns `false` if it has ended before: only the first end counts.
    fn settle(&mut self, end: Hold) -> bool {
        let first = self.hold == Some(Hold::Awaited);
        if first {
            self.hold = Some(end);
        }
        first
    }

    pub(super) fn hold(&self) -> Option<Hold> {
        self.hold
    }

    fn held_until(&self) -> Option<Instant> {
        let awaited = self.hold == Some(Hold::Awaited);
        self.held_since.filter(|_| awaited).map(|since| since + MAX_HOLD)
    }

    /// The next deadline: for the response if the whole request was sent, else for the rest of the
    /// request or for the hold.
    pub(super) fn due(&self, deadlines: &Deadlines) -> Instant {
        if let Some(at) = self.flushed {
            return at + deadlines.response;
        }
        let hold = if self.hold.is_some() { MAX_HOLD } else { Duration::ZERO };
        let by = self.started + hold + deadlines.write;
        self.held_until().map_or(by, |until| until.min(by))
    }

    /// A lower bound of the first deadline.
    pub(super) fn first_due(&self, deadlines: &Deadlines) -> Instant {
        let part = deadlines.response.min(deadlines.write);
        self.started + if self.hold.is_some() { part.min(MAX_HOLD) } else { part }
    }

    /// The part of the attempt that is in progress.
    pub(super) fn part(&self) -> &'static str {
        if self.flushed.is_some() { "response" } else { "write" }
    }
}
