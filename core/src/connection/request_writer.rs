//! A request on its way out; its body may be held back until the consumer has accepted us.
//!
//! A consumer that answers `Expect: 100-continue` has read the head, and so has let our certificate
//! pass (RFC 9110 section 10.1.1). One that knows nothing of it would wait for the body just as we
//! wait for its word; so that wait has an end.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::tls_stream::TlsStream;
use super::{Deadlines, Progress};
use crate::admission::Starting;
use crate::error::Sent;
use crate::http::Fault;

/// How long a consumer that does not answer an expectation is waited for.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// How much TLS takes before it writes.
const TLS_BUFFER: usize = 64 * 1024;

/// A request as it is written.
pub(crate) struct Request {
    /// Up to the empty line, and with it.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
    /// The head says that the body is held back until the consumer has spoken.
    pub(crate) held: bool,
}

/// Asks for the first byte of a request whether it may leave; see [`Starts`](super::Starts).
pub(crate) type MayStart<'a> = &'a (dyn Fn() -> Option<Starting<'a>> + Sync);

/// What became of a body that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is here, and waits for the consumer's word.
    Awaited,
    /// 100 (Continue) came.
    Continue,
    /// No word came in time.
    Ignored,
    /// A final answer came first: the body is not wanted any more, and stays here.
    Final,
}

impl Hold {
    fn is_closed(self) -> bool {
        matches!(self, Self::Awaited | Self::Final)
    }
}

/// Writes one request, and tells the delivery's progress how much of it was sent.
pub(super) struct RequestWriter<'a> {
    request: Request,
    may_start: MayStart<'a>,
    progress: &'a Progress,
    started: Instant,
    /// Bytes of head and body that were taken, and whether they have to be flushed.
    written: usize,
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

    /// Writes as much as can be written now. Fails with [`Fault::Withdrawn`] before the first byte if
    /// that must not leave any more; what fails otherwise, the channel remembers.
    pub(super) fn go_on(
        &mut self,
        stream: &mut TlsStream,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let first = self.written == 0;
        // A change of the endpoint waits until the first bytes are written.
        let _starting = match first.then(self.may_start) {
            None => None,
            Some(Some(starting)) => Some(starting),
            Some(None) => return Err(Fault::Withdrawn),
        };
        if let Err(error) = self.write(stream, context) {
            stream.break_off(&error);
        }
        Ok(())
    }

    fn write(&mut self, stream: &mut TlsStream, context: &mut Context<'_>) -> io::Result<()> {
        while let Some(slices) = self.left() {
            match stream.poll_write(&slices, self.may_end(), context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => self.wrote(self.written + length),
                Poll::Ready(Err(error)) => {
                    // Some of all that was offered may have entered TLS.
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
        // What the kernel never took was not sent. What the peer says of it is still read.
        if taken? {
            let now = Instant::now();
            if self.written == self.length() {
                self.flushed = Some(now);
                self.progress.wrote(Sent::All);
            } else {
                self.held_since = Some(now);
            }
        }
        self.unflushed = false;
        Ok(())
    }

    /// So many bytes of head and body entered TLS.
    fn wrote(&mut self, written: usize) {
        self.written = written;
        self.progress.wrote(Sent::Maybe);
        if written > self.request.head.len() {
            self.progress.wrote_payload();
        }
    }

    /// What is to be written next, if anything.
    fn left(&self) -> Option<[IoSlice<'_>; 2]> {
        let Request { head, body, .. } = &self.request;
        let body = if self.hold.is_some_and(Hold::is_closed) { &[][..] } else { body };
        let rest = self.written.saturating_sub(head.len());
        let left = [&head[self.written.min(head.len())..], &body[rest.min(body.len())..]];
        left.iter().any(|left| !left.is_empty()).then(|| left.map(IoSlice::new))
    }

    /// Whether so little is left that all of it may leave with the next write.
    fn may_end(&self) -> bool {
        self.length() - self.written <= TLS_BUFFER
    }

    /// Whether the last byte has left.
    pub(super) fn has_left(&self) -> bool {
        self.flushed.is_some()
    }

    fn length(&self) -> usize {
        self.request.head.len() + self.request.body.len()
    }

    /// The consumer said 100 (Continue).
    pub(super) fn release(&mut self) {
        self.settle(Hold::Continue);
    }

    /// The consumer gave its final answer: a body that is held stays here.
    pub(super) fn shut(&mut self) {
        self.settle(Hold::Final);
    }

    /// Time is up. Whether that only meant that the consumer's word is waited for no longer.
    pub(super) fn lapse(&mut self) -> bool {
        let due = self.held_until().is_some_and(|until| until <= Instant::now());
        due && self.settle(Hold::Ignored)
    }

    /// The first word counts; whether this was it.
    fn settle(&mut self, word: Hold) -> bool {
        let first = self.hold == Some(Hold::Awaited);
        if first {
            self.hold = Some(word);
        }
        first
    }

    pub(super) fn hold(&self) -> Option<Hold> {
        self.hold
    }

    fn held_until(&self) -> Option<Instant> {
        let awaited = self.hold == Some(Hold::Awaited);
        self.held_since.filter(|_| awaited).map(|since| since + LONGEST_HOLD)
    }

    /// When something is due: the answer, once all was sent; the rest of the request before that.
    pub(super) fn due(&self, deadlines: &Deadlines) -> Instant {
        if let Some(at) = self.flushed {
            return at + deadlines.response;
        }
        let hold = if self.hold.is_some() { LONGEST_HOLD } else { Duration::ZERO };
        let by = self.started + hold + deadlines.write;
        self.held_until().map_or(by, |until| until.min(by))
    }

    /// Nothing is due before.
    pub(super) fn first_due(&self, deadlines: &Deadlines) -> Instant {
        let part = deadlines.response.min(deadlines.write);
        self.started + if self.hold.is_some() { part.min(LONGEST_HOLD) } else { part }
    }

    /// The part of an attempt that it is in.
    pub(super) fn part(&self) -> &'static str {
        if self.flushed.is_some() { "response" } else { "write" }
    }
}
