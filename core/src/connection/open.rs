//! Opens a connection: name resolution, TCP or proxy, and the TLS handshake, each under its deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::first_flight::FirstFlight;
use super::socket::Socket;
use super::tls_stream::TlsStream;
use super::{ConnectionFacts, Deadlines, HandshakeFacts, Progress};
use crate::admission::fair_limit::Permit;
use crate::error::{Error, Stage};
use crate::net::{Route, Sockets, Url, resolve};
use crate::tls::{Established, Terms, handshake};

/// A finished handshake on a new connection that has carried no request.
pub(super) struct FreshConnection {
    pub(super) stream: TlsStream,
    pub(super) handshake: Arc<HandshakeFacts>,
    pub(super) handshake_time: Duration,
    pub(super) address: SocketAddr,
    pub(super) permit: Option<Permit>,
}

impl FreshConnection {
    pub(super) async fn open(
        sockets: Sockets,
        url: &Url,
        terms: &Arc<Terms>,
        route: &Route,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let started = progress.enter(Stage::Resolve);
        let by = started + deadlines.connect;
        let addresses = deadlines
            .within("connect", by, progress, resolve(url, &route.egress, sockets.owner()))
            .await?;
        progress.enter(Stage::Connect);
        // The addresses share the remaining time, which the total deadline may shorten.
        let share_until = by.min(started + deadlines.total);
        let connecting = route.connect(&addresses, sockets, share_until);
        let (stream, address, permit) =
            deadlines.within("connect", by, progress, connecting).await?;

        let connected = progress.enter(Stage::Handshake);
        progress.connected(ConnectionFacts { reused: false, address, handshake: None });
        let socket = Socket::new(stream);
        let by = connected + deadlines.handshake;
        let first_flight = FirstFlight::default();
        let shaking = handshake(terms, socket, first_flight.unanswered());
        let shaken = deadlines.within("handshake", by, progress, shaking).await;
        let Established { stream, peer, facts: tls } =
            shaken.map_err(|error| first_flight.explain(error))?;
        let handshake = Arc::new(HandshakeFacts { peer, tls });
        progress.shook_hands(&handshake);
        let (stream, handshake_time) = (TlsStream::new(stream), connected.elapsed());
        Ok(Self { stream, handshake, handshake_time, address, permit })
    }
}
