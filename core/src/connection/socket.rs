//! The socket under TLS, with limits against a hostile peer.
//!
//! * It limits what one poll reads and writes, so that other tasks of the thread make progress.
//! * It limits the TLS bytes that carry no data: session tickets, key updates, empty records.
//! * It marks the records that began to arrive before the request had left. They cannot contain a response
//!   to that request.
//! * It reads the plaintext messages that choose the parameters of the connection, so that the error of a
//!   failed handshake has them.
//! * It reports a write error only after the peer's last bytes were read. A peer that refuses our
//!   certificate sends an alert and closes. If we are still writing, the kernel returns EPIPE or
//!   ECONNRESET. A client that stops there never reads the alert that explains the refusal.

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::records::RecordBoundaries;
use crate::tls::{FirstMessages, Flood, PartialHandshake, PollLimited};

/// The most bytes that one poll reads, and writes.
const MAX_READ_PER_POLL: usize = 16 * 1024;
const MAX_WRITE_PER_POLL: usize = 64 * 1024;

/// How many bytes on the wire one byte of data permits. A byte alone in a record takes 23 to 30 bytes.
const CREDIT_PER_BYTE: usize = 64;

/// The bytes permitted in a handshake: several long chains and lists of CAs. rustls accepts no message of
/// more than 64 KiB.
const HANDSHAKE_BYTES: usize = 256 * 1024;

/// Up to this size, the unread bytes before a request are counted exactly.
const MAX_MEASURED: usize = 64 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    /// The peer has closed, and a write was discarded: the kernel did not take those bytes.
    broken: bool,
    records: RecordBoundaries,
    allowance: Allowance,
    usage: PollUsage,
    early: Option<EarlyBytes>,
    /// The next write may contain the last byte of a request.
    ending: bool,
    /// Nothing was written since the last check for early bytes.
    checked: bool,
    /// How many bytes were written before the first byte of the peer. `None` after it.
    unanswered: Option<usize>,
    /// Reads the peer's first messages, until they have arrived.
    first_messages: Option<Box<FirstMessages>>,
}

/// How many more bytes may arrive without data.
struct Allowance {
    granted: usize,
    left: usize,
}

/// What the current poll has read and written.
#[derive(Default)]
struct PollUsage {
    read: usize,
    written: usize,
}

/// The bytes that arrived before the last byte of the request left, and the rest of their last record.
struct EarlyBytes {
    /// How many of them are still in the kernel's buffer.
    unread: usize,
}

impl Socket {
    /// * `partial`: receives the facts of the handshake.
    pub(super) fn new(stream: TcpStream, partial: Arc<PartialHandshake>) -> Self {
        Self {
            stream,
            broken: false,
            records: RecordBoundaries::default(),
            allowance: Allowance::new(HANDSHAKE_BYTES),
            usage: PollUsage::default(),
            early: None,
            ending: false,
            checked: false,
            unanswered: Some(0),
            first_messages: Some(Box::new(FirstMessages::new(partial))),
        }
    }

    /// Whether a write was discarded because the peer has closed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Permits this many bytes without data from now on.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowance = Allowance::new(bytes);
    }

    /// Reduces the permitted bytes.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.allowance.left = self.allowance.left.saturating_sub(bytes);
    }

    /// Restores permitted bytes for data that TLS delivered.
    pub(super) fn earn(&mut self, data: usize) {
        let Allowance { granted, left } = &mut self.allowance;
        *left = left.saturating_add(data.saturating_mul(CREDIT_PER_BYTE)).min(*granted);
    }

    /// Whether the current poll has read anything.
    pub(super) fn has_read(&self) -> bool {
        self.usage.read > 0
    }

    /// Marks the bytes that have arrived by now as early. Returns whether there are any.
    ///
    /// * `plaintext`: TLS holds unread plaintext.
    pub(super) fn check_early(&mut self, plaintext: bool) -> bool {
        let unread = self.unread();
        let early = plaintext || unread > 0 || !self.records.is_between();
        self.early = early.then_some(EarlyBytes { unread });
        self.checked = true;
        early
    }

    /// Whether the bytes read last arrived before the request had left.
    pub(super) fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// Sets whether the next write may contain the last byte of a request. If so, each write is preceded
    /// by a check for early bytes.
    pub(super) fn expect_end(&mut self, ending: bool) {
        self.ending = ending;
    }

    /// The number of unread bytes in the kernel's buffer, or `usize::MAX` above [`MAX_MEASURED`]. The end of
    /// the stream counts as a byte, and so does an error.
    fn unread(&self) -> usize {
        let socket = SockRef::from(&self.stream);
        // The socket is non-blocking, and its buffer is mostly empty.
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return 0,
            Ok(0) | Err(_) => return 1,
            Ok(_) => {}
        }
        let mut room = Vec::with_capacity(MAX_MEASURED);
        match socket.peek(room.spare_capacity_mut()) {
            Ok(length) if length < MAX_MEASURED => length.max(1),
            Ok(_) => usize::MAX,
            Err(_) => 1,
        }
    }

    /// How much one read may take: early bytes are not read together with later ones.
    fn read_limit(&mut self) -> usize {
        match &self.early {
            None => usize::MAX,
            Some(EarlyBytes { unread: 0 }) if self.records.is_between() => {
                self.early = None;
                usize::MAX
            }
            Some(EarlyBytes { unread: 0 }) => self.records.bytes_to_boundary(),
            Some(EarlyBytes { unread }) => *unread,
        }
    }

    /// Records that these bytes were read.
    fn note_read(&mut self, bytes: &[u8]) {
        self.usage.read += bytes.len();
        if !bytes.is_empty() {
            self.unanswered = None;
        }
        self.charge(bytes.len());
        match &self.first_messages {
            None => self.records.follow(bytes),
            Some(_) => self.read_first_messages(bytes),
        }
        if let Some(early) = &mut self.early {
            early.unread = early.unread.saturating_sub(bytes.len());
        }
    }

    #[cold]
    fn read_first_messages(&mut self, bytes: &[u8]) {
        let Some(messages) = &mut self.first_messages else { return };
        messages.note(bytes);
        self.records.follow_bodies(bytes, |content_type, body| messages.read(content_type, body));
        if messages.are_read() {
            self.first_messages = None;
        }
    }

    /// Checks the write limit before bytes go to the kernel. Pending if the current poll has reached it.
    fn poll_write_limit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.usage.written >= MAX_WRITE_PER_POLL {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !mem::take(&mut self.checked) && self.ending {
            // TLS holds no plaintext here: plaintext is read before more is written.
            self.check_early(false);
            self.checked = false;
        }
        Poll::Ready(())
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_closed_by_peer(&error) => {
                self.broken = true;
                Poll::Ready(Ok(length))
            }
            Poll::Ready(Ok(length)) => {
                self.usage.written += length;
                self.unanswered = self.unanswered.map(|before| before + length);
                Poll::Ready(Ok(length))
            }
            other => other,
        }
    }
}

impl Allowance {
    fn new(bytes: usize) -> Self {
        Self { granted: bytes, left: bytes }
    }
}

impl PollLimited for Socket {
    fn begin_poll(&mut self) {
        self.usage = PollUsage::default();
    }

    fn unanswered(&self) -> usize {
        self.unanswered.unwrap_or(0)
    }
}

/// Writes without raising SIGPIPE. The driving thread may be the caller's own, and a C
/// program that does not ignore the signal would be terminated by it. The standard library suppresses the
/// signal for a plain write, but not for a vectored one.
fn send_vectored(
    stream: &TcpStream,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    #[cfg(target_os = "linux")]
    const MSG_NOSIGNAL: i32 = 0x4000;
    #[cfg(not(target_os = "linux"))]
    const MSG_NOSIGNAL: i32 = 0;
    loop {
        ready!(stream.poll_write_ready(context))?;
        let send = || SockRef::from(stream).send_vectored_with_flags(slices, MSG_NOSIGNAL);
        match stream.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

fn is_closed_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted | NotConnected)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.allowance.left == 0 {
            return Poll::Ready(Err(Flood.into()));
        }
        if this.usage.read >= MAX_READ_PER_POLL {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let limit = this.read_limit().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        this.note_read(part.filled());
        let length = part.filled().len();
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_broken() {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_write_limit(context));
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if self.is_broken() {
            return Poll::Ready(Ok(length));
        }
        ready!(self.poll_write_limit(context));
        let written = send_vectored(&self.stream, context, slices);
        self.written(written, length)
    }

    // rustls writes the alert that ends a failed handshake only if this is forwarded.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_broken() {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_shutdown(context) {
            Poll::Ready(Err(error)) if is_closed_by_peer(&error) => Poll::Ready(Ok(())),
            other => other,
        }
    }
}
