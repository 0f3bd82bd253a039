//! Opens a connection: name resolution, TCP or proxy, and the TLS handshake, each under its deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::first_flight;
use super::socket::Socket;
use super::tls_stream::TlsStream;
use super::{ConnectionFacts, Deadlines, HandshakeFacts, Progress};
use crate::admission::fair_limit::Permit;
use crate::error::{Blame, Error, Kind, Scope, Stage, cause, key};
use crate::net::{Destination, Route, Sockets, Url, name_servers};
use crate::tls::{Established, PartialHandshake, Terms, handshake};

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
            connected.map_err(|error| unconnected(error, &destination, url, route))?;

        let connected = progress.enter(Stage::Handshake);
        let partial = Arc::<PartialHandshake>::default();
        progress.connected(ConnectionFacts::of_partial(address, partial.clone()));
        let socket = Socket::new(stream, partial.clone());
        let by = connected + deadlines.handshake;
        let shaking = handshake(terms, socket, &partial, by.min(progress.by()));
        let shaken = deadlines.within("handshake", by, progress, shaking).await;
        let Established { stream, peer, facts: tls } = shaken.map_err(|error| {
            let error = not_established(error, address, partial.first_bytes(), route);
            first_flight::explain(error, partial.unanswered())
        })?;
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
    let message = name_servers::silence(server, &host, allowed);
    late(error, Kind::ResolveFailed, message)
        .noting(key::HOST, host)
        .noting(key::NAME_SERVER, server.to_string())
        .caused(&cause::NAME_SERVER_SILENT, &[("server", &server)])
}

/// Explains why no connection was opened: names the host whose address it is, and packets that are
/// dropped.
fn unconnected(error: Error, destination: &Destination, url: &Url, route: &Route) -> Error {
    let host = url.host.to_string();
    let Some(allowed) = late_connect(&error) else {
        // The proxy is asked for an address. Its operator may know only the name.
        return if error.kind() == Kind::ProxyRefused { error.prefixed(&host) } else { error };
    };
    let (addresses, joined) = (destination.texts(), destination.to_string());
    let Some(proxy) = route.through() else {
        let message = format!("{joined} ({host}) did not answer within {allowed} ms");
        return late(error, Kind::ConnectFailed, message)
            .noting(key::ADDRESSES, addresses)
            .caused(&cause::CONNECTION_UNANSWERED, &[("addresses", &joined)]);
    };
    let message =
        format!("the proxy {proxy} opened no tunnel to {joined} ({host}) within {allowed} ms");
    late(error, Kind::ProxyRefused, message)
        .scoped(Scope::Endpoint)
        .noting(key::PROXY, proxy.clone())
        .noting(key::ADDRESSES, addresses)
        .caused(&cause::PROXY_SILENT, &[("proxy", &proxy), ("target", &joined)])
}

/// Names the address of a handshake that failed, and what the peer speaks if that is not TLS.
fn not_established(error: Error, address: SocketAddr, first: [u8; 8], route: &Route) -> Error {
    let cause = error.fact(key::CAUSE).map(String::as_str);
    if cause == Some(cause::HANDSHAKE_CUT.name) {
        return error.prefixed(&address.to_string());
    }
    if cause != Some(cause::NOT_TLS.name) {
        return error;
    }
    let message = match spoken(first) {
        Some(protocol) => format!("{address}: the peer's answer is {protocol}, not TLS"),
        None => format!("{address}: the peer's answer is not TLS"),
    };
    let plain = Error::new(error.kind(), message)
        .blamed(error.blame())
        .retried(error.retry(), None)
        .noting_all(&error);
    match route.through() {
        Some(proxy) => {
            plain.caused(&cause::NOT_TLS_BEHIND_PROXY, &[("proxy", &proxy), ("address", &address)])
        }
        None => plain.caused(&cause::NOT_TLS, &[]),
    }
}

/// Returns the protocol that begins with these bytes.
fn spoken(first: [u8; 8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"HTTP/", "HTTP"),
        (b"<", "HTML"),
        (b"SSH-", "SSH"),
        (b"220 ", "SMTP or FTP"),
        (b"220-", "SMTP or FTP"),
        (b"+OK", "POP3"),
        (b"* OK", "IMAP"),
        (b"\0\0", "HTTP/2 or another binary protocol"),
    ];
    KNOWN.iter().find(|(start, _)| first.starts_with(start)).map(|(_, name)| *name)
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
