//! Diagnosis: what is wrong with an endpoint, whose fault it is, and whom to tell.
//!
//! A diagnosis opens a connection as a delivery does, and goes on where a delivery stops: it collects
//! every fault of the consumer's chain, and waits for the verdict on our certificate. It never sends a
//! payload, and never presents our certificate to a consumer that a delivery would refuse. It uses the
//! steps of a delivery and has no rules of its own.

mod checks;
mod handshake;
mod letter;
mod message;
mod ours;
mod report;
mod required;
pub(crate) mod text;
mod verdict;
mod way;

use std::future::Future;
use std::time::{Duration, Instant};

use http::Method;

pub use checks::{Addressee, Check, CheckStatus, Group};
use report::Results;
pub use report::{CheckResult, Finding, Report, Verdict};
pub use text::Layout;

use crate::dispatcher::examination::{Answered, Examination};
use crate::dispatcher::{CancelToken, Dispatcher, Fanout, Receipt};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Stage, key, words};
use crate::net::Url;
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::runtime::{self, Task};
use crate::tls::Witness;

words! {
    /// A request without a payload, which shows how an HTTP server judges our certificate.
    #[non_exhaustive]
    DiagnosisRequest {
        /// HEAD. The answer has no body, so the text of a page is not seen.
        Head = 1 "head",
        /// OPTIONS.
        Options = 2 "options",
    }
}

impl DiagnosisRequest {
    fn method(self) -> Method {
        match self {
            Self::Head => Method::HEAD,
            Self::Options => Method::OPTIONS,
        }
    }
}

/// The limits of one diagnosis.
///
/// ```
/// use std::time::Duration;
/// use webhook_mtls::diagnosis::{DiagnosisOptions, DiagnosisRequest};
///
/// let options = DiagnosisOptions::new()
///     .timeout(Duration::from_secs(10))?
///     .request(DiagnosisRequest::Options);
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DiagnosisOptions {
    timeout: Option<Duration>,
    request: Option<DiagnosisRequest>,
    cancel: CancelToken,
}

impl DiagnosisOptions {
    /// Makes options with the dispatcher's timeout and without a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the deadline of the whole diagnosis, by default the dispatcher's. At the deadline, the
    /// report has the checks that have ended, and the check that ran has failed.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.timeout = Some(options::duration("timeout", timeout)?);
        Ok(self)
    }

    /// Makes a request without a payload after the handshake, by default none. Servers like nginx judge
    /// our certificate only when a request arrives.
    pub fn request(mut self, request: DiagnosisRequest) -> Self {
        self.request = Some(request);
        self
    }

    /// Cancels the diagnosis when `token` is canceled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }
}

impl SetByName for DiagnosisOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "diagnosis", name, value };
        match name {
            "timeout" => self.timeout(value.duration()?),
            "request" => {
                let text = value.text()?;
                let all = DiagnosisRequest::ALL;
                Ok(self.request(Error::named_by(name, &text, all, DiagnosisRequest::name)?))
            }
            _ => Err(options::mistyped("diagnosis", name)),
        }
    }
}

impl Dispatcher {
    /// Diagnoses an endpoint: checks our identity and trust, the way to the consumer, its side of the
    /// handshake, and its verdict on our certificate. A fault does not end the diagnosis where more can be
    /// found: a consumer with three faults gets a report with three. Sends no payload, and presents our
    /// certificate only to a consumer that a delivery would accept.
    ///
    /// Takes no turn of the endpoint and passes no circuit, and changes neither. Observers do not see it.
    ///
    /// # Errors
    ///
    /// A fault of the endpoint is in the report. Fails with `handle_closed`, `canceled`, `overloaded`,
    /// `forked_process` or `internal` if no diagnosis can be made.
    pub fn diagnose(
        &self,
        endpoint: &Endpoint,
        options: DiagnosisOptions,
    ) -> impl Future<Output = Result<Report, Error>> + Send + 'static {
        let DiagnosisOptions { timeout, request, cancel } = options;
        let examination = self.examine(endpoint, timeout, cancel);
        let consumer = endpoint.clone();
        async move {
            let outcome = match examination.and_then(|it| runtime::ready_here().map(|()| it)) {
                Ok(examination) => match Task::start(run(examination, request)) {
                    Ok(task) => task.output().await.and_then(|outcome| outcome),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            outcome.map_err(|error| error.for_consumer(consumer.consumer()))
        }
    }
}

impl<T, S> Fanout<T, S>
where
    T: Send + 'static,
    S: From<Receipt> + From<Report> + Send + 'static,
{
    /// Starts a diagnosis, as [`Dispatcher::diagnose`] does. It does not wait for the deliveries in line.
    /// Every failure of the diagnosis becomes an outcome.
    ///
    /// # Errors
    ///
    /// Fails with `forked_process`; with `overloaded` if the run is full, where an operation counts as
    /// a delivery without a payload; with `internal` if the runtime cannot be started.
    pub fn submit_diagnosis(
        &self,
        endpoint: &Endpoint,
        options: DiagnosisOptions,
        tag: T,
    ) -> Result<(), Error> {
        let diagnosis = self.dispatcher().diagnose(endpoint, options);
        self.submit_operation(async move { diagnosis.await.map(S::from) }, tag)
    }
}

/// Returns the report on an endpoint that cannot be made, because its material or its options are at
/// fault.
///
/// * `consumer`: the consumer id.
/// * `url`: the URL of the endpoint, as it is configured.
/// * `faults`: each with the group that it belongs to.
pub fn unusable(consumer: &str, url: &str, faults: &[(Group, Error)]) -> Report {
    let started = Instant::now();
    let mut results = Results::new();
    for (group, error) in faults {
        results.fail(ours::check_of_setup(*group, error), error.clone());
    }
    let origin = Url::parse(url).map_or_else(|_| "an unusable URL".to_owned(), |url| origin(&url));
    Report::new(consumer, origin, results.into_checks(), None, started.elapsed())
}

/// Scheme, host and port of a URL.
fn origin(url: &Url) -> String {
    format!("https://{}", url.authority())
}

async fn run(
    mut examination: Examination,
    request: Option<DiagnosisRequest>,
) -> Result<Report, Error> {
    let started = Instant::now();
    examination.begin().await?;
    let mut results = Results::new();
    let generation = examination.generation().clone();
    let withheld = ours::identity(&examination, &mut results);
    ours::trust(&examination, &mut results);
    let witness = Witness::new(withheld);
    // Boxed: it is large, and a diagnosis is rare.
    let work = Box::pin(examine(&examination, request, &witness, &mut results));
    if let Err(error) = examination.bounded(work).await {
        if !is_found(&error) {
            return Err(error);
        }
        handshake::record(&examination, &witness, None, &mut results);
        results.fail(check_at_end(&error, &witness), error);
    }
    let origin = origin(&generation.url);
    let (consumer, checks) = (examination.consumer(), results.into_checks());
    Ok(Report::new(consumer, origin, checks, Some(generation.identity()), started.elapsed()))
}

/// Whether an error is a finding about the endpoint, and not a reason that there is no report.
fn is_found(error: &Error) -> bool {
    !matches!(
        error.kind(),
        Kind::Canceled
            | Kind::HandleClosed
            | Kind::Overloaded
            | Kind::ForkedProcess
            | Kind::Internal
            | Kind::OptionInvalid
    )
}

/// The check that ran when the deadline passed.
fn check_at_end(error: &Error, witness: &Witness) -> Check {
    let check = verdict::check_of(error);
    if check == Check::HandshakeTls && witness.seen().is_complete() {
        return Check::VerdictCertificate;
    }
    check
}

/// Goes the way, makes the handshake and hears the verdict.
async fn examine(
    examination: &Examination,
    request: Option<DiagnosisRequest>,
    witness: &Witness,
    results: &mut Results,
) -> Result<(), Error> {
    way::mode_of_key(examination, results).await;
    if !way::resolve(examination, results).await? {
        return Ok(());
    }
    let opened = examination.open(witness).await;
    if let Err(error) = &opened
        && !is_found(error)
    {
        return Err(error.clone());
    }
    way::record(examination, opened.as_ref().err(), results);
    let peer = opened.as_ref().ok().map(|connection| connection.handshake.peer.clone());
    handshake::record(examination, witness, peer.as_ref(), results);
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(error) => {
            handshake::failed(&error, witness, results);
            return Ok(());
        }
    };
    let Some(request) = request else {
        results.skip(Check::VerdictHttp, "no request was asked for");
        match examination.await_verdict(&mut connection).await {
            Ok(heard) => handshake::heard(examination, heard, results),
            Err(error) => results.fail(Check::VerdictCertificate, error),
        }
        drop(connection);
        required::check(examination, None, None, results).await;
        return Ok(());
    };
    let answered = ask(examination, &mut connection, request, results).await?;
    // One connection at a time: the consumer may allow no more.
    drop(connection);
    required::check(examination, Some(request), answered, results).await;
    Ok(())
}

/// Makes the request with our certificate. Returns the status of the answer, if there was one.
async fn ask(
    examination: &Examination,
    connection: &mut crate::connection::Connection,
    request: DiagnosisRequest,
    results: &mut Results,
) -> Result<Option<u16>, Error> {
    let name = request.name().to_uppercase();
    match examination.ask(connection, &request.method()).await {
        Ok(Answered::Taken(status)) => {
            results.pass(Check::VerdictCertificate, "accepted: the consumer answers requests");
            results.pass(Check::VerdictHttp, format!("HTTP {status} to {name}"));
            return Ok(Some(status));
        }
        Ok(Answered::Refused(error)) if error.kind() == Kind::ClientCertificateRejected => {
            results.miss(Check::VerdictCertificate, "judged by HTTP: see below");
            results.fail(Check::VerdictHttp, error);
        }
        Ok(Answered::Refused(error)) => {
            results.pass(Check::VerdictCertificate, "accepted by TLS");
            results.warn(Check::VerdictHttp, error.message(), error.remedy());
            let status = error.fact(key::STATUS);
            return Ok(status.and_then(|status| u16::try_from(status.0).ok()));
        }
        Err(error) if !is_found(&error) => return Err(error),
        Err(error) => {
            let check = match error.kind() {
                Kind::ClientCertificateRejected => Check::VerdictCertificate,
                _ if error.stage() < Stage::Request => Check::VerdictCertificate,
                _ => Check::VerdictHttp,
            };
            results.fail(check, error);
        }
    }
    Ok(None)
}

#[cfg(test)]
impl options::current::Current for DiagnosisOptions {
    fn current(&self, name: &str) -> String {
        match name {
            "timeout" => {
                self.timeout.map_or("the dispatcher's".to_owned(), options::current::millis)
            }
            "request" => self.request.map_or("none", DiagnosisRequest::name).to_owned(),
            _ => panic!("a diagnosis has no option {name}"),
        }
    }
}
