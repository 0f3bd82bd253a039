//! Under TLS: a socket that a peer cannot use against us.
//!
//! * It bounds what one turn reads and writes, so that the other tasks of its thread go on.
//! * It bounds what TLS may take without bringing data: session tickets, key updates, empty records.
//! * It knows which records began to arrive before the request had left: those hold no answer to it.
//! * Its write errors wait until the peer's last words were read. A peer that refuses us sends an
//!   alert and closes. If we are still writing, the kernel answers EPIPE or ECONNRESET, and whoever
//!   stops there never reads the alert that explains it.

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::records::Records;
use crate::tls::{Flood, InTurns};

/// What one turn reads and writes at most.
const TURN_READ: usize = 16 * 1024;
const TURN_WRITTEN: usize = 64 * 1024;

/// A byte of data makes up for so many bytes on the wire: alone in a record it takes 23 to 30.
const WORTH: usize = 64;

/// Several long chains and lists of CAs. rustls takes no message of more than 64 KiB.
const HANDSHAKE_BYTES: usize = 256 * 1024;

/// How much may lie unread before a request that is measured to the byte.
const MEASURED: usize = 64 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    /// It swallowed a write: the kernel never took those bytes.
    broken: bool,
    records: Records,
    allowance: Allowance,
    turn: Turn,
    early: Option<Early>,
    /// The last byte of a request may be in what is written next.
    ending: bool,
    /// Nothing was written since the last look at what has come.
    looked: bool,
}

/// How much more may come without data.
struct Allowance {
    granted: usize,
    left: usize,
}

/// What this turn has done.
#[derive(Default)]
struct Turn {
    read: usize,
    written: usize,
}

/// What arrived before the last byte of the request left, and the rest of its last record.
struct Early {
    /// What the kernel had of it then and has still.
    unread: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            broken: false,
            records: Records::default(),
            allowance: Allowance::new(HANDSHAKE_BYTES),
            turn: Turn::default(),
            early: None,
            ending: false,
            looked: false,
        }
    }

    /// Whether it swallowed a write: the kernel never took those bytes.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// So many bytes may come from now on before any data does.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.allowance = Allowance::new(bytes);
    }

    /// So many bytes less may come.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.allowance.left = self.allowance.left.saturating_sub(bytes);
    }

    /// So much data has come of what was read.
    pub(super) fn earn(&mut self, data: usize) {
        let Allowance { granted, left } = &mut self.allowance;
        *left = left.saturating_add(data.saturating_mul(WORTH)).min(*granted);
    }

    /// Whether this turn has read anything.
    pub(super) fn has_read(&self) -> bool {
        self.turn.read > 0
    }

    /// Marks what has come by now as early; whether anything has.
    ///
    /// * `plaintext`: TLS holds some that nobody has read.
    pub(super) fn look(&mut self, plaintext: bool) -> bool {
        let unread = self.unread();
        let early = plaintext || unread > 0 || !self.records.is_between();
        self.early = early.then_some(Early { unread });
        self.looked = true;
        early
    }

    /// Whether what was read last came before the request had left.
    pub(super) fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// Whether the last byte of a request may be in what is written next. What has come is looked
    /// at then, before each write.
    pub(super) fn expect_end(&mut self, ending: bool) {
        self.ending = ending;
    }

    /// How much the peer said that nobody has read; `usize::MAX` if that is too much to measure. The
    /// end of the stream counts as a byte, and so does an error.
    fn unread(&self) -> usize {
        let socket = SockRef::from(&self.stream);
        // The socket does not block, and mostly holds nothing.
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return 0,
            Ok(0) | Err(_) => return 1,
            Ok(_) => {}
        }
        let mut room = Vec::with_capacity(MEASURED);
        match socket.peek(room.spare_capacity_mut()) {
            Ok(length) if length < MEASURED => length.max(1),
            Ok(_) => usize::MAX,
            Err(_) => 1,
        }
    }

    /// How much may be read at once: what is early is not read together with what is not.
    fn room(&mut self) -> usize {
        match &self.early {
            None => usize::MAX,
            Some(Early { unread: 0 }) if self.records.is_between() => {
                self.early = None;
                usize::MAX
            }
            Some(Early { unread: 0 }) => self.records.ahead(),
            Some(Early { unread }) => *unread,
        }
    }

    /// These bytes have been read.
    fn note_read(&mut self, bytes: &[u8]) {
        self.turn.read += bytes.len();
        self.charge(bytes.len());
        self.records.follow(bytes);
        if let Some(early) = &mut self.early {
            early.unread = early.unread.saturating_sub(bytes.len());
        }
    }

    /// Is called before bytes go to the kernel. Pending if this turn has written enough.
    fn poll_write_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.turn.written >= TURN_WRITTEN {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !mem::take(&mut self.looked) && self.ending {
            // TLS holds no plaintext: it is read before more is written.
            self.look(false);
            self.looked = false;
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
                self.turn.written += length;
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

impl InTurns for Socket {
    fn begin_turn(&mut self) {
        self.turn = Turn::default();
    }
}

/// Writes without ever raising SIGPIPE. The thread that drives may be the caller's own, and a C
/// program that does not ignore that signal would end with it. What the standard library writes in
/// one piece never raises it; what it writes in several does.
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
        if this.turn.read >= TURN_READ {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = this.room().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
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
        ready!(self.poll_write_turn(context));
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
        ready!(self.poll_write_turn(context));
        let written = send_vectored(&self.stream, context, slices);
        self.written(written, length)
    }

    // Unless forwarded, the alert that ends a failed handshake is not written.
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
