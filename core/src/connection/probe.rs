//! A handshake without a request: who is there, and does it let us in?

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use super::socket::Socket;
use super::{Deadlines, Progress, Secured, Timings};
use crate::error::{Error, Sent, Stage};
use crate::fair_limit::Permit;
use crate::net::{Route, Sockets, Url};
use crate::tls::{self, Alert, Terms, TlsFacts};
use crate::verify::PeerIdentity;

/// How long a consumer is listened to after our goodbye. Most close at once.
const FAREWELL: Duration = Duration::from_secs(1);

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
    let Secured { mut established, address, timings, permit: _permit } =
        Secured::open(Sockets::new(permit), url, terms, route, deadlines, progress).await?;
    let farewell = tokio::time::timeout(FAREWELL, last_words(&mut established.stream));
    match farewell.await.ok().flatten() {
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
async fn last_words(stream: &mut TlsStream<Socket>) -> Option<Alert> {
    let _ = stream.shutdown().await;
    let mut unread = [0; 1024];
    loop {
        match stream.read(&mut unread).await {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Alert::of(&error),
        }
    }
}
