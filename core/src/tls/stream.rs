//! Access to the plaintext and the tickets of a TLS stream, and the poll limits of its socket.

use tokio_rustls::client::TlsStream;

/// The number of received session tickets. They follow the peer's verdict on our certificate.
pub(crate) fn tickets<IO>(stream: &TlsStream<IO>) -> u32 {
    stream.get_ref().1.tls13_tickets_received()
}

/// Whether plaintext or its end is available without another read.
pub(crate) fn has_plaintext<IO>(stream: &TlsStream<IO>) -> bool {
    !stream.get_ref().1.wants_read()
}

/// The available plaintext, or its first part. Does not read from the socket.
pub(crate) fn plaintext<IO>(stream: &mut TlsStream<IO>) -> &[u8] {
    stream.get_mut().1.reader().into_first_chunk().unwrap_or_default()
}

/// A stream that limits what one poll reads and writes. Beyond the limit it is pending, and wakes its task
/// for the next poll.
pub(crate) trait PollLimited {
    /// How many bytes were written before the first byte of the peer. 0 after it.
    fn unanswered(&self) -> usize;

    /// Begins a poll of the task that reads and writes, which resets the limits.
    fn begin_poll(&mut self);
}
