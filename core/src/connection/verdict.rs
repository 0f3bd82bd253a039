//! The wait for the consumer's verdict on our certificate, between the handshake and the request.
//!
//! In TLS 1.3 a client has finished its handshake before the consumer has seen the client's certificate,
//! and Node judges it after the handshake in TLS 1.2 too. A consumer that refuses it and closes then looks
//! like one that lost the connection while it handled the request. Before the request, the close has only
//! one likely cause.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::Connection;
use super::fault::ExchangeFault;
use super::tls_stream::TlsStream;
use crate::error::{Error, Sent, Stage};
use crate::runtime;

/// The shortest and the longest wait. Node refuses within a few milliseconds, plus the time of a round trip,
/// and a handshake takes at least one.
const MIN_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);
const HANDSHAKES: u32 = 3;

/// What arrived from the consumer after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A session ticket, or data. A consumer sends it after it has judged our certificate, or, like nginx,
    /// will answer the request if it refuses.
    Something,
    /// Nothing, for the whole wait.
    Silence,
    /// The connection ended.
    End,
}

impl Connection {
    /// Whether the consumer named CAs, and none of them issued our certificate.
    pub(crate) fn excludes_our_issuer(&self) -> bool {
        self.handshake.tls.is_issuer_listed() == Some(false)
    }

    /// Waits for the verdict on a connection that has carried no request. Fails with
    /// `client_certificate_rejected` after an alert, and with `connection_lost` after a close.
    pub(crate) async fn hear_verdict(&mut self) -> Result<Heard, Error> {
        self.hear_verdict_within((self.handshake_time * HANDSHAKES).clamp(MIN_WAIT, MAX_WAIT)).await
    }

    /// Waits as long as the longest wait of a delivery. For a caller without haste.
    pub(crate) async fn hear_late_verdict(&mut self) -> Result<Heard, Error> {
        self.hear_verdict_within(MAX_WAIT).await
    }

    async fn hear_verdict_within(&mut self, wait: Duration) -> Result<Heard, Error> {
        let heard = poll_fn(|context| poll_heard(&mut self.stream, context));
        let heard = runtime::before(Instant::now() + wait, pin!(heard)).await;
        match heard.unwrap_or(Heard::Silence) {
            Heard::End => {
                let error = self.fault(ExchangeFault::Lost, Sent::Nothing);
                Err(error.at(Stage::Handshake))
            }
            heard => Ok(heard),
        }
    }
}

/// Reads the first message after the handshake.
fn poll_heard(stream: &mut TlsStream, context: &mut Context<'_>) -> Poll<Heard> {
    stream.begin_poll();
    let polled = stream.poll_read(context).map(|bytes| bytes.is_some());
    if stream.is_accepted() {
        return Poll::Ready(Heard::Something);
    }
    Poll::Ready(if ready!(polled) { Heard::Something } else { Heard::End })
}
