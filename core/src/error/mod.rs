//! Failures, and the facts about them that a caller needs.
//!
//! An [`Error`] is cheap to clone, never contains key material or payload, and has one JSON form that
//! every language shows. This room knows nothing of TLS, HTTP or any other part of the crate.

mod argument;
pub(crate) mod cause;
mod class;
mod conversion;
mod details;
mod exhausted;
mod facts;
mod kind;
mod presented;
mod response;
mod shown;
pub(crate) mod spelling;
pub(crate) mod unknown_name;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use class::{Blame, Family, Retry, Scope, Sent, Stage};
pub(crate) use class::{docs, words};
pub(crate) use conversion::{PIN_IS_MISSING, URL_IS_MISSING};
pub use details::Context;
use details::{Details, Key};
pub(crate) use details::{Fact, KEYS, key};
pub(crate) use exhausted::exhausted;
pub(crate) use facts::{
    ConnectionParts, DeliveryFacts, HandshakeJson, ShownHandshake, Timings, fraction,
};
pub use kind::Kind;
pub(crate) use presented::{MAX_PRESENTED, composed, composed_value, presented, presented_list};
pub use response::HttpResponse;
pub(crate) use shown::{Form, certain_secret, described, is_plain, shown};

/// Between what to do and the command line that shows more.
const LEADS: &str = " This shows more: ";

/// Why a delivery or a verification failed, whose fault it is, and how much was sent.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::testing::{Answer, Lab};
/// use webhook_mtls::{DeliverOptions, Kind, Retry, Sent};
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
///
/// acme.respond(Answer::status(503), 1);
/// let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
/// let error = outcome.expect("nothing interrupts it").unwrap_err();
/// assert_eq!((error.kind(), error.sent()), (Kind::HttpStatus, Sent::All));
/// assert_eq!(error.retry(), Retry::Later);
/// eprintln!("{error}. {}", error.remedy());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: Kind,
    stage: Stage,
    blame: Blame,
    scope: Scope,
    sent: Sent,
    retry: Retry,
    retry_after: Option<Duration>,
    consumer: Option<String>,
    message: String,
    remedy: Option<String>,
    details: Details,
    response: Option<HttpResponse>,
    facts: Option<Box<DeliveryFacts>>,
    source: Option<Source>,
}

/// An error of the application's code that caused a failure.
pub(crate) type Source = Arc<dyn std::error::Error + Send + Sync>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                stage: kind.stage(),
                blame: kind.blame(),
                scope: kind.scope(),
                sent: Sent::Nothing,
                retry: kind.retry(),
                retry_after: None,
                consumer: None,
                message: composed(message.into()),
                remedy: None,
                details: Details::default(),
                response: None,
                facts: None,
                source: None,
            }),
        }
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// Returns the step that failed.
    pub fn stage(&self) -> Stage {
        self.inner.stage
    }

    /// Returns whose fault it is.
    pub fn blame(&self) -> Blame {
        self.inner.blame
    }

    /// Returns what the failure stops.
    pub fn scope(&self) -> Scope {
        self.inner.scope
    }

    /// Returns how much of the request left.
    pub fn sent(&self) -> Sent {
        self.inner.sent
    }

    /// Returns whether a retry helps.
    pub fn retry(&self) -> Retry {
        self.inner.retry
    }

    /// Returns how long to wait before a retry, if the consumer said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Returns the consumer id of the endpoint, if there is one.
    pub fn consumer(&self) -> Option<&str> {
        self.inner.consumer.as_deref()
    }

    /// Returns what was seen and what was expected, in one sentence.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Returns what to do, in one sentence.
    pub fn remedy(&self) -> &str {
        self.inner.remedy.as_deref().unwrap_or(self.kind().remedy())
    }

    /// Returns the address of the page about the kind, with the causes that the library tells apart and
    /// the cure of each.
    pub fn help(&self) -> &'static str {
        self.kind().help()
    }

    /// Returns named facts about the failure, as the JSON object that every language shows.
    /// `docs/errors.md` lists the keys, which are stable.
    pub fn context(&self) -> Context {
        self.inner.details.to_context()
    }

    /// Returns the fact with this key, if the error has it.
    pub(crate) fn fact<T: Fact>(&self, key: Key<T>) -> Option<&T> {
        self.inner.details.get(key)
    }

    /// Returns the consumer's response, if there was one.
    pub fn response(&self) -> Option<&HttpResponse> {
        self.inner.response.as_ref()
    }

    /// Returns the event's id, if the error ended a delivery that had one. `None` also for an id that
    /// looks like a key: errors are logged.
    pub fn id(&self) -> Option<&str> {
        self.inner.facts.as_ref()?.id.as_deref()
    }

    /// Returns how many attempts began, if the error ended a delivery or a probe. 0: it was not
    /// admitted.
    pub fn attempts(&self) -> Option<u32> {
        self.inner.facts.as_ref().map(|facts| facts.attempts)
    }

    /// Returns the total duration, if the error ended a delivery or a probe.
    pub fn elapsed(&self) -> Option<Duration> {
        self.inner.facts.as_ref().map(|facts| facts.elapsed)
    }

    /// Returns the class of exception that a binding raises for it.
    pub fn family(&self) -> Family {
        match self.stage() {
            Stage::Config => Family::Config,
            Stage::Verify => Family::Peer,
            _ => Family::Delivery,
        }
    }

    /// Returns the whole error in the JSON form that every language shows. Durations are milliseconds.
    ///
    /// An error that ended a delivery or a probe has what a receipt has, as far as it is known: `id`,
    /// `attempts`, `elapsed_ms`, and of the last attempt `timings`, `connection`, `tls` and `peer`. In
    /// any other error they are `null`.
    pub fn to_json(&self) -> Value {
        let inner = &*self.inner;
        let mut shown = json!({
            "kind": inner.kind.name(),
            "number": inner.kind.number(),
            "stage": inner.stage.name(),
            "blame": inner.blame.name(),
            "scope": inner.scope.name(),
            "sent": inner.sent.name(),
            "retry": inner.retry.name(),
            "retry_after_ms": inner.retry_after.map(saturating_millis),
            "consumer": inner.consumer,
            "message": inner.message,
            "remedy": self.remedy(),
            "help": self.help(),
            "context": self.context(),
            "response": inner.response.as_ref().map(HttpResponse::to_json),
        });
        DeliveryFacts::show(inner.facts.as_deref(), &mut shown);
        shown
    }

    /// Returns the error of a value that [`to_json`](Self::to_json) made, or `None` for any other value.
    ///
    /// So `RetryPolicy::decide` can handle an error that passed through a queue.
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let kind = Kind::from_name(text("kind")?)?;
        Some(Self {
            inner: Arc::new(Inner {
                kind,
                stage: Stage::from_name(text("stage")?)?,
                blame: Blame::from_name(text("blame")?)?,
                scope: Scope::from_name(text("scope")?)?,
                sent: Sent::from_name(text("sent")?)?,
                retry: Retry::from_name(text("retry")?)?,
                retry_after: value
                    .get("retry_after_ms")
                    .and_then(Value::as_u64)
                    .map(Duration::from_millis),
                consumer: text("consumer").map(str::to_owned),
                message: text("message")?.to_owned(),
                remedy: text("remedy").filter(|said| *said != kind.remedy()).map(str::to_owned),
                details: Details::from_json(value.get("context")?.as_object()?),
                response: value.get("response").and_then(HttpResponse::from_json),
                facts: DeliveryFacts::from_json(value).map(Box::new),
                source: None,
            }),
        })
    }

    /// Returns the part that may be shown to the consumer, without addresses and internals.
    pub fn public(&self) -> Value {
        let inner = &*self.inner;
        let shown = inner.details.to_json(|row| row.is_public);
        // Addresses, egress rules and the proxy are ours and stay private.
        let is_internal = matches!(inner.kind, Kind::EgressDenied | Kind::ProxyRefused);
        let remedy = (inner.blame == Blame::Theirs && !is_internal).then(|| inner.kind.remedy());
        json!({
            "kind": inner.kind.name(),
            "stage": inner.stage.name(),
            "sent": inner.sent.name(),
            "retry": inner.retry.name(),
            "consumer": inner.consumer,
            "message": inner.kind.title(),
            "remedy": remedy,
            "context": if is_internal { Context::new() } else { shown },
        })
    }

    /// The error for a child that was forked, about work of its parent. The parent may send the request at
    /// any time, so the child cannot know that nothing was sent.
    pub(crate) fn of_parent(message: &str) -> Self {
        Self::new(Kind::ForkedProcess, message)
            .having_sent(Sent::Maybe)
            .noting(key::PAYLOAD_SENT, true)
    }

    /// The error for a panic that a binding caught.
    pub fn caught_panic() -> Self {
        Self::new(Kind::Internal, "a panic was caught at the language border")
    }

    /// The error for a caller's store for ids that failed, in a language without exceptions.
    #[doc(hidden)]
    pub fn store_failed() -> Self {
        Self::new(Kind::Canceled, "the store for ids failed, so the webhook was not accepted")
            .at(Stage::Verify)
            .advising("Answer 503, so that the sender tries again, and repair the store.")
    }

    // -- for the other rooms, which build errors ---------------------------------------------------

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    pub(crate) fn at(self, stage: Stage) -> Self {
        self.with(|inner| inner.stage = stage)
    }

    pub(crate) fn blamed(self, blame: Blame) -> Self {
        self.with(|inner| inner.blame = blame)
    }

    pub(crate) fn scoped(self, scope: Scope) -> Self {
        self.with(|inner| inner.scope = scope)
    }

    pub(crate) fn having_sent(self, sent: Sent) -> Self {
        self.with(|inner| inner.sent = sent)
    }

    pub(crate) fn retried(self, retry: Retry, after: Option<Duration>) -> Self {
        self.with(|inner| {
            inner.retry = retry;
            inner.retry_after = after;
        })
    }

    pub(crate) fn for_consumer(self, consumer: &str) -> Self {
        self.with(|inner| inner.consumer = Some(consumer.to_owned()))
    }

    /// Adds the facts of the delivery or probe that the error ended. The id is a caller's text, so one
    /// that cannot be sent or that looks like a secret is left out.
    pub(crate) fn with_facts(self, mut facts: DeliveryFacts) -> Self {
        facts.id = facts.id.filter(|id| is_plain(id));
        self.with(|inner| inner.facts = Some(Box::new(facts)))
    }

    /// Returns the facts of the delivery or probe that the error ended.
    pub(crate) fn facts(&self) -> Option<&DeliveryFacts> {
        self.inner.facts.as_deref()
    }

    /// Names the command line that shows more, in the remedy and as a fact.
    pub(crate) fn led_to(self, line: String) -> Self {
        let remedy = format!("{}{LEADS}{line}", self.remedy());
        self.noting(key::DIAGNOSE, line).advising(remedy)
    }

    /// Returns what to do without the command line that shows more, for a record of bounded length.
    pub(crate) fn brief_remedy(&self) -> &str {
        let remedy = self.remedy();
        let lead = self.fact(key::DIAGNOSE).and_then(|line| remedy.strip_suffix(line.as_str()));
        lead.and_then(|lead| lead.strip_suffix(LEADS)).unwrap_or(remedy)
    }

    pub(crate) fn advising(self, remedy: impl Into<String>) -> Self {
        self.with(|inner| inner.remedy = Some(composed(remedy.into())))
    }

    /// Puts what the error is about, such as a file or an address, in front of the message.
    pub(crate) fn prefixed(self, subject: &str) -> Self {
        self.with(|inner| {
            inner.message = composed(format!("{subject}: {}", inner.message));
        })
    }

    pub(crate) fn noting<T: Fact>(self, key: Key<T>, value: impl Into<T>) -> Self {
        self.with(|inner| inner.details.set(key, value.into()))
    }

    /// Adds the facts of another error.
    pub(crate) fn noting_all(self, other: &Error) -> Self {
        self.with(|inner| inner.details.extend(&other.inner.details))
    }

    /// Adds the error of the application's code that caused this one. Its text is not shown.
    pub(crate) fn with_source(self, source: Option<Source>) -> Self {
        self.with(|inner| inner.source = source)
    }

    pub(crate) fn answered(self, response: HttpResponse) -> Self {
        self.with(|inner| inner.response = Some(response))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind().name(), self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind().name())
            .field("stage", &self.stage().name())
            .field("sent", &self.sent().name())
            .field("message", &self.message())
            .field("context", &self.context())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    /// Returns what the application's own code raised, such as the error of a signer.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&**self.inner.source.as_ref()?)
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

/// Returns a name for the context of an error: the name itself if it may be shown, or else its
/// description.
pub(crate) fn named(name: &str) -> String {
    named_as(name, Form::Word)
}

/// Returns the same for a name of another form.
pub(crate) fn named_as(name: &str, form: Form) -> String {
    let quoted = shown(name, form);
    if quoted.starts_with('"') { name.to_owned() } else { quoted }
}

/// Returns whole milliseconds, at most `u64::MAX`.
pub(crate) fn saturating_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_its_json_form() {
        let error = Error::new(Kind::HttpStatus, "the consumer answered 503")
            .having_sent(Sent::All)
            .retried(Retry::Later, Some(Duration::from_secs(7)))
            .for_consumer("acme")
            .noting(key::STATUS, 503_u16)
            .answered(HttpResponse {
                status: 503,
                headers: vec![("retry-after".into(), "7".into())],
                excerpt: b"busy".to_vec(),
                truncated: false,
            });
        let again = Error::from_json(&error.to_json()).expect("its own JSON");
        assert_eq!(again.to_json(), error.to_json());
        assert_eq!(again.remedy(), Kind::HttpStatus.remedy());
    }

    #[test]
    fn public_shows_neither_address_nor_rule() {
        let error = Error::new(Kind::EgressDenied, "10.0.0.7 is private (rule 10.0.0.0/8)")
            .noting(key::ADDRESS, "10.0.0.7")
            .noting(key::RULE, "10.0.0.0/8");
        assert!(!error.public().to_string().contains("10.0"), "{}", error.public());
    }
}
