//! Ground floor: every option of every noun, once: its name, type, default and meaning. A binding
//! passes what it was given as a [`Setting`]; the noun that owns the option judges it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Blame, Error, Family, Form, Kind, Retry, Scope, Sent, Stage, named, shown};
use crate::event::EventName;

/// An option as a caller wrote it, before it was judged.
#[derive(Clone, PartialEq)]
pub enum Setting {
    /// A duration in milliseconds.
    Millis(f64),
    /// A plain number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// Yes or no.
    Flag(bool),
    /// Names with values, in order; a name may occur more than once.
    Pairs(Vec<(String, String)>),
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Millis(millis) => write!(f, "Millis({millis})"),
            Self::Number(number) => write!(f, "Number({number})"),
            // A proxy's password may stand in one.
            Self::Text(_) => f.write_str("Text(_)"),
            Self::Texts(texts) => write!(f, "Texts({} texts)", texts.len()),
            Self::Flag(flag) => write!(f, "Flag({flag})"),
            // Headers travel so, and one may be a credential.
            Self::Pairs(pairs) => write!(f, "Pairs({} pairs)", pairs.len()),
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The noun that takes it.
    pub of: &'static str,
    /// Its snake_case name.
    pub name: &'static str,
    /// Its type: duration, text, texts, pairs, integer, number, flag, or the noun it takes.
    pub kind: &'static str,
    /// What holds when it is not given.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! options {
    ($($of:literal $name:literal $kind:literal $default:literal $doc:literal;)*) => {
        /// Every option.
        pub const ALL: &[OptionSpec] =
            &[$(OptionSpec { of: $of, name: $name, kind: $kind, default: $default, doc: $doc },)*];
    };
}

options! {
    "dispatcher" "identity" "identity" "none"
        "Who we are, for endpoints that bring no identity of their own.";
    "dispatcher" "trust" "trust" "none"
        "Whom we believe, for endpoints that bring no trust of their own.";
    "dispatcher" "egress" "egress" "public"
        "Which addresses may be connected to: a preset, or a policy.";
    "dispatcher" "proxy" "text" "none"
        "The CONNECT proxy to go through: http://host:port, or http://user:password@host:port.";
    "dispatcher" "proxy_credentials" "text" "none"
        "user:password for the proxy, where its URL shall not hold them.";
    "dispatcher" "timeout" "duration" "30000"
        "The time one delivery may take in all; it bounds the other four.";
    "dispatcher" "connect_timeout" "duration" "5000"
        "The time to resolve the host and open a TCP connection.";
    "dispatcher" "handshake_timeout" "duration" "5000"
        "The time of the TLS handshake.";
    "dispatcher" "write_timeout" "duration" "10000"
        "The time to hand the request to the kernel.";
    "dispatcher" "response_timeout" "duration" "15000"
        "The time from the last request byte to the head of the answer.";
    "dispatcher" "max_connections" "integer" "256"
        "How many connections may be open at once, idle ones included.";
    "dispatcher" "max_waiting" "integer" "4096"
        "How many deliveries may wait for a turn or a connection. Those of one owner are at most a quarter.";
    "dispatcher" "status_retry" "pairs" "none"
        "Whether trying again helps after a status or class other than 2xx: later, after_repair, never.";
    "dispatcher" "reload" "duration" "10000"
        "How often the files that material was read from are looked at; 0: only by reload().";
    "dispatcher" "expiry_warning" "number" "0.2"
        "The fraction of a lifetime left at which an expiry event comes first; then 0.1, 0.05 and 0.";
    "endpoint" "pins" "pins" "must be said"
        "The keys the consumer may have; none is a decision to be spelled out.";
    "endpoint" "identity" "identity" "the dispatcher's"
        "Who we are to this consumer.";
    "endpoint" "trust" "trust" "the dispatcher's"
        "Whom we believe about this consumer.";
    "endpoint" "min_tls" "text" "1.3"
        "The oldest TLS version accepted: 1.3 or 1.2.";
    "endpoint" "server_uri" "text" "none"
        "The SAN URI that the consumer's certificate must carry, instead of the URL's host name.";
    "endpoint" "hold_payload" "flag" "false"
        "Whether a payload waits until the consumer has answered its head with 100 Continue, for a second at most.";
    "endpoint" "signing" "standard_webhooks" "none"
        "The secrets that sign each delivery by Standard Webhooks; its id must then be said.";
    "endpoint" "concurrency" "integer" "8"
        "How many deliveries to this consumer may be under way at once.";
    "endpoint" "owner" "text" "the consumer id"
        "Whose endpoint this is. While others wait, the endpoints of one owner hold at most a quarter of max_connections and of the look-ups.";
    "endpoint" "status_retry" "pairs" "the dispatcher's"
        "The same for this consumer; what it does not name is as the dispatcher says.";
    "deliver" "id" "text" "none"
        "The event's id, sent as webhook-id; the same for every attempt.";
    "deliver" "content_type" "text" "application/json"
        "The type of the payload.";
    "deliver" "headers" "pairs" "none"
        "Further request headers.";
    "deliver" "timeout" "duration" "the dispatcher's"
        "The time this delivery may take in all.";
    "probe" "timeout" "duration" "the dispatcher's"
        "The time the probe may take in all.";
    "verifier" "role" "role" "must be said"
        "What the peers are: client or server.";
    "verifier" "trust" "trust" "must be said"
        "Whom we believe.";
    "verifier" "pins" "pins" "none"
        "The keys a peer may have.";
    "verifier" "tenant" "tenant_rule" "none"
        "How a certificate names its tenant; a client needs this or an authorization.";
    "verifier" "authorization" "authorization" "none"
        "Which peers may pass; a client needs this or a tenant rule.";
    "verifier" "server_uri" "text" "none"
        "The SAN URI that a server's certificate must carry.";
    "verifier" "strict_purpose" "flag" "false"
        "Whether a certificate without extendedKeyUsage is refused.";
    "verifier" "crl_policy" "text" "if_present"
        "Whether a CRL of every issuer is required: if_present or require.";
    "verifier" "reload" "duration" "10000"
        "How often the files of trust and pins are looked at; 0: only by reload().";
    "verifier" "expiry_warning" "number" "0.2"
        "The fraction of a lifetime left at which an expiry event comes first; then 0.1, 0.05 and 0.";
    "retry_policy" "attempts" "integer" "8"
        "How many attempts are made in all.";
    "retry_policy" "first" "duration" "5000"
        "The wait after the first attempt; it doubles with each further one.";
    "retry_policy" "ceiling" "duration" "3600000"
        "The longest wait, unless the consumer asks for a longer one.";
}

/// Every kind, word, option and event as JSON, for those who keep or check a copy.
pub fn tables() -> Value {
    let kinds: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| {
            json!({
                "name": kind.name(),
                "number": kind.number(),
                "title": kind.title(),
                "remedy": kind.remedy(),
                "stage": kind.stage().name(),
                "blame": kind.blame().name(),
                "scope": kind.scope().name(),
                "retry": kind.retry().name(),
            })
        })
        .collect();
    let options: Vec<Value> = ALL
        .iter()
        .map(|row| {
            json!({
                "of": row.of,
                "name": row.name,
                "kind": row.kind,
                "default": row.default,
                "doc": row.doc,
            })
        })
        .collect();
    macro_rules! names {
        ($($key:literal $type:ident),*) => {
            json!({ $($key: $type::ALL.iter().map(|word| word.name()).collect::<Vec<_>>()),* })
        };
    }
    let words = names!(
        "stage" Stage, "blame" Blame, "scope" Scope, "sent" Sent, "retry" Retry, "family" Family
    );
    let events: Vec<Value> = EventName::ALL
        .iter()
        .map(|event| {
            let fields: Vec<&str> = event.fields().split(' ').collect();
            json!({ "name": event.name(), "fields": fields, "doc": event.doc() })
        })
        .collect();
    json!({ "kinds": kinds, "words": words, "options": options, "events": events })
}

/// The longest duration an option takes: a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A fault of the named option.
pub(crate) fn fault(name: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::OptionInvalid, format!("option {name} {why}")).noting("option", name)
}

/// A name that the noun does not have, with those it has.
pub(crate) fn unknown(of: &str, name: &str) -> Error {
    let known: Vec<&str> = ALL.iter().filter(|row| row.of == of).map(|row| row.name).collect();
    Error::new(
        Kind::OptionInvalid,
        format!("{of} has no option {}; it has {}", shown(name, Form::Word), known.join(", ")),
    )
    .noting("option", named(name))
}

/// An option that this noun has, but not of the type that was given.
pub(crate) fn mistyped(of: &str, name: &str) -> Error {
    match ALL.iter().find(|row| row.of == of && row.name == name) {
        Some(row) => fault(name, format_args!("must be of type {}", row.kind)),
        None => unknown(of, name),
    }
}

/// A number of things must be whole, at least one, and not beyond a million.
pub(crate) fn count(name: &str, number: f64) -> Result<usize, Error> {
    if number.fract() == 0.0 && (1.0..=1_000_000.0).contains(&number) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "just checked"
        )]
        return Ok(number as usize);
    }
    Err(fault(name, "must be a whole number from 1 to 1000000"))
}

/// How often to look at files: a duration, or 0 for never.
pub(crate) fn interval(name: &str, setting: Setting) -> Result<Option<Duration>, Error> {
    match setting {
        Setting::Millis(0.0) => Ok(None),
        Setting::Millis(millis) => duration(name, millis).map(Some),
        _ => Err(fault(name, "must be of type duration")),
    }
}

/// A part of a whole, neither none nor all of it.
pub(crate) fn fraction(name: &str, setting: Setting) -> Result<f64, Error> {
    match setting {
        Setting::Number(part) if part > 0.0 && part < 1.0 => Ok(part),
        Setting::Number(_) => Err(fault(name, "must be above 0 and below 1")),
        _ => Err(fault(name, "must be of type number")),
    }
}

/// A duration must be finite, more than nothing, and at most a day.
pub(crate) fn duration(name: &str, millis: f64) -> Result<Duration, Error> {
    if !(millis.is_finite() && millis > 0.0) {
        return Err(fault(name, "must be a duration that is finite and greater than zero"));
    }
    match Duration::try_from_secs_f64(millis / 1000.0) {
        Ok(duration) if duration > LONGEST => Err(fault(name, "must be at most 24 hours")),
        Ok(duration) if duration.is_zero() => Err(fault(name, "must be at least a nanosecond")),
        Ok(duration) => Ok(duration),
        Err(_) => Err(fault(name, "must be a duration")),
    }
}
