//! Floor 7: one HTTP/1.1 connection over mutual TLS, and what can truly be said when it fails.

mod deadline;
mod handshake_only;
#[cfg(test)]
mod hyper_differential_tests;
mod idle_waker;
pub(crate) mod pool;
mod records;
mod request_writer;
mod response;
mod socket;
mod tls_stream;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

pub(crate) use deadline::{Deadlines, Progress, Timings, fraction};
pub(crate) use handshake_only::{Sighting, probe};
use idle_waker::IdleWaker;
use pool::PoolRef;
use request_writer::{Hold, RequestWriter};
pub(crate) use request_writer::{MayStart, Request};
pub(crate) use response::Answer;
pub use response::HttpResponse;
#[cfg(any(test, feature = "testing"))]
pub use response::read_answer;
use tls_stream::{End, TlsStream};

use crate::admission::fair_limit::Permit;
use crate::error::{Blame, Error, Kind, Scope, Sent, Stage};
use crate::http::{Fault, Head, Heads, MAX_HEAD, MAX_HEADERS, MOST_INTERIM};
use crate::net::{Route, Sockets, Url, resolve};
use crate::runtime::poll_due;
use crate::tls::{self, Established, Terms, TlsFacts, handshake, valid_until};
use crate::verify::PeerIdentity;
use socket::Socket;

/// An open connection whose peer was verified. Dropped while it is idle it says goodbye; in use, it is
/// cut.
pub(crate) struct Connection {
    stream: TlsStream,
    /// Rings while it lies in its pool.
    idle_waker: Arc<IdleWaker>,
    terms: Arc<Terms>,
    pub(crate) peer: Arc<PeerIdentity>,
    pub(crate) facts: Arc<TlsFacts>,
    pub(crate) address: SocketAddr,
    /// Unix seconds after which a certificate or CRL that it rests on is no longer valid.
    valid_until: i64,
    opened: Instant,
    idle_since: Instant,
    in_flight: bool,
    /// Of the last request.
    hold: Option<Hold>,
    /// Of the last request's final answer.
    status: Option<u16>,
    /// After what holds the descriptor: it is given back when that is closed.
    _permit: Option<Permit>,
}

impl Connection {
    /// Resolves, connects and shakes hands. Nothing is sent. The permit of a socket is given back when
    /// its descriptor is closed.
    pub(crate) async fn open(
        permit: Permit,
        url: &Url,
        terms: &Arc<Terms>,
        route: &Route,
        deadlines: &Deadlines,
        progress: &Progress,
    ) -> Result<(Box<Self>, Timings), Error> {
        let sockets = Sockets::new(permit);
        let Secured { established, address, timings, permit } =
            Secured::open(sockets, url, terms, route, deadlines, progress).await?;
        let shaken = Instant::now();
        let connection = Box::new(Self {
            stream: TlsStream::new(established.stream),
            idle_waker: Arc::default(),
            valid_until: valid_until(&established.peer, terms.identity()),
            terms: terms.clone(),
            peer: established.peer.into(),
            facts: established.facts.into(),
            address,
            opened: shaken,
            idle_since: shaken,
            in_flight: false,
            hold: None,
            status: None,
            _permit: permit,
        });
        Ok((connection, timings))
    }

    /// Sends a request and reads its answer, and says how long that took. The connection may be used
    /// again only if the answer says so.
    ///
    /// * `request`: makes it. Nothing is sent if that fails.
    /// * `may_start`: asked right before the first byte. If it says no, nothing is sent, and the error
    ///   is `handle_closed`.
    pub(crate) async fn exchange<'a>(
        &mut self,
        request: impl FnOnce() -> Result<Request, Error>,
        may_start: MayStart<'a>,
        deadlines: &Deadlines,
        progress: &'a Progress,
    ) -> Result<(Answer, Duration), Error> {
        (self.hold, self.status) = (None, None);
        let by = progress.by();
        let request = request()?;
        progress.enter(Stage::Request);
        self.in_flight = true;
        if !self.stream.begin() {
            return Err(self.fault(Fault::Lost, Sent::Nothing));
        }
        let started = Instant::now();
        let mut writer = RequestWriter::new(request, may_start, started, progress);
        let mut heads = Heads::default();
        // One timer for all of it. It may go off before something is due, and is set again then.
        let first = writer.first_due(deadlines).min(by);
        let mut timer = pin!(tokio::time::sleep_until(first.into()));
        let stream = &mut self.stream;
        // All that waits does so here, and what it waits for is polled by reference: each function
        // that a future is passed through would keep room for it once more.
        let head = poll_fn(|context| {
            stream.begin_turn();
            loop {
                let polled = poll_head(stream, &mut writer, &mut heads, context);
                if polled.is_ready() {
                    return polled.map(Some);
                }
                let due = || writer.due(deadlines).min(by);
                ready!(poll_due(timer.as_mut(), due, context));
                if due() == by || !writer.lapse() {
                    return Poll::Ready(None);
                }
            }
        })
        .await;
        writer.shut();
        self.hold = writer.hold();
        let sent = progress.sent_now();
        let head = match head {
            Some(Ok(head)) => head,
            Some(Err(fault)) => return Err(self.fault(fault, sent)),
            None => {
                return Err(progress.overdue(writer.part(), writer.due(deadlines), deadlines));
            }
        };
        let status = head.status;
        self.status = Some(status);
        let invalid = |why: &str| {
            Err(Error::new(Kind::HttpInvalid, format!("the consumer answered {status} {why}"))
                .having_sent(sent)
                .noting("status", status))
        };
        // Whoever answers before having read the request answers something else. A refusal may come
        // early: it is one all the same.
        if (200..=299).contains(&status) && (sent != Sent::All || heads.is_early()) {
            return invalid("before the request had left").map_err(|error: Error| {
                error.advising("The consumer must read the whole request before it answers 2xx.")
            });
        }
        if status < 200 {
            return invalid("to a request that asked for no other protocol");
        }
        progress.decide();
        let (mut answer, mut framing) = Answer::new(head);
        let mut due = None;
        let stream = &mut self.stream;
        poll_fn(|context| {
            stream.begin_turn();
            // A consumer may read the rest of a request that it has turned down. Whether it does says
            // nothing more. Of one that it turned down unseen, nothing is sent.
            if sent != Sent::Nothing {
                let _ = writer.go_on(stream, context);
            }
            // Whoever has enough looks on at once.
            let read = answer.poll_body(&mut framing, stream, context);
            if read.is_ready() || progress.is_enough() {
                return Poll::Ready(());
            }
            // Mostly the body comes along with the head, and needs no time of its own.
            let due = *due.get_or_insert_with(|| by.min(Instant::now() + deadlines.response));
            poll_due(timer.as_mut(), || due, context)
        })
        .await;
        // A connection on which a request was cut off, or an answer may end in two places, is spent.
        self.in_flight = !(sent == Sent::All && framing.is_plain() && answer.is_complete());
        self.idle_since = Instant::now();
        Ok((answer, self.idle_since - started))
    }

    /// Whether the consumer released the last request's payload, or let it come by itself. `None` if
    /// it was not held, or never left.
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

    /// Whether the last request's payload was held and is still here.
    pub(crate) fn withheld(&self) -> bool {
        self.hold.is_some() && self.hold_honored().is_none()
    }

    /// The status of the final answer to the last request, once its head has come.
    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    /// What it means that no answer came; so much of the request was sent.
    fn fault(&self, fault: Fault, sent: Sent) -> Error {
        let stream = &self.stream;
        let stage = if sent == Sent::All { Stage::Response } else { Stage::Request };
        let answered =
            |kind, message: String| Error::new(kind, message).at(Stage::Response).having_sent(sent);
        match fault {
            Fault::Flood => {
                return Error::new(
                    Kind::HttpInvalid,
                    format!("more than {MOST_INTERIM} interim answers came, and no final one"),
                )
                .having_sent(sent);
            }
            Fault::TooLong => {
                let message = format!("the head of the answer exceeds {MAX_HEAD} bytes");
                return answered(Kind::ResponseTooLarge, message);
            }
            Fault::TooManyHeaders => {
                let message = format!("the answer has more than {MAX_HEADERS} headers");
                return answered(Kind::ResponseTooLarge, message);
            }
            Fault::Malformed => {
                return answered(Kind::HttpInvalid, "the answer is not HTTP/1.1".to_owned());
            }
            Fault::Withdrawn => {
                let why = "the endpoint was given other settings before the request began";
                return Error::new(Kind::HandleClosed, why).at(Stage::Admit);
            }
            Fault::Lost => {}
        }
        if let Some(alert) = stream.alert() {
            if alert.is_about_certificate() {
                // In TLS 1.3 it is the verdict on our certificate, which comes before the request is
                // looked at; later ones may be anything.
                let unread = self.facts.version == "TLSv1.3"
                    && stream.is_first_and_unanswered()
                    && !stream.is_accepted();
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
        let how = stream.end().map_or("closed", End::words);
        if stream.end() == Some(End::Flooded) {
            let what = "the consumer sent TLS messages without data and without end";
            let message = format!("{what}; {} of the request was sent", sent.name());
            return Error::new(Kind::ConnectionLost, message)
                .at(stage)
                .blamed(Blame::Theirs)
                .scoped(Scope::Endpoint)
                .advising("The consumer must stop sending TLS messages (tickets, key updates) without data.")
                .having_sent(sent)
                .noting("how", how);
        }
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
        if stream.is_answered() {
            lost = lost.noting("answer_began", true);
        } else if stream.is_first_and_unanswered() && sent != Sent::Nothing {
            // Servers that only reset when they do not take a certificate look just like this.
            lost = lost.noting("hint", "client_certificate_may_be_refused");
        }
        lost
    }

    /// Whether a request may be tried on it.
    pub(crate) fn is_open(&self) -> bool {
        !self.in_flight && self.stream.end().is_none()
    }

    /// It is left to itself: what happens from now on, its home looks at. `false` if it is of no use
    /// any more.
    fn rest(&mut self, pool: impl FnOnce() -> PoolRef) -> bool {
        self.idle_waker.attach(pool);
        self.stream.rest();
        self.is_quiet()
    }

    /// It is taken back into use. `false` if it is of no use any more.
    fn resume(&mut self) -> bool {
        !self.idle_waker.detach() || self.stream.is_quiet(Waker::noop())
    }

    /// Looks at what happened while it lay idle. `false` if it is of no use any more.
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

/// Writes what can be written of a request, and reads up to the head of the final answer, which may
/// come before the whole request is written; and so may a refusal.
fn poll_head(
    stream: &mut TlsStream,
    writer: &mut RequestWriter<'_>,
    heads: &mut Heads,
    context: &mut Context<'_>,
) -> Poll<Result<Head, Fault>> {
    loop {
        // What has come already is judged before more is written.
        if !stream.has_plaintext() {
            writer.go_on(stream, context)?;
        }
        let Some(bytes) = ready!(stream.poll_read(context)) else {
            return Poll::Ready(Err(Fault::Lost));
        };
        let (taken, head) = heads.take(bytes)?;
        stream.consume(taken);
        if stream.is_early() || !writer.has_left() {
            heads.note_early(head.is_some());
        }
        if let Some(head) = head {
            return Poll::Ready(Ok(head));
        }
        if heads.is_continued() {
            writer.release();
        }
    }
}

/// A finished handshake on a fresh connection, before anything is sent.
struct Secured {
    established: Established<Socket>,
    address: SocketAddr,
    timings: Timings,
    permit: Option<Permit>,
}

impl Secured {
    async fn open(
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
        // The addresses share the time that is left, which the whole delivery may bound.
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

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_open() {
            self.stream.say_goodbye();
        }
    }
}
