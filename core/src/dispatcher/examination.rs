//! An operation that examines an endpoint and delivers nothing: what a diagnosis needs of a dispatcher.
//!
//! It takes no turn of the endpoint, passes no circuit, and changes neither: an endpoint whose turns are
//! all in use, or whose circuit is open, is the one to be examined. It takes permits, because it opens
//! sockets.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use http::header::{self, HeaderValue};

use super::operation::Operation;
use super::request::{RequestHead, USER_AGENT};
use super::{CancelToken, Dispatcher};
use crate::admission::Waiter;
use crate::connection::{Asked, Connection, Heard, Progress, Request};
use crate::endpoint::identity_rollout::may_be_refusal;
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind, Sent, key};
use crate::net::{Route, Sockets, connect};
use crate::tls::{self, Terms, Witness};

/// The examination of the current generation of one endpoint.
pub(crate) struct Examination {
    operation: Operation,
    generation: Arc<Generation>,
}

/// How the consumer answered a request without a payload.
pub(crate) enum Answered {
    /// With a status that shows that it took our certificate.
    Taken(u16),
    /// With this error.
    Refused(Error),
}

impl Dispatcher {
    /// Starts to examine an endpoint. Fails with `handle_closed`, `canceled`, `forked_process`,
    /// `option_invalid` or `overloaded`.
    ///
    /// * `timeout`: the deadline of the whole; `None` for the dispatcher's.
    pub(crate) fn examine(
        &self,
        endpoint: &Endpoint,
        timeout: Option<Duration>,
        cancel: CancelToken,
    ) -> Result<Examination, Error> {
        let mut deadlines = self.inner.options.deadlines;
        deadlines.total = timeout.unwrap_or(deadlines.total);
        let mut operation = Operation::unobserved(self, endpoint, deadlines, cancel);
        operation.enter(Waiter::Unknown, None)?;
        let generation = endpoint.generation();
        Ok(Examination { operation, generation })
    }
}

impl Examination {
    /// Starts the clock and the deadline.
    pub(crate) async fn begin(&mut self) -> Result<(), Error> {
        self.operation.begin().await?;
        self.operation.dispatcher.watch_files();
        self.operation.dispatcher.catch_up().await;
        self.generation = self.operation.endpoint.generation();
        Ok(())
    }

    /// Runs a part of the examination until it ends, is canceled, or the deadline passes.
    pub(crate) async fn bounded<R>(
        &self,
        work: impl Future<Output = Result<R, Error>>,
    ) -> Result<R, Error> {
        self.operation.bounded(work).await
    }

    pub(crate) fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    pub(crate) fn consumer(&self) -> &str {
        self.operation.endpoint.consumer()
    }

    pub(crate) fn route(&self) -> &Route {
        &self.operation.dispatcher.options.route
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.operation.progress
    }

    /// The deadline for the look-up and the connection together.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.operation.deadlines.connect
    }

    /// The time until the deadline of the whole, less a moment to end in.
    pub(crate) fn time_left(&self) -> Duration {
        const MOMENT: Duration = Duration::from_millis(100);
        let left = self.progress().by().saturating_duration_since(Instant::now());
        left.saturating_sub(MOMENT)
    }

    /// Prepares another connection.
    pub(crate) fn begin_again(&self) {
        self.progress().next_attempt();
    }

    async fn sockets(&self) -> Result<Sockets, Error> {
        let limit = &self.operation.dispatcher.connection_limit;
        let owner = self.generation.owner();
        Ok(Sockets::new(limit.permit(owner, self.operation.wait_limit()).await?))
    }

    /// Opens a TCP connection to one address, and closes it.
    pub(crate) async fn reach(&self, address: SocketAddr, within: Duration) -> Result<(), Error> {
        let sockets = self.sockets().await?;
        let by = Instant::now() + within;
        let addresses = [address];
        let connecting = connect(&addresses, &self.route().egress, sockets, by);
        match tokio::time::timeout(within, connecting).await {
            Ok(connected) => connected.map(drop),
            Err(_) => Err(Error::new(
                Kind::ConnectFailed,
                format!("{address} did not answer within {} ms", within.as_millis()),
            )),
        }
    }

    /// Opens a connection as a delivery does, under the eyes of a witness.
    pub(crate) async fn open(&self, witness: &Witness) -> Result<Box<Connection>, Error> {
        let limit = &self.operation.dispatcher.connection_limit;
        let owner = self.generation.owner();
        let permit = limit.permit(owner, self.operation.wait_limit()).await?;
        let terms =
            Terms { witness: Some(Box::new(witness.clone())), ..(*self.generation.terms).clone() };
        let (url, deadlines) = (&self.generation.url, &self.operation.deadlines);
        Connection::open(permit, url, &Arc::new(terms), self.route(), deadlines, self.progress())
            .await
            .map_err(|error| self.explain_close(error))
    }

    /// Waits for the verdict on our certificate, and closes the connection.
    pub(crate) async fn await_verdict(&self, connection: &mut Connection) -> Result<Heard, Error> {
        let heard = match connection.hear_late_verdict().await {
            Ok(heard) => connection.hear_close(self.progress()).await.map(|()| heard),
            Err(error) => Err(error),
        };
        heard.map_err(|error| self.explain_close(error))
    }

    /// Decides whether a connection that ended is a refusal, as a delivery in doubt does. Records nothing.
    fn explain_close(&self, error: Error) -> Error {
        if !may_be_refusal(&error) {
            return error;
        }
        let identity = self.generation.identity();
        let former = self.operation.endpoint.rollout().last().map(|(accepted, _)| accepted);
        let former = former.filter(|accepted| accepted != identity);
        if former.is_none() && error.fact(key::ISSUER_LISTED) != Some(&false) {
            return error;
        }
        tls::refused_by_close(&error, identity, former.as_ref())
    }

    /// Makes a request without a payload, and reads the head of its response.
    ///
    /// * `method`: HEAD or OPTIONS.
    pub(crate) async fn ask(
        &self,
        connection: &mut Connection,
        method: &Method,
    ) -> Result<Answered, Error> {
        let (generation, endpoint) = (&self.generation, &self.operation.endpoint);
        let url = &generation.url;
        let request = || {
            let mut head = RequestHead::of(method, url.target.as_str());
            head.add(&header::HOST, url.host_header.as_bytes());
            head.add(&header::USER_AGENT, USER_AGENT.as_bytes());
            head.add(&header::CONNECTION, HeaderValue::from_static("close").as_bytes());
            Ok(Request { head: head.finish(), body: bytes::Bytes::new(), held: false })
        };
        let progress = self.progress();
        if method == Method::HEAD {
            progress.expect_no_body();
        }
        let may_start = || endpoint.start(generation);
        let exchanged =
            connection.exchange(request, &may_start, &self.operation.deadlines, progress).await;
        let answer = match exchanged {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain_close(error)),
        };
        let status = answer.status();
        let asked = Asked { identity: generation.identity(), length: 0 };
        let rules = &self.operation.dispatcher.options.status_retry;
        if answer.is_success() {
            return Ok(Answered::Taken(status));
        }
        let error = answer.into_error(generation.status_retry(), rules, asked, false);
        Ok(match error.kind() {
            Kind::ClientCertificateRejected => {
                Answered::Refused(connection.refused_by_page(error).having_sent(Sent::Nothing))
            }
            // nginx sends the text of its page only in the body, which an answer to HEAD has not.
            _ if matches!(status, 401 | 403) || method == Method::HEAD && status == 400 => {
                Answered::Refused(error.having_sent(Sent::Nothing).noting(key::STATUS, status))
            }
            _ => Answered::Taken(status),
        })
    }
}
