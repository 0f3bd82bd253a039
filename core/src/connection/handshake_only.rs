//! A handshake without a request: verifies the peer, and detects a consumer that refuses our certificate.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use super::tls_stream::TlsStream;
use super::{Connection, Deadlines, HandshakeFacts, Progress};
use crate::admission::fair_limit::Permit;
use crate::error::Error;
use crate::net::{Route, Url};
use crate::runtime;
use crate::tls::{Alert, Terms};

/// How long to read after our `close_notify`. Most consumers close at once.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// The most bytes of data to read after our `close_notify`.
const MAX_CLOSE_BYTES: usize = 16 * 1024;

/// Resolves, connects, completes the handshake, waits for the verdict on our certificate, and closes.
/// Writes no byte of a request. Returns the address and the result of the handshake. Fails with
/// `client_certificate_rejected` if the consumer sends an alert about our certificate, and with
/// `connection_lost` if it closes before we do.
pub(crate) async fn probe(
    permit: Permit,
    url: &Url,
    terms: &Arc<Terms>,
    route: &Route,
    deadlines: &Deadlines,
    progress: &Progress,
) -> Result<(SocketAddr, Arc<HandshakeFacts>), Error> {
    let mut connection = Connection::open(permit, url, terms, route, deadlines, progress).await?;
    connection.hear_verdict().await?;
    connection.hear_close(progress).await?;
    Ok((connection.address, connection.handshake.clone()))
}

impl Connection {
    /// Sends `close_notify`, and reads until the consumer closes too. Fails with
    /// `client_certificate_rejected` after an alert about our certificate.
    pub(crate) async fn hear_close(&mut self, progress: &Progress) -> Result<(), Error> {
        let by = progress.by().min(Instant::now() + CLOSE_WAIT);
        let alert = runtime::before(by, pin!(read_verdict(&mut self.stream))).await.flatten();
        match alert {
            Some(alert) if alert.is_about_certificate() => Err(self.refused_by_alert(alert)),
            _ => Ok(()),
        }
    }
}

/// Sends `close_notify` and reads until the consumer closes. In TLS 1.3 the consumer judges our
/// certificate after the handshake. A consumer that answers our `close_notify` has accepted it.
async fn read_verdict(stream: &mut TlsStream) -> Option<Alert> {
    let mut received = 0;
    stream.close_notify();
    poll_fn(|context| {
        stream.begin_poll();
        while let Some(bytes) = ready!(stream.poll_read(context)) {
            let length = bytes.len();
            stream.consume(length);
            received += length;
            if received > MAX_CLOSE_BYTES {
                break;
            }
        }
        Poll::Ready(stream.alert())
    })
    .await
}
