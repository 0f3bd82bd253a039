//! Ground floor: what can go wrong, and what a dispatcher must know about it.
//!
//! An [`Error`] is cheap to clone, never holds key material or payload, and has one JSON form that
//! every language shows. This floor knows nothing of TLS, HTTP or any other part of the crate.

mod exhausted;
mod kind;
mod presented;
mod shown;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

pub(crate) use exhausted::exhausted;
pub use kind::Kind;
pub(crate) use presented::{MOST_PRESENTED, composed_value, presented, presented_list};
pub(crate) use shown::{Form, certain_secret, described, shown};

macro_rules! words {
    ($(#[$meta:meta])* $type:ident { $($(#[$variant_meta:meta])* $variant:ident = $number:literal $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type { $($(#[$variant_meta])* $variant = $number,)* }

        impl $type {
            /// Every value.
            pub const ALL: &'static [$type] = &[$($type::$variant,)*];

            /// The word, equal in every language.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// The value with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// How far a delivery or a verification had come. Exhaustive: a new stage is a new major version.
    Stage {
        /// Options, material and arguments.
        Config = 1 "config",
        /// May the delivery start: open, not canceled, not overloaded.
        Admit = 2 "admit",
        /// Host name to addresses, and whether they may be reached.
        Resolve = 3 "resolve",
        /// TCP, and the proxy if there is one.
        Connect = 4 "connect",
        /// TLS.
        Handshake = 5 "handshake",
        /// The request is being written.
        Request = 6 "request",
        /// The answer is awaited or read.
        Response = 7 "response",
        /// A verifier judges a chain outside any connection.
        Verify = 8 "verify",
    }
}

words! {
    /// Whose fault it is, as far as it can be known from here.
    Blame {
        /// Ours: found locally, or reported by three consumers or more.
        Ours = 1 "ours",
        /// The peer's.
        Theirs = 2 "theirs",
        /// Something between us and the peer.
        Path = 3 "path",
        /// The caller's, who canceled.
        Caller = 4 "caller",
        /// It cannot be known from here.
        Unknown = 5 "unknown",
    }
}

words! {
    /// What the failure stops.
    Scope {
        /// This payload alone.
        Delivery = 1 "delivery",
        /// Everything for this endpoint.
        Endpoint = 2 "endpoint",
        /// Everything that uses the same identity.
        Identity = 3 "identity",
        /// Everything in this process.
        Process = 4 "process",
    }
}

words! {
    /// How much of the request left.
    Sent {
        /// No byte of the request entered TLS, or the peer provably refused us before reading any.
        Nothing = 1 "nothing",
        /// Some bytes may have reached the peer.
        Maybe = 2 "maybe",
        /// The last byte was handed to the kernel: the peer may hold the payload.
        All = 3 "all",
    }
}

words! {
    /// Whether trying again helps.
    Retry {
        /// Later, after `retry_after` where it is known.
        Later = 1 "later",
        /// After a person or a rotation has acted: park the delivery.
        AfterRepair = 2 "after_repair",
        /// Never.
        Never = 3 "never",
    }
}

words! {
    /// The class of exception that a binding raises.
    Family {
        /// A fault in options, material or arguments.
        Config = 1 "config",
        /// A delivery failed.
        Delivery = 2 "delivery",
        /// A verifier refused a peer.
        Peer = 3 "peer",
    }
}

/// Named facts about a failure: observed pin, alert, dates, addresses. Keys are snake_case.
pub type Context = Map<String, Value>;

/// What the consumer answered, where it answered at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The first bytes of the body, at most 64 KiB.
    pub excerpt: Vec<u8>,
}

impl ErrorResponse {
    pub(crate) fn to_json(&self) -> Value {
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "status": self.status,
            "headers": headers,
            "excerpt_base64": BASE64_STANDARD.encode(&self.excerpt),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let headers = value.get("headers")?.as_object()?;
        Some(Self {
            status: u16::try_from(value.get("status")?.as_u64()?).ok()?,
            headers: headers
                .iter()
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
            excerpt: BASE64_STANDARD.decode(value.get("excerpt_base64")?.as_str()?).ok()?,
        })
    }
}

/// Why a delivery or a verification failed, whose fault it is, and how much was sent.
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
    context: Context,
    response: Option<ErrorResponse>,
}

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
                message: presented::composed(message.into()),
                remedy: None,
                context: Context::new(),
                response: None,
            }),
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// How far it had come.
    pub fn stage(&self) -> Stage {
        self.inner.stage
    }

    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        self.inner.blame
    }

    /// What it stops.
    pub fn scope(&self) -> Scope {
        self.inner.scope
    }

    /// How much of the request left.
    pub fn sent(&self) -> Sent {
        self.inner.sent
    }

    /// Whether trying again helps.
    pub fn retry(&self) -> Retry {
        self.inner.retry
    }

    /// How long to wait before trying again, where the consumer said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The consumer id of the endpoint, where there is one.
    pub fn consumer(&self) -> Option<&str> {
        self.inner.consumer.as_deref()
    }

    /// What was seen and what was expected, in a sentence.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What to do, in a sentence.
    pub fn remedy(&self) -> &str {
        self.inner.remedy.as_deref().unwrap_or(self.kind().remedy())
    }

    /// Named facts about the failure. Stable keys, where they apply: `observed_pin`, `expected_pins`,
    /// `chain_valid`, `configured_is` (pins); `expected_name`, `presented`, `missing_issuer`, `subject`,
    /// `issuer`, `not_before_ms`, `not_after_ms` (certificates); `unused` (why a CRL was not used);
    /// `via`, `alert`, `status`, `hint`, `refused_by` (refusals); `deadline`, `allowed_ms`, `attempts`, `payload_sent` (deliveries); `address`, `rule`, `proxy` (the way);
    /// `option`, `header`, `position` (bad input).
    pub fn context(&self) -> &Context {
        &self.inner.context
    }

    /// What the consumer answered.
    pub fn response(&self) -> Option<&ErrorResponse> {
        self.inner.response.as_ref()
    }

    /// Which class of exception a binding raises for it.
    pub fn family(&self) -> Family {
        match self.stage() {
            Stage::Config => Family::Config,
            Stage::Verify => Family::Peer,
            _ => Family::Delivery,
        }
    }

    /// The whole error in the form that every language shows. Durations are milliseconds.
    pub fn to_json(&self) -> Value {
        let inner = &*self.inner;
        json!({
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
            "context": inner.context,
            "response": inner.response.as_ref().map(ErrorResponse::to_json),
        })
    }

    /// The error that [`to_json`](Self::to_json) described, or `None` if the value is no such thing.
    ///
    /// Lets an error that travelled through a queue be judged by `RetryPolicy::decide`.
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
                context: value.get("context")?.as_object()?.clone(),
                response: value.get("response").and_then(ErrorResponse::from_json),
            }),
        })
    }

    /// The part that may be shown to the consumer: no addresses, no internals.
    pub fn public(&self) -> Value {
        // Named one by one: a fact added to the context later stays private until somebody decides.
        const SHOWN: &[&str] = &[
            "alert",
            "chain_valid",
            "expected_name",
            "missing_issuer",
            "not_after_ms",
            "not_before_ms",
            "observed_pin",
            "presented",
            "status",
            "subject",
            "via",
        ];
        let inner = &*self.inner;
        let shown: Context = inner
            .context
            .iter()
            .filter(|(key, _)| SHOWN.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        // The way to a consumer is ours: its addresses, its rules, its proxy.
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

    /// The error of a binding that was given what its language cannot turn into the option's type.
    ///
    /// * `option`: the option's snake_case name, or the argument's; never what a caller wrote.
    /// * `seen`: what was given, by its type; never by its value.
    pub fn wrong_type(option: &str, expected: &str, seen: &str) -> Self {
        Self::new(Kind::OptionInvalid, format!("option {option} must be {expected}, not {seen}"))
            .noting("option", option)
    }

    /// The error of a binding that was given a keyword, a key or a field that there is not.
    ///
    /// * `name`: as the caller wrote it.
    /// * `expected`: what there is.
    pub fn unknown_name(name: &str, expected: &str) -> Self {
        Self::new(Kind::OptionInvalid, format!("{} is not {expected}", shown(name, Form::Word)))
            .noting("option", named(name))
    }

    /// The error of a binding that caught a panic at its border.
    pub fn caught_panic() -> Self {
        Self::new(Kind::Internal, "a panic was caught at the language border")
    }

    // -- how the floors above build one ------------------------------------------------------------

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

    pub(crate) fn advising(self, remedy: impl Into<String>) -> Self {
        self.with(|inner| inner.remedy = Some(presented::composed(remedy.into())))
    }

    pub(crate) fn noting(self, key: &'static str, value: impl Into<Value>) -> Self {
        self.with(|inner| {
            inner.context.insert(key.to_owned(), composed_value(value.into()));
        })
    }

    pub(crate) fn noting_all(self, context: &Context) -> Self {
        self.with(|inner| inner.context.extend(context.clone()))
    }

    pub(crate) fn answered(self, response: ErrorResponse) -> Self {
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
            .field("context", self.context())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

/// A name as the context of an error has it: itself, if it may be shown.
pub(crate) fn named(name: &str) -> String {
    let quoted = shown(name, Form::Word);
    if quoted.starts_with('"') { name.to_owned() } else { quoted }
}

/// Whole milliseconds; a duration beyond `u64` is as good as for ever.
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
            .noting("status", 503)
            .answered(ErrorResponse {
                status: 503,
                headers: vec![("retry-after".into(), "7".into())],
                excerpt: b"busy".to_vec(),
            });
        let again = Error::from_json(&error.to_json()).expect("its own JSON");
        assert_eq!(again.to_json(), error.to_json());
        assert_eq!(again.remedy(), Kind::HttpStatus.remedy());
    }

    #[test]
    fn public_shows_neither_address_nor_rule() {
        let error = Error::new(Kind::EgressDenied, "10.0.0.7 is private (rule 10.0.0.0/8)")
            .noting("address", "10.0.0.7")
            .noting("rule", "10.0.0.0/8");
        assert!(!error.public().to_string().contains("10.0"), "{}", error.public());
    }
}
