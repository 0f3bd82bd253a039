//! One HTTP/1.1 connection over mutual TLS, and what a failure says about the request.

mod closings;
mod deadline;
mod exchange;
mod facts;
mod fault;
mod first_flight;
mod handshake_only;
#[cfg(test)]
mod hyper_differential_tests;
mod idle_waker;
mod observation;
pub(crate) mod observer;
mod open;
mod phases;
pub(crate) mod pool;
mod progress;
mod records;
mod redaction;
mod request_writer;
mod response;
mod socket;
mod tls_stream;
mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

pub(crate) use deadline::Deadlines;
#[cfg(any(test, feature = "testing"))]
pub use facts::read_first_messages;
pub(crate) use facts::{ConnectionFacts, HandshakeFacts};
pub(crate) use handshake_only::probe;
use idle_waker::IdleWaker;
pub(crate) use observation::Observation;
use open::FreshConnection;
use pool::PoolRef;
pub(crate) use progress::Progress;
pub(crate) use redaction::Secrets;
use request_writer::Hold;
pub(crate) use request_writer::Request;
#[cfg(any(test, feature = "testing"))]
pub use response::read_answer;
pub(crate) use response::{Asked, MAX_BODY, Response};
use tls_stream::TlsStream;
pub(crate) use verdict::Heard;

use crate::admission::fair_limit::Permit;
use crate::error::Error;
use crate::net::{Route, Sockets, Url};
use crate::tls::{self, Terms, valid_until};

/// An open connection to a verified peer. Dropping an idle connection sends `close_notify`; dropping a
/// connection in use closes it without one.
pub(crate) struct Connection {
    stream: TlsStream,
    /// Reports events while the connection is in its pool.
    idle_waker: Arc<IdleWaker>,
    terms: Arc<Terms>,
    pub(crate) handshake: Arc<HandshakeFacts>,
    pub(crate) address: SocketAddr,
    /// Unix seconds after which a certificate or CRL of this connection is no longer valid.
    valid_until: i64,
    opened: Instant,
    /// How long the handshake took.
    handshake_time: Duration,
    idle_since: Instant,
    in_flight: bool,
    /// The hold of the last request.
    hold: Option<Hold>,
    /// The status of the final response to the last request.
    status: Option<u16>,
    /// Declared after `stream`, so that the descriptor is closed before the permit is released.
    _permit: Option<Permit>,
}

impl Connection {
    /// Resolves, connects and completes the handshake. Sends no request. The socket's permit is
    /// released when its descriptor is closed.
    pub(crate) async fn open(
        permit: Permit,
        url: &Url,
        terms: &Arc<Terms>,
        route: &Route,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<Box<Self>, Error> {
        let sockets = Sockets::new(permit);
        let FreshConnection { stream, handshake, handshake_time, address, permit } =
            FreshConnection::open(sockets, url, terms, route, deadlines, progress).await?;
        let opened = Instant::now();
        Ok(Box::new(Self {
            stream,
            idle_waker: Arc::default(),
            valid_until: valid_until(&handshake.peer, terms.identity()),
            terms: terms.clone(),
            handshake,
            address,
            opened,
            handshake_time,
            idle_since: opened,
            in_flight: false,
            hold: None,
            status: None,
            _permit: permit,
        }))
    }

    /// Returns the facts of this connection for the outcome of a delivery.
    ///
    /// * `reused`: the delivery did not open it.
    pub(crate) fn facts(&self, reused: bool) -> ConnectionFacts {
        let (address, handshake) = (self.address, Some(self.handshake.clone()));
        ConnectionFacts { reused, address, handshake, partial: None }
    }

    /// Whether the consumer answered the last request's `Expect` with 100 (Continue). `Some(false)` if
    /// the hold timed out. `None` if the payload was not held, or never left.
    pub(crate) fn hold_honored(&self) -> Option<bool> {
        match self.hold? {
            Hold::Continue => Some(true),
            Hold::Ignored => Some(false),
            Hold::Awaited | Hold::Final => None,
        }
    }

    /// Whether the last request announced that its payload is held.
    pub(crate) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether the last request's payload was held and has not been sent.
    pub(crate) fn withheld(&self) -> bool {
        self.hold.is_some() && self.hold_honored().is_none()
    }

    /// Completes the error for a page that refuses our certificate.
    pub(crate) fn refused_by_page(&self, page: Error) -> Error {
        tls::refused_by_page(page, self.terms.identity(), &self.handshake.tls.authorities)
    }

    /// The status of the final response to the last request, once its head has arrived.
    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Whether another request may be sent on this connection.
    pub(crate) fn is_open(&self) -> bool {
        !self.in_flight && self.stream.end().is_none()
    }

    /// Puts the connection at rest: its waker reports later events to `pool`. Returns `false` if the
    /// connection has ended.
    fn rest(&mut self, pool: impl FnOnce() -> PoolRef) -> bool {
        self.idle_waker.attach(pool);
        self.stream.rest();
        self.is_quiet()
    }

    /// Takes the connection back into use. Returns `false` if it has ended.
    fn resume(&mut self) -> bool {
        !self.idle_waker.detach() || self.stream.is_quiet(Waker::noop())
    }

    /// Reads what arrived while the connection was idle. Returns `false` if it has ended.
    fn is_quiet(&mut self) -> bool {
        self.idle_waker.listen();
        self.stream.is_quiet(&self.idle_waker.clone().into())
    }

    fn idle_waker(&self) -> &Arc<IdleWaker> {
        &self.idle_waker
    }

    pub(crate) fn is_valid_at(&self, at: i64) -> bool {
        at <= self.valid_until
    }

    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    pub(crate) fn idle_since(&self) -> Instant {
        self.idle_since
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_open() {
            self.stream.close_notify();
        }
    }
}
