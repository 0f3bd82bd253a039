//! The table of context keys: the facts that an error may carry, each with one type.
//!
//! A room adds a fact with the [`Key`] of its type and reads it back with the same key. The JSON of the
//! context is made from the facts, and no code of the core reads that JSON.

use std::marker::PhantomData;

use serde_json::{Map, Value, json};

use super::presented::composed;

/// Named facts about a failure, such as the observed pin, dates or addresses. Keys are snake_case.
pub type Context = Map<String, Value>;

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    Text(String),
    Texts(Vec<String>),
    Count(Count),
    Instant(Millis),
    Flag(bool),
}

/// A number, a size, or a duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

/// An instant in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Millis(pub(crate) i64);

/// A row of the table, with the type of its value.
pub(crate) struct Key<T> {
    at: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

/// A type that a fact may have.
pub(crate) trait Fact: Sized {
    /// The name of the type in the reference page.
    const TYPE: &'static str;

    fn into_detail(self) -> Detail;

    /// Returns the value if the detail has this type.
    fn of(detail: &Detail) -> Option<&Self>;

    /// Reads the value in the JSON of an error that left the process.
    fn from_json(value: &Value) -> Option<Detail>;
}

macro_rules! facts {
    ($($type:ty, $variant:ident, $name:literal, $read:expr;)*) => {
        $(impl Fact for $type {
            const TYPE: &'static str = $name;

            fn into_detail(self) -> Detail {
                Detail::$variant(self)
            }

            fn of(detail: &Detail) -> Option<&Self> {
                match detail {
                    Detail::$variant(value) => Some(value),
                    _ => None,
                }
            }

            fn from_json(value: &Value) -> Option<Detail> {
                let read: fn(&Value) -> Option<Self> = $read;
                read(value).map(Detail::$variant)
            }
        })*
    };
}

facts! {
    String, Text, "text", |value| value.as_str().map(str::to_owned);
    Vec<String>, Texts, "texts", |value| {
        value.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    Count, Count, "number", |value| value.as_u64().map(Count);
    Millis, Instant, "instant", |value| value.as_i64().map(Millis);
    bool, Flag, "flag", Value::as_bool;
}

macro_rules! counts {
    ($($type:ty)*) => {
        $(impl From<$type> for Count {
            fn from(number: $type) -> Self {
                Self(u64::try_from(number).unwrap_or(u64::MAX))
            }
        })*
    };
}

counts! { u16 u32 u64 usize }

impl From<i64> for Millis {
    fn from(millis: i64) -> Self {
        Self(millis)
    }
}

impl Detail {
    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Texts(texts) => json!(texts),
            Self::Count(Count(number)) => json!(number),
            Self::Instant(Millis(millis)) => json!(millis),
            Self::Flag(flag) => json!(flag),
        }
    }

    /// Bounds and escapes the texts, which may come from a peer.
    fn composed(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(composed(text)),
            Self::Texts(texts) => Self::Texts(texts.into_iter().map(composed).collect()),
            other => other,
        }
    }
}

/// A row of the table as the reference page shows it.
pub(crate) struct KeyRow {
    pub(crate) name: &'static str,
    pub(crate) value_type: &'static str,
    /// Whether [`Error::public`](super::Error::public) contains the fact.
    pub(crate) is_public: bool,
    pub(crate) doc: &'static str,
    from_json: fn(&Value) -> Option<Detail>,
}

macro_rules! keys {
    ($($key:ident: $type:ty, $name:literal, $public:literal, $doc:literal;)*) => {
        /// The keys, for the rooms that add and read facts.
        pub(crate) mod key {
            use super::{Count, Key, Millis, PhantomData};

            #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the keys")]
            enum At { $($key,)* }

            $(#[doc = $doc] pub(crate) const $key: Key<$type> =
                Key { at: At::$key as usize, of: PhantomData };)*
        }

        /// Every key, in the order of the reference page.
        pub(crate) const KEYS: &[KeyRow] = &[$(KeyRow {
            name: $name,
            value_type: <$type as Fact>::TYPE,
            is_public: $public,
            doc: $doc,
            from_json: <$type as Fact>::from_json,
        },)*];
    };
}

// `true`: the fact may be shown to the consumer. A fact about our network, files, limits or rules may
// not.
keys! {
    CAUSE: String, "cause", false, "The cause, as the page of the kind names it.";
    OPTION: String, "option", false, "The option or argument that is invalid.";
    HEADER: String, "header", false, "The request header that cannot be sent, or the header of a forwarded certificate that is refused.";
    POSITION: Count, "position", false, "The number of the faulty item of a list, file or chain; the first is 1.";
    LENGTH: Count, "length", false, "The size of the input in bytes, or the number of its items.";
    LIMIT: Count, "limit", false, "The greatest allowed size or number.";
    FILE: String, "file", false, "The path of the file that could not be read.";
    FILES: Vec<String>, "files", false, "The paths of the files that belong together.";
    ROOT: String, "root", false, "The public web root in the trust bundle.";
    CONSUMERS: Vec<String>, "consumers", false, "The consumers that depend on the identity.";
    PROCESSES: Vec<String>, "processes", false, "The processes of the merged status that present the identity, that saw a consumer accept it last, or whose status is too old or ahead of our clock.";
    CLOCK: Millis, "clock_ms", false, "The implausible time of the system clock.";

    HOST: String, "host", false, "The host name that was looked up.";
    ADDRESS: String, "address", false, "The IP address that the egress policy denies.";
    ADDRESSES: Vec<String>, "addresses", false, "The socket addresses that could not be connected to.";
    RULE: String, "rule", false, "The rule that refused: of the egress policy, or the tenant rule.";
    PROXY: String, "proxy", false, "The host and port of the proxy.";
    PROXY_SCHEMES: Vec<String>, "proxy_schemes", false, "The authentication schemes that the proxy offers with its status 407.";
    EXHAUSTED: String, "exhausted", false, "The error of the operating system that names the exhausted resource: EMFILE, ENFILE, ENOBUFS or ENOMEM.";

    SUBJECT: String, "subject", true, "The subject of the certificate that the error is about.";
    ISSUER: String, "issuer", false, "The name of the CA that the error is about.";
    MISSING_ISSUER: String, "missing_issuer", true, "The issuer that neither the peer nor the trust supplied.";
    SERIAL: String, "serial", false, "The serial number of the revoked certificate, in hex.";
    NOT_BEFORE: Millis, "not_before_ms", true, "The start of the certificate's validity.";
    NOT_AFTER: Millis, "not_after_ms", true, "The end of the certificate's validity.";
    AT: Millis, "at_ms", false, "The time for which the dates were checked.";
    NEXT_UPDATE: Millis, "next_update_ms", false, "The nextUpdate of the CRL.";
    UNUSED: String, "unused", false, "Why a CRL of the issuer was not used: another_key, not_yet_valid or other_scope.";
    DISTRUSTED: String, "distrusted", false, "The pin of the CA that was distrusted.";
    EXPECTED_NAME: String, "expected_name", true, "The name or URI that the certificate had to contain.";
    EXPECTED_PURPOSE: String, "expected_purpose", false, "The extendedKeyUsage that the certificate had to allow.";
    PRESENTED: Vec<String>, "presented", true, "The names in the certificate, at most 20.";
    PRESENTED_COUNT: Count, "presented_count", false, "The number of certificates in the peer's chain.";
    WEAKNESS: String, "weakness", false, "The weak key or signature.";
    SIGNATURE_CHECKS: Count, "signature_checks", false, "The number of signature checks after which the search for a path ended.";
    OBSERVED_PIN: String, "observed_pin", true, "The pin of the key that the peer presented.";
    EXPECTED_PINS: Vec<String>, "expected_pins", false, "The configured pins.";
    CHAIN_VALID: bool, "chain_valid", true, "Whether the chain was verified before the pins were compared.";
    CONFIGURED_IS: String, "configured_is", false, "What a configured pin is instead of the leaf's key: issuer_spki or certificate_fingerprint.";

    HOP: String, "hop", false, "The name of the hop that was expected to forward the certificate.";
    REASON: String, "reason", false, "Why a forwarded certificate is refused: remote_unknown, remote_not_listed, secret_missing, secret_wrong, repeated_header, ambiguous_header, verdict_missing, verdict_negative, certificate_absent, too_large, malformed or inconsistent.";
    SCHEME: String, "scheme", false, "The signature scheme of TLS that the signer was asked for.";
    SIGNER_ERROR: String, "signer_error", false, "The type of the error that the signer raised.";

    VIA: String, "via", true, "How the consumer refused our certificate: alert, http or close.";
    ALERT: String, "alert", true, "The TLS alert that the consumer sent.";
    LOCATION: String, "location", true, "The address that a redirect names, without its query.";
    NAME_SERVER: String, "name_server", false, "The name server of this machine that failed.";
    STATUS: Count, "status", true, "The HTTP status of the consumer, or of the proxy.";
    IDENTITY: String, "identity", false, "The subject of our certificate that was refused.";
    ISSUER_LISTED: bool, "issuer_listed", true, "Whether the CAs that the consumer named include an issuer of our certificate. Absent if it named none.";
    REFUSED_BY: Count, "refused_by", false, "The number of consumers that refuse our certificate now.";
    HOW: String, "how", false, "How the connection ended, such as closed, reset or flooded.";
    ANSWER_BEGAN: bool, "answer_began", false, "true if part of the response head had arrived.";
    HINT: String, "hint", false, "client_certificate_may_be_refused if the end of the connection looks like a refusal of our certificate; client_hello_may_be_too_large if our first message is larger than a packet and got no answer.";
    DEADLINE: String, "deadline", false, "The deadline that passed: connect, handshake, write, response or total.";
    ALLOWED: Count, "allowed_ms", false, "The duration of that deadline in milliseconds.";
    LAST_KIND: String, "last_kind", true, "The kind of the last failure before the circuit opened. Absent if the application opened it.";
    ATTEMPTS: Count, "attempts", false, "The number of attempts of the delivery.";
    DIAGNOSE: String, "diagnose", false, "The command line that shows more, with the values of the endpoint and without secrets. A name in capitals stands for a file of yours.";
    PAYLOAD_SENT: bool, "payload_sent", false, "Whether a byte of the payload left. Set unless sent is nothing.";
}

/// The facts of an error, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    facts: Vec<(usize, Detail)>,
    /// Facts of a newer version, from the JSON of an error.
    unknown: Context,
}

impl Details {
    /// Adds a fact, or replaces it.
    pub(super) fn set<T: Fact>(&mut self, key: Key<T>, value: T) {
        self.put(key.at, value.into_detail());
    }

    /// Adds the facts of another error.
    pub(super) fn extend(&mut self, others: &Self) {
        for (at, detail) in &others.facts {
            self.put(*at, detail.clone());
        }
        self.unknown.extend(others.unknown.clone());
    }

    fn put(&mut self, at: usize, detail: Detail) {
        let detail = detail.composed();
        match self.facts.iter_mut().find(|(known, _)| *known == at) {
            Some((_, before)) => *before = detail,
            None => self.facts.push((at, detail)),
        }
    }

    /// Returns a fact, if the error has it.
    pub(super) fn get<T: Fact>(&self, key: Key<T>) -> Option<&T> {
        let (_, detail) = self.facts.iter().find(|(at, _)| *at == key.at)?;
        T::of(detail)
    }

    /// Returns the JSON object of the facts.
    ///
    /// * `shown`: whether to include a row of the table.
    pub(super) fn to_json(&self, shown: impl Fn(&KeyRow) -> bool) -> Context {
        self.facts
            .iter()
            .map(|(at, detail)| (&KEYS[*at], detail))
            .filter(|(row, _)| shown(row))
            .map(|(row, detail)| (row.name.to_owned(), detail.to_json()))
            .collect()
    }

    /// Returns the JSON object of all facts, including those of a newer version.
    pub(super) fn to_context(&self) -> Context {
        let mut context = self.to_json(|_| true);
        context.extend(self.unknown.clone());
        context
    }

    /// Reads the context of an error that left the process. A key or type of another version is kept
    /// as it is.
    pub(super) fn from_json(context: &Context) -> Self {
        let mut details = Self::default();
        for (name, value) in context {
            let known = KEYS.iter().position(|row| row.name == name).and_then(|at| {
                let detail = (KEYS[at].from_json)(value)?;
                Some((at, detail))
            });
            match known {
                Some((at, detail)) => details.facts.push((at, detail)),
                None => drop(details.unknown.insert(name.clone(), value.clone())),
            }
        }
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_row() {
        for (at, row) in KEYS.iter().enumerate() {
            assert!(KEYS[..at].iter().all(|other| other.name != row.name), "{} twice", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
            assert_eq!(
                row.name.ends_with("_ms"),
                row.value_type == "instant" || row.name == "allowed_ms"
            );
        }
    }

    #[test]
    fn facts_survive_their_json_form() {
        let mut details = Details::default();
        details.set(key::ALERT, "unknown_ca".into());
        details.set(key::PRESENTED, vec!["a.test".into(), "b.test".into()]);
        details.set(key::STATUS, 503_u16.into());
        details.set(key::NOT_AFTER, (-1).into());
        details.set(key::CHAIN_VALID, true);
        let context = details.to_context();
        let again = Details::from_json(&context);
        assert_eq!(again.to_context(), context);
        assert_eq!(again.get(key::ALERT).map(String::as_str), Some("unknown_ca"));
        assert_eq!(again.get(key::STATUS), Some(&Count(503)));
        assert_eq!(again.get(key::NOT_AFTER), Some(&Millis(-1)));
        assert!(again.unknown.is_empty());
    }

    #[test]
    fn a_fact_of_another_version_is_kept() {
        let context = json!({ "alert": 7, "moon": "full" });
        let details = Details::from_json(context.as_object().unwrap());
        assert_eq!(details.get(key::ALERT), None);
        assert_eq!(Value::Object(details.to_context()), context);
    }

    #[test]
    fn a_second_value_replaces_the_first() {
        let mut details = Details::default();
        details.set(key::ATTEMPTS, 1_u32.into());
        details.set(key::ATTEMPTS, 2_u32.into());
        assert_eq!(details.facts.len(), 1);
        assert_eq!(details.get(key::ATTEMPTS), Some(&Count(2)));
    }
}
