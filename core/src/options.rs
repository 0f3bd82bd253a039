//! The table of options: name, type, default and meaning of every option of every noun. A binding
//! passes a value as a [`Setting`]; the noun that owns the option checks it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::cause::CAUSES;
use crate::error::spelling::{Language, language, option_name};
use crate::error::unknown_name::explain_unknown;
use crate::error::{
    Blame, Error, Family, Form, KEYS, Kind, Retry, Scope, Sent, Stage, key, named, shown,
};
use crate::event::EventName;

/// The value of an option as the caller gave it, not yet checked. Exhaustive: only bindings use it.
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
            // It may contain a proxy's password.
            Self::Text(_) => f.write_str("Text(_)"),
            Self::Texts(texts) => write!(f, "Texts({} texts)", texts.len()),
            Self::Flag(flag) => write!(f, "Flag({flag})"),
            // Headers are pairs, and one may be a credential.
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
    /// Its type: duration, text, texts, json, pairs, integer, number, flag, or the noun it takes.
    pub kind: &'static str,
    /// The enum that has the possible texts, or the possible values of pairs; empty for any text.
    pub words: &'static str,
    /// The value that is used if it is not given.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! options {
    ($($of:literal $name:literal $kind:literal $(of $words:literal)? $default:literal $doc:literal;)*) => {
        /// Every option.
        pub const ALL: &[OptionSpec] = &[$(OptionSpec {
            of: $of,
            name: $name,
            kind: $kind,
            words: concat!($($words)?),
            default: $default,
            doc: $doc,
        },)*];
    };
}

options! {
    "dispatcher" "identity" "identity" "none"
        "The identity to present to consumers, unless the endpoint sets its own.";
    "dispatcher" "trust" "trust" "none"
        "The default trust, used if the endpoint sets none.";
    "dispatcher" "crl_policy" "text" of "crl_policy" "if_present"
        "The certificates of a consumer that a CRL must cover: if_present (none), require (all but the anchor) or require_leaf.";
    "dispatcher" "egress" "egress" of "preset" "public"
        "The addresses that the dispatcher may connect to: a preset, or a policy.";
    "dispatcher" "proxy" "text" "none"
        "The CONNECT proxy for all connections: http://host:port, or http://user:password@host:port. Environment variables are not read.";
    "dispatcher" "proxy_credentials" "text" "none"
        "user:password for the proxy, if its URL must not contain them.";
    "dispatcher" "proxy_by_name" "flag" "false"
        "Whether CONNECT asks the proxy for the consumer's name instead of a checked address, for a proxy whose rules are written by name. The proxy then resolves the name, and the egress policy does not apply to it: the proxy's rules must keep deliveries away from internal addresses.";
    "dispatcher" "timeout" "duration" "30000"
        "The time limit of a whole delivery. It bounds the other four timeouts.";
    "dispatcher" "connect_timeout" "duration" "5000"
        "The time limit to resolve the host and open a TCP connection.";
    "dispatcher" "handshake_timeout" "duration" "5000"
        "The time limit of the TLS handshake.";
    "dispatcher" "write_timeout" "duration" "10000"
        "The time limit to write the request to the kernel.";
    "dispatcher" "response_timeout" "duration" "15000"
        "The time limit from the last byte of the request to the response head.";
    "dispatcher" "max_connections" "integer" "256"
        "The most open connections, including idle ones.";
    "dispatcher" "max_waiting" "integer" "4096"
        "The most deliveries that may wait for a turn or a connection. One owner has at most a quarter of them. Further deliveries fail with overloaded.";
    "dispatcher" "circuit_failures" "integer" "5"
        "The failures in a row before a request that open the circuit of an endpoint. 0 opens none.";
    "dispatcher" "circuit_open" "duration" "30000"
        "The time for which a circuit opens first. It doubles each time the consumer fails again.";
    "dispatcher" "circuit_ceiling" "duration" "600000"
        "The longest time for which a circuit opens.";
    "dispatcher" "metrics_endpoints" "integer" "0"
        "How many endpoints have metrics of their own, by consumer id: those that were made first. The others share the value other.";
    "dispatcher" "status_retry" "pairs" of "retry" "none"
        "The retry verdict for a status or status class other than 2xx: later, after_repair or never.";
    "dispatcher" "reload" "duration" "10000"
        "The interval at which the files of the material are checked for changes. 0 checks only in reload().";
    "dispatcher" "expiry_warning" "number" "0.2"
        "The remaining fraction of a lifetime at which the first expiry event is raised. More follow at 0.1, 0.05 and 0.";
    "endpoint" "pins" "pins" "required"
        "The keys that the consumer may have. There is no default: to rely on the CA alone, say so explicitly.";
    "endpoint" "identity" "identity" "the dispatcher's"
        "The identity to present to this consumer.";
    "endpoint" "trust" "trust" "the dispatcher's"
        "The trust for this consumer's certificate.";
    "endpoint" "crl_policy" "text" of "crl_policy" "the dispatcher's"
        "The certificates of this consumer that a CRL must cover: if_present (none), require (all but the anchor) or require_leaf.";
    "endpoint" "min_tls" "text" of "min_tls" "1.3"
        "The oldest TLS version to accept: 1.3 or 1.2.";
    "endpoint" "post_quantum" "flag" "true"
        "Whether to offer the key exchange X25519MLKEM768. Without it, the first message of the handshake fits into one packet, for a firewall that drops or resets connections with a larger one.";
    "endpoint" "server_name" "text" "the URL's host"
        "The name that the handshake asks for (SNI) and that the consumer's certificate must contain: a DNS name or an IP address. The URL's host is still looked up and connected to.";
    "endpoint" "server_uri" "text" "none"
        "The SAN URI that the consumer's certificate must contain, instead of the URL's host name.";
    "endpoint" "hold_payload" "flag" "false"
        "Whether to hold the payload until the consumer answers the request head with 100 Continue, for at most one second.";
    "endpoint" "response_excerpt" "integer" "1024"
        "How many bytes of a response's body receipts and errors show, at most 65536.";
    "endpoint" "signing" "signing" "none"
        "How each delivery is signed: by the secrets of Standard Webhooks, which require an id, by a token, or by both.";
    "endpoint" "concurrency" "integer" "8"
        "The most deliveries to this consumer at once.";
    "endpoint" "rate" "number" "none"
        "The most deliveries to this consumer in a second, from this process: 0.001 to 1000000. Further ones wait in line.";
    "endpoint" "owner" "text" "the consumer id"
        "The customer that owns this endpoint. While others wait, the endpoints of one owner use at most a quarter of max_connections and of the DNS lookups.";
    "endpoint" "status_retry" "pairs" of "retry" "the dispatcher's"
        "The retry verdict for a status or status class of this consumer: later, after_repair or never. A status that it does not name uses the dispatcher's verdict.";
    "jwt_bearer" "key_id" "text" "the key's thumbprint"
        "The key id (kid) of each token.";
    "jwt_bearer" "issuer" "text" "none"
        "The issuer (iss) of each token.";
    "jwt_bearer" "subject" "text" "none"
        "The subject (sub) of each token.";
    "jwt_bearer" "audience" "text" "none"
        "The audience (aud) of each token.";
    "jwt_bearer" "lifetime" "duration" "60000"
        "The time from iat to exp, at least 1 s and at most 5 min.";
    "jwt_bearer" "claims" "json" "none"
        "Further claims of each token: a JSON object without the claims that the library sets.";
    "jwt_bearer" "content_digest" "flag" "false"
        "Whether the claim content_digest has the SHA-256 of the body. Without it, the token does not cover the body.";
    "deliver" "id" "text" "none"
        "The event's id, sent as webhook-id. Use the same id for every attempt.";
    "deliver" "content_type" "text" "application/json"
        "The content type of the payload.";
    "deliver" "headers" "pairs" "none"
        "Additional request headers.";
    "deliver" "timeout" "duration" "the dispatcher's"
        "The time limit of this whole delivery.";
    "probe" "timeout" "duration" "the dispatcher's"
        "The time limit of the whole probe.";
    "diagnosis" "timeout" "duration" "the dispatcher's"
        "The time limit of the whole diagnosis. At the limit, the report has the checks that have ended.";
    "diagnosis" "request" "text" of "diagnosis_request" "none"
        "The request without a payload to make after the handshake: head or options. Servers like nginx judge our certificate only when a request arrives.";
    "verifier" "role" "role" of "role" "required"
        "The role of the peers: client or server.";
    "verifier" "trust" "trust" "required"
        "The trust for the peers' certificates.";
    "verifier" "pins" "pins" "none"
        "The keys that a peer may have.";
    "verifier" "tenant" "tenant_rule" "none"
        "The rule by which a certificate names its tenant. The role client requires this or an authorization.";
    "verifier" "authorization" "authorization" "none"
        "The peers that are allowed. The role client requires this or a tenant rule.";
    "verifier" "server_uri" "text" "none"
        "The SAN URI that a server's certificate must contain.";
    "verifier" "strict_purpose" "flag" "false"
        "Whether to refuse a certificate without extendedKeyUsage.";
    "verifier" "crl_policy" "text" of "crl_policy" "if_present"
        "The certificates of a peer that a CRL must cover: if_present (none), require (all but the anchor) or require_leaf.";
    "verifier" "reload" "duration" "10000"
        "The interval at which the files of trust and pins are checked for changes. 0 checks only in reload().";
    "verifier" "expiry_warning" "number" "0.2"
        "The remaining fraction of a lifetime at which the first expiry event is raised. More follow at 0.1, 0.05 and 0.";
    "webhook_verifier" "secrets" "secrets" "none"
        "The secrets of Standard Webhooks, whsec_ or whpk_: those of each tenant by its name, or those of all. They or keys are required.";
    "webhook_verifier" "keys" "keys" "none"
        "The public keys of tokens: those of each tenant by its name, or those of all.";
    "webhook_verifier" "audience" "text" "none"
        "The audience (aud) that a token must have. Without it, a token with an audience is refused.";
    "webhook_verifier" "issuer" "text" "none"
        "The issuer (iss) that a token must have.";
    "webhook_verifier" "tenant_claim" "text" "none"
        "The claim of a token that must have the tenant of the peer's certificate.";
    "webhook_verifier" "require_signature" "flag" "true"
        "Whether a webhook of a tenant with secrets must have a signature. A signature or a token is always required. Each is checked that the tenant has secrets or keys for, and must be valid.";
    "webhook_verifier" "require_token" "flag" "true"
        "Whether a webhook of a tenant with keys must have a token.";
    "webhook_verifier" "content_digest" "flag" "false"
        "Whether a token must have a digest of the body. A digest that is there is always checked.";
    "webhook_verifier" "timestamp_tolerance" "duration" "300000"
        "The most time between the timestamp of a signature and now.";
    "webhook_verifier" "token_tolerance" "duration" "30000"
        "The most time by which the clocks of sender and receiver differ, for the dates of a token.";
    "webhook_verifier" "reload" "duration" "10000"
        "The interval at which the files of keys are checked for changes. 0 checks only in reload().";
    "retry_policy" "attempts" "integer" "60"
        "The most attempts, including the first. With the defaults, they take more than 24 hours.";
    "retry_policy" "first" "duration" "5000"
        "The wait after the first attempt, of which half is random. It doubles after each further attempt.";
    "retry_policy" "ceiling" "duration" "3600000"
        "The longest wait, unless the consumer asks for a longer one.";
    "retry_policy" "seed" "integer" "none"
        "A number that makes the random parts of the waits repeatable, for tests.";
}

/// Returns every kind, word, context key, option and event as JSON, for code that generates or checks a copy.
pub(crate) fn tables() -> Value {
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
                "answer": kind.answer(),
            })
        })
        .collect();
    let causes: Vec<Value> = CAUSES
        .iter()
        .map(|cause| {
            let kinds: Vec<&str> = cause.kinds.iter().map(|kind| kind.name()).collect();
            json!({ "name": cause.name, "kinds": kinds, "seen": cause.seen, "cure": cause.cure })
        })
        .collect();
    let options: Vec<Value> = ALL
        .iter()
        .map(|row| {
            json!({
                "of": row.of,
                "name": row.name,
                "kind": row.kind,
                "words": row.words,
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
    let context: Vec<Value> = KEYS
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "type": row.value_type,
                "public": row.is_public,
                "doc": row.doc,
            })
        })
        .collect();
    json!({
        "kinds": kinds, "causes": causes, "words": words, "options": options, "events": events, "context": context
    })
}

/// The longest duration that an option accepts.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The error for an invalid value of the named option.
pub(crate) fn fault(name: &str, why: impl std::fmt::Display) -> Error {
    let spelled = option_name(name);
    Error::new(Kind::OptionInvalid, format!("option {spelled} {why}")).noting(key::OPTION, name)
}

/// The error for an option that the noun does not have. It lists the options of the noun.
pub(crate) fn unknown(of: &str, name: &str) -> Error {
    let known: Vec<String> =
        ALL.iter().filter(|row| row.of == of).map(|row| option_name(row.name)).collect();
    let list = known.join(", ");
    let message =
        format!("{of} has no option {}; it has {list}", shown(&option_name(name), Form::Word));
    explain_unknown(Error::new(Kind::OptionInvalid, message), name, &known)
        .noting(key::OPTION, named(name))
}

/// The error for a value of the wrong type.
pub(crate) fn mistyped(of: &str, name: &str) -> Error {
    match ALL.iter().find(|row| row.of == of && row.name == name) {
        // The text of C. The other languages convert a value before they pass it.
        Some(row) if row.kind == "duration" => {
            fault(name, "must be of type duration: milliseconds as digits, such as 2500")
        }
        Some(row) => fault(name, format_args!("must be of type {}", row.kind)),
        None => unknown(of, name),
    }
}

/// Options that a binding sets by name. Rust callers use the typed setters instead.
pub trait SetByName: Sized {
    /// Passes the value to the typed setter of the option.
    ///
    /// * `name`: the snake_case name of the option in the table.
    /// * `value`: a value of the type that the table gives for the option.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the noun has no option of this name, or the setter refuses the value.
    fn set(self, name: &str, value: Setting) -> Result<Self, Error>;
}

/// A value on its way to the setter of the option `name` of the noun `of`.
pub(crate) struct Unchecked<'a> {
    pub(crate) of: &'static str,
    pub(crate) name: &'a str,
    pub(crate) value: Setting,
}

/// Each method fails with `option_invalid` if the value has another type.
impl Unchecked<'_> {
    pub(crate) fn text(self) -> Result<String, Error> {
        match self.value {
            Setting::Text(text) => Ok(text),
            _ => Err(mistyped(self.of, self.name)),
        }
    }

    pub(crate) fn flag(self) -> Result<bool, Error> {
        match self.value {
            Setting::Flag(flag) => Ok(flag),
            _ => Err(mistyped(self.of, self.name)),
        }
    }

    pub(crate) fn number(self) -> Result<f64, Error> {
        match self.value {
            Setting::Number(number) => Ok(number),
            _ => Err(mistyped(self.of, self.name)),
        }
    }

    pub(crate) fn pairs(self) -> Result<Vec<(String, String)>, Error> {
        match self.value {
            Setting::Pairs(pairs) => Ok(pairs),
            _ => Err(mistyped(self.of, self.name)),
        }
    }

    /// Converts a count. The setter checks its limits.
    pub(crate) fn count(self) -> Result<usize, Error> {
        self.count_from(1)
    }

    /// Converts a count that may be `least`, for the message of a failure.
    pub(crate) fn count_from(self, least: usize) -> Result<usize, Error> {
        let name = self.name;
        let number = self.number()?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "just checked"
            )]
            return Ok(number as usize);
        }
        Err(count_fault(name, least))
    }

    /// Converts milliseconds. The setter checks the limits of the duration.
    pub(crate) fn duration(self) -> Result<Duration, Error> {
        let Setting::Millis(millis) = self.value else {
            return Err(mistyped(self.of, self.name));
        };
        if !(millis.is_finite() && millis > 0.0) {
            return Err(duration_fault(self.name));
        }
        match Duration::try_from_secs_f64(millis / 1000.0) {
            Ok(duration) if duration.is_zero() => {
                Err(fault(self.name, "must be at least a nanosecond"))
            }
            Ok(duration) => Ok(duration),
            Err(_) => Err(fault(self.name, "must be a duration")),
        }
    }

    /// Converts the interval of a file watch: milliseconds, or 0 for never.
    pub(crate) fn interval(self) -> Result<Option<Duration>, Error> {
        match self.value {
            Setting::Millis(0.0) => Ok(None),
            _ => self.duration().map(Some),
        }
    }
}

/// Checks a count: from one to a million.
pub(crate) fn count(name: &str, number: usize) -> Result<usize, Error> {
    count_from(1, name, number)
}

/// Checks a count: from `least` to a million.
pub(crate) fn count_from(least: usize, name: &str, number: usize) -> Result<usize, Error> {
    if (least..=1_000_000).contains(&number) { Ok(number) } else { Err(count_fault(name, least)) }
}

fn count_fault(name: &str, least: usize) -> Error {
    fault(name, format_args!("must be a whole number from {least} to 1000000"))
}

/// Checks a fraction: above 0 and below 1.
pub(crate) fn fraction(name: &str, part: f64) -> Result<f64, Error> {
    if part > 0.0 && part < 1.0 {
        return Ok(part);
    }
    Err(fault(name, "must be above 0 and below 1"))
}

/// Checks a duration: above zero, and at most a day.
pub(crate) fn duration(name: &str, duration: Duration) -> Result<Duration, Error> {
    if duration.is_zero() {
        return Err(duration_fault(name));
    }
    if duration > LONGEST {
        let error = fault(name, "is longer than 24 h");
        return Err(match language() {
            Language::Python => error
                .advising("A number is seconds: divide milliseconds by 1000, or pass a timedelta."),
            Language::Node | Language::C => {
                error.advising("A number is milliseconds, not microseconds.")
            }
            Language::Rust | Language::Command => error,
        });
    }
    Ok(duration)
}

fn duration_fault(name: &str) -> Error {
    fault(name, "is 0, negative or not finite; it must be greater than 0 and at most 24 h")
}

/// Reads options back, for the tests of the table.
#[cfg(test)]
pub(crate) mod current {
    use std::time::Duration;

    /// Reads the value of an option in the form of the table.
    pub(crate) trait Current {
        /// Returns the value. Panics if the noun has no such option.
        fn current(&self, name: &str) -> String;
    }

    /// The form of an option that is not set by default.
    pub(crate) fn or_unset<T>(value: Option<&T>, unset: &str) -> String {
        value.map_or(unset, |_| "a value").to_owned()
    }

    /// The form of a duration.
    pub(crate) fn millis(duration: Duration) -> String {
        duration.as_millis().to_string()
    }
}
