//! A handshake without a request: verifies the peer, and learns whether it accepts our certificate.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use super::tls_stream::TlsStream;
use super::{Deadlines, FreshConnection, HandshakeFacts, Progress};
use crate::admission::fair_limit::Permit;
use crate::error::{Error, Sent, Stage};
use crate::net::{Route, Sockets, Url};
use crate::runtime;
use crate::tls::{self, Alert, Terms};

/// How long to read after our `close_notify`. Most consumers close at once.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// The most bytes of data to read after our `close_notify`.
const MAX_CLOSE_BYTES: usize = 16 * 1024;

/// Resolves, connects, completes the handshake, and closes. Writes no byte of a request. Returns the
/// address and the result of the handshake. Fails with
/// `client_certificate_rejected` if the consumer answers with an alert about our certificate.
pub(crate) async fn probe(
    permit: Permit,
    url: &Url,
    terms: &Arc<Terms>,
    route: &Route,
    deadlines: &Deadlines,
    progress: &Progress,
) -> Result<(SocketAddr, Arc<HandshakeFacts>), Error> {
    // The permit is kept until the socket is closed.
    let FreshConnection { mut stream, handshake, address, permit: _permit } =
        FreshConnection::open(Sockets::new(permit), url, terms, route, deadlines, progress).await?;
    let by = progress.by().min(Instant::now() + CLOSE_WAIT);
    match runtime::before(by, pin!(read_verdict(&mut stream))).await.flatten() {
        Some(alert) if alert.is_about_certificate() => {
            Err(tls::certificate_rejected(alert, terms.identity().leaf())
                .at(Stage::Handshake)
                .having_sent(Sent::Nothing))
        }
        _ => Ok((address, handshake)),
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
