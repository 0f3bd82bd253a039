//! Under TLS: a socket whose write errors wait until the peer's last words were read.
//!
//! A peer that refuses us sends an alert and closes. If we are still writing, the kernel answers
//! EPIPE or ECONNRESET, and whoever stops there never reads the alert that explains it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Swallows what is written after the peer closed, and remembers that it did.
pub(super) struct Socket {
    stream: TcpStream,
    broken: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, broken: false }
    }

    /// Whether it swallowed a write: the kernel never took those bytes.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the peer said something, or closed, that nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        // The socket does not block. An end of the stream is unread as well, and so is an error.
        let peeked = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn deferred(
        &mut self,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_closed_by_peer(&error) => {
                self.broken = true;
                Poll::Ready(Ok(length))
            }
            other => other,
        }
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.deferred(written, bytes.len())
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
        let written = send_vectored(&self.stream, context, slices);
        self.deferred(written, length)
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
