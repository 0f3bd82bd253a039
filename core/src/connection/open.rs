//! Opens a connection: name resolution, TCP or proxy, and the TLS handshake, each under its deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::socket::Socket;
use super::{Deadlines, Progress, Timings};
use crate::admission::fair_limit::Permit;
use crate::error::{Error, Stage};
use crate::net::{Route, Sockets, Url, resolve};
use crate::tls::{Established, Terms, handshake};

/// A finished handshake on a new connection that has carried no request.
pub(super) struct FreshConnection {
    pub(super) established: Established<Socket>,
    pub(super) address: SocketAddr,
    pub(super) timings: Timings,
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
        let started = Instant::now();
        progress.enter(Stage::Resolve);
        let by = started + deadlines.connect;
        let addresses = deadlines
            .within("connect", by, progress, resolve(url, &route.egress, sockets.owner()))
            .await?;
        let resolved = Instant::now();
        progress.enter(Stage::Connect);
        // The addresses share the remaining time, which the total deadline may shorten.
        let share_until = by.min(started + deadlines.total);
        let connecting = route.connect(&addresses, sockets, share_until);
        let (stream, address, permit) =
            deadlines.within("connect", by, progress, connecting).await?;
        let connected = Instant::now();

        progress.enter(Stage::Handshake);
        let socket = Socket::new(stream);
        let by = connected + deadlines.handshake;
        let established =
            deadlines.within("handshake", by, progress, handshake(terms, socket)).await?;
        let timings = Timings {
            resolve: resolved - started,
            connect: connected - resolved,
            handshake: connected.elapsed(),
            ..Timings::default()
        };
        Ok(Self { established, address, timings, permit })
    }
}
