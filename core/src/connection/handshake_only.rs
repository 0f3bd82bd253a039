//! A handshake without a request: who is there, and does it let us in?

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use super::tls_stream::TlsStream;
use super::{Deadlines, Progress, Secured, Timings};
use crate::admission::fair_limit::Permit;
use crate::error::{Error, Sent, Stage};
use crate::net::{Route, Sockets, Url};
use crate::runtime;
use crate::tls::{self, Alert, Terms, TlsFacts};
use crate::verify::PeerIdentity;

/// How long a consumer is listened to after our goodbye. Most close at once.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much is listened to.
const LAST_WORDS: usize = 16 * 1024;

/// What a handshake has shown.
pub(crate) struct Sighting {
    pub(crate) peer: PeerIdentity,
    pub(crate) facts: TlsFacts,
    pub(crate) address: SocketAddr,
    pub(crate) timings: Timings,
}

/// Resolves, connects, shakes hands, and closes. No byte of a request is written.
pub(crate) async fn probe(
    permit: Permit,
    url: &Url,
    terms: &Arc<Terms>,
    route: &Route,
    deadlines: &Deadlines,
    progress: &Progress,
) -> Result<Sighting, Error> {
    // The permit is kept until the socket is closed.
    let Secured { established, address, timings, permit: _permit } =
        Secured::open(Sockets::new(permit), url, terms, route, deadlines, progress).await?;
    let mut stream = TlsStream::new(established.stream);
    let by = progress.by().min(Instant::now() + FAREWELL);
    match runtime::before(by, pin!(last_words(&mut stream))).await.flatten() {
        Some(alert) if alert.is_about_certificate() => {
            Err(tls::rejected(alert, terms.identity().leaf())
                .at(Stage::Handshake)
                .having_sent(Sent::Nothing))
        }
        _ => Ok(Sighting { peer: established.peer, facts: established.facts, address, timings }),
    }
}

/// Says goodbye and listens: in TLS 1.3 the verdict on our certificate comes after the handshake,
/// and a consumer that answers our goodbye has passed it.
async fn last_words(stream: &mut TlsStream) -> Option<Alert> {
    let mut heard = 0;
    stream.say_goodbye();
    poll_fn(|context| {
        stream.begin_turn();
        while let Some(bytes) = ready!(stream.poll_read(context)) {
            let length = bytes.len();
            stream.consume(length);
            heard += length;
            if heard > LAST_WORDS {
                break;
            }
        }
        Poll::Ready(stream.alert())
    })
    .await
}
