//! Opens a connection: name resolution, TCP or proxy, and the TLS handshake, each under its deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::first_flight::FirstFlight;
use super::socket::Socket;
use super::tls_stream::TlsStream;
use super::{ConnectionFacts, Deadlines, HandshakeFacts, Progress};
use crate::admission::fair_limit::Permit;
use crate::error::{Blame, Error, Kind, Scope, Stage, cause, key};
use crate::net::{Destination, Route, Sockets, Url, name_servers};
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
        let destination = deadlines
            .within("connect", by, progress, route.destination(url, sockets.owner()))
            .await
            .map_err(|error| unresolved(error, url))?;
        progress.enter(Stage::Connect);
        // The addresses share the remaining time, which the total deadline may shorten.
        let share_until = by.min(started + deadlines.total);
        let connecting = route.connect(&destination, sockets, share_until);
        let connected = deadlines.within("connect", by, progress, connecting).await;
        let (stream, address, permit) =
            connected.map_err(|error| unconnected(error, &destination, route))?;

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

/// Explains a deadline that passed during the lookup: the name server is silent.
fn unresolved(error: Error, url: &Url) -> Error {
    let Some(allowed) = late_connect(&error) else { return error };
    let (server, host) = (name_servers::first(), url.host.to_string());
    let message = format!(
        "no answer of the name server {server} (/etc/resolv.conf) for {host} within {allowed} ms"
    );
    late(error, Kind::ResolveFailed, message)
        .noting(key::HOST, host)
        .noting(key::NAME_SERVER, server.to_string())
        .caused(&cause::NAME_SERVER_SILENT, &[("server", &server)])
}

/// Explains a deadline that passed before a connection was open: packets are dropped.
fn unconnected(error: Error, destination: &Destination, route: &Route) -> Error {
    let Some(allowed) = late_connect(&error) else { return error };
    let (addresses, joined) = (destination.texts(), destination.to_string());
    let Some(proxy) = route.through() else {
        let message = format!("{joined} did not answer within {allowed} ms");
        return late(error, Kind::ConnectFailed, message)
            .noting(key::ADDRESSES, addresses)
            .caused(&cause::CONNECTION_UNANSWERED, &[("addresses", &joined)]);
    };
    let message = format!("the proxy {proxy} opened no tunnel to {joined} within {allowed} ms");
    late(error, Kind::ProxyRefused, message)
        .scoped(Scope::Endpoint)
        .noting(key::PROXY, proxy.clone())
        .noting(key::ADDRESSES, addresses)
        .caused(&cause::PROXY_SILENT, &[("proxy", &proxy), ("target", &joined)])
}

/// Returns the milliseconds of the deadline if the error is a passed deadline.
fn late_connect(error: &Error) -> Option<u64> {
    let late = error.kind() == Kind::DeadlineExceeded;
    error.fact(key::ALLOWED).filter(|_| late).map(|allowed| allowed.0)
}

/// The error for a passed deadline, with the kind of its cause. If the caller's time limit of the whole
/// delivery passed, the kind stays.
fn late(error: Error, kind: Kind, message: String) -> Error {
    let by_caller = error.fact(key::DEADLINE).is_some_and(|part| part == "total");
    let kind = if by_caller { error.kind() } else { kind };
    Error::new(kind, message)
        .at(error.stage())
        .blamed(Blame::Path)
        .having_sent(error.sent())
        .noting_all(&error)
}
