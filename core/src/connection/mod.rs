//! Floor 7: one HTTP/1.1 connection over mutual TLS, and what can truly be said when it fails.

mod answer;
mod body;
mod deadline;
mod driver;
mod framing;
mod interim;
pub(crate) mod pool;
mod probe;
mod recorder;
mod socket;
mod status;
mod turn;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

pub(crate) use answer::Answer;
pub use answer::HttpResponse;
use body::{Body, Hold, LONGEST_HOLD};
use deadline::poll_due;
pub(crate) use deadline::{Deadlines, Progress, Timings, fraction};
use driver::Driver;
pub(crate) use pool::Permit;
pub(crate) use probe::probe;
pub(crate) use recorder::Record;
pub(crate) use status::StatusRetry;
pub(crate) use turn::{Room, Turn, Turns};

use crate::error::{Error, Kind, Sent, Stage};
use crate::net::{Route, Url, resolve};
use crate::tls::{self, Established, Terms, TlsFacts, handshake, valid_until};
use crate::verify::PeerIdentity;
use recorder::{MOST_INTERIM, Recorder};
use socket::Socket;

/// The head of an answer: 16 KiB, 100 headers. The latter is what the HTTP client has by itself; told,
/// it would fill its tables anew for each answer.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;

/// What the HTTP client makes of a request.
type Sending = Result<Response<Incoming>, TrySendError<Request<Body>>>;

/// An open connection whose peer was verified. Dropped while it is idle it says goodbye; in use, it is
/// cut.
pub(crate) struct Connection {
    /// Before the driver, which ends when this is dropped.
    sender: SendRequest<Body>,
    driver: Driver,
    record: Arc<Record>,
    terms: Arc<Terms>,
    pub(crate) peer: Arc<PeerIdentity>,
    pub(crate) facts: Arc<TlsFacts>,
    pub(crate) address: SocketAddr,
    /// Unix seconds after which a certificate of either side is no longer valid.
    valid_until: i64,
    opened: Instant,
    idle_since: Instant,
    in_flight: bool,
    /// Of the request under way, or of the last one.
    hold: Option<Arc<Hold>>,
}

impl Connection {
    /// Resolves, connects and shakes hands. Nothing is sent. The permit is given back when the
    /// descriptor is closed.
    pub(crate) async fn open(
        permit: Permit,
        url: &Url,
        terms: &Arc<Terms>,
        route: &Route,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<(Box<Self>, Timings), Error> {
        let Secured { established, record, address, timings } =
            Secured::open(url, terms, route, deadlines, progress).await?;
        let (sender, http) = Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(Recorder::new(established.stream, record.clone())))
            .await
            .map_err(|error| Error::new(Kind::Internal, format!("HTTP connection: {error}")))?;
        let shaken = Instant::now();
        let connection = Box::new(Self {
            sender,
            driver: Driver::new(http, permit),
            record,
            valid_until: valid_until(&established.peer, terms.identity()),
            terms: terms.clone(),
            peer: established.peer.into(),
            facts: established.facts.into(),
            address,
            opened: shaken,
            idle_since: shaken,
            in_flight: false,
            hold: None,
        });
        Ok((connection, timings))
    }

    /// Sends a request and reads its answer, and says how long that took. The connection may be used
    /// again only if the answer says so.
    ///
    /// * `request`: makes it. Nothing is sent if that fails.
    /// * `hold`: keep the body back until the consumer says 100 (Continue), or has not for a second.
    pub(crate) async fn exchange(
        &mut self,
        request: impl FnOnce() -> Result<Request<Bytes>, Error>,
        hold: bool,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<(Answer, Duration), Error> {
        self.hold = None;
        let request = request()?;
        let started = Instant::now();
        // One timer for all of it. It may go off before something is due, and is set again then.
        let first = started + deadlines.response.min(deadlines.write);
        let mut timer = pin!(tokio::time::sleep_until(first.into()));
        // All that waits does so here, and what it waits for is polled by reference: each function
        // that a future is passed through would keep room for it once more.
        let head = {
            let mut sending = pin!(self.send(request, hold, progress));
            let hold = if self.hold.is_some() { LONGEST_HOLD } else { Duration::ZERO };
            // The answer may come before the whole request is written, and so may a refusal.
            let due = || match self.record.flushed_at() {
                None => started + hold + deadlines.write,
                Some(at) => at + deadlines.response,
            };
            let work = |context: &mut Context<'_>| match sending.as_mut().poll(context) {
                Poll::Ready(sent) => Poll::Ready(Some(sent)),
                Poll::Pending => poll_due(timer.as_mut(), due, context).map(|()| None),
            };
            self.driver.along(work).await
        };
        let head = self.head(head, deadlines, progress)?;
        // Nobody wants a payload any more that is still held.
        self.hold.iter().for_each(|hold| hold.shut());
        let (status, sent) = (head.status(), self.record.sent());
        let invalid = |why: &str| {
            Err(Error::new(
                Kind::HttpInvalid,
                format!("the consumer answered {} {why}", status.as_u16()),
            )
            .having_sent(self.record.seal())
            .noting("status", status.as_u16()))
        };
        // Whoever answers before having read the request answers something else.
        if status.is_success() && sent != Sent::All {
            return invalid("before the request was written");
        }
        if status.is_informational() {
            return invalid("to a request that asked for no other protocol");
        }
        progress.decide();
        // A connection on which a request was cut off, or an answer may end in two places, is spent.
        let plain = sent == Sent::All && framing::is_plain(&head);
        let (head, mut incoming) = head.into_parts();
        let mut answer = Answer::new(head);
        let mut by = None;
        let work = |context: &mut Context<'_>| {
            // Whoever has enough looks on at once.
            if answer.poll_body(&mut incoming, context).is_ready() || progress.is_enough() {
                return Poll::Ready(());
            }
            // Mostly the body comes along with the head, and needs no time of its own.
            let by = *by.get_or_insert_with(|| Instant::now() + deadlines.response);
            poll_due(timer.as_mut(), || by, context)
        };
        self.driver.along(work).await;
        self.in_flight = !(plain && answer.is_complete());
        self.idle_since = Instant::now();
        Ok((answer, self.idle_since - started))
    }

    /// Whether the consumer released the last request's payload, or let it come by itself. `None` if
    /// it was not held, or never left.
    pub(crate) fn hold_honored(&self) -> Option<bool> {
        self.hold.as_ref()?.is_honored()
    }

    /// Whether the last request's payload was held and is still here.
    pub(crate) fn withheld(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.is_honored().is_none())
    }

    /// Hands a request to the HTTP client, which sends it when it is driven.
    fn send(
        &mut self,
        request: Request<Bytes>,
        hold: bool,
        progress: &Progress,
    ) -> impl Future<Output = Sending> + use<> {
        let (mut head, bytes) = request.into_parts();
        self.record.begin(bytes.len() as u64);
        // Without content there is nothing to expect (RFC 9110 section 10.1.1).
        self.hold = (hold && !bytes.is_empty()).then(Arc::default);
        if self.hold.is_some() {
            head.headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        let mut request = Request::from_parts(head, Body::new(bytes, self.hold.clone()));
        interim::watch(&mut request, &self.record, self.hold.clone());
        progress.record(&self.record);
        progress.enter(Stage::Request);
        self.in_flight = true;
        self.sender.try_send_request(request)
    }

    /// The head of the final answer; `None` if it was not there in time.
    fn head(
        &self,
        head: Option<Sending>,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Error> {
        let record = &self.record;
        // The last interim answers and the final one may come in one piece.
        if record.is_flooded() {
            return Err(Error::new(
                Kind::HttpInvalid,
                format!("more than {MOST_INTERIM} interim answers came, and no final one"),
            )
            .having_sent(record.seal()));
        }
        let Some(head) = head else {
            let part = if record.flushed_at().is_some() { "response" } else { "write" };
            return Err(progress.overdue(part, deadlines.of(part)));
        };
        head.map_err(|error| {
            let returned = error.message().is_some();
            self.fault(&error.into_error(), returned)
        })
    }

    /// What an error of the HTTP client means, by the record of the connection.
    fn fault(&self, error: &hyper::Error, returned: bool) -> Error {
        let record = &self.record;
        // A request that was handed back was never begun.
        let sent = if returned { Sent::Nothing } else { record.seal() };
        let stage = if sent == Sent::All { Stage::Response } else { Stage::Request };
        if let Some(alert) = record.alert() {
            if alert.is_about_certificate() {
                // In TLS 1.3 it is the verdict on our certificate, which comes before the request is
                // looked at; later ones may be anything.
                let unread = self.facts.version == "TLSv1.3"
                    && record.is_first_and_unanswered()
                    && !record.is_accepted();
                let sent = if unread { Sent::Nothing } else { sent };
                let stage = if unread { Stage::Handshake } else { stage };
                return tls::rejected(alert, self.terms.identity().leaf())
                    .at(stage)
                    .having_sent(sent);
            }
            let name = alert.name();
            return Error::new(
                Kind::ConnectionLost,
                format!("the consumer ended the connection with the alert {name}"),
            )
            .at(stage)
            .having_sent(sent)
            .noting("alert", name);
        }
        // hyper names this one only in its text.
        if error.is_parse() && error.to_string().contains("too large") {
            return Error::new(
                Kind::ResponseTooLarge,
                format!("the head of the answer exceeds {MAX_HEAD} bytes or {MAX_HEADERS} headers"),
            )
            .at(Stage::Response)
            .having_sent(sent);
        }
        if error.is_parse() || error.is_parse_status() {
            return Error::new(Kind::HttpInvalid, "the answer is not HTTP/1.1")
                .at(Stage::Response)
                .having_sent(sent);
        }
        let how = record.end().unwrap_or("closed");
        let mut lost = Error::new(
            Kind::ConnectionLost,
            format!(
                "the connection was {how} before an answer came; {} of the request was sent",
                sent.name()
            ),
        )
        .at(stage)
        .having_sent(sent)
        .noting("how", how);
        if record.is_answered() {
            lost = lost.noting("answer_began", true);
        } else if record.is_first_and_unanswered() && sent != Sent::Nothing {
            // Servers that only reset when they do not take a certificate look just like this.
            lost = lost.noting("hint", "client_certificate_may_be_refused");
        }
        lost
    }

    /// Whether a request may be tried on it.
    pub(crate) fn is_open(&self) -> bool {
        !self.in_flight && !self.driver.has_ended() && self.record.end().is_none()
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

    /// Waits until it takes a request. `false` if it closed meanwhile.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let sender = &mut self.sender;
        let ready = sender.is_ready()
            || self.driver.along(|context| sender.poll_ready(context)).await.is_ok();
        ready && self.is_open()
    }
}

/// A finished handshake on a fresh connection, before anything is sent.
struct Secured {
    established: Established<Socket>,
    record: Arc<Record>,
    address: SocketAddr,
    timings: Timings,
}

impl Secured {
    async fn open(
        url: &Url,
        terms: &Arc<Terms>,
        route: &Route,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        progress.enter(Stage::Resolve);
        let by = started + deadlines.connect;
        let addresses =
            deadlines.within("connect", by, progress, resolve(url, &route.egress)).await?;
        let resolved = Instant::now();
        progress.enter(Stage::Connect);
        let connecting = route.connect(&addresses);
        let (stream, address) = deadlines.within("connect", by, progress, connecting).await?;
        let connected = Instant::now();

        progress.enter(Stage::Handshake);
        let record = Arc::new(Record::default());
        let socket = Socket::new(stream, record.broken());
        let by = connected + deadlines.handshake;
        let established =
            deadlines.within("handshake", by, progress, handshake(terms, socket)).await?;
        let timings = Timings {
            resolve: resolved - started,
            connect: connected - resolved,
            handshake: connected.elapsed(),
            ..Timings::default()
        };
        Ok(Self { established, record, address, timings })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.in_flight {
            self.driver.cut();
        }
    }
}
