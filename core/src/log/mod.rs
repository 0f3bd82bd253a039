//! Log records: how a delivery, a probe, a verification or an event is written to a log, with the same
//! level, message and fields in every language.
//!
//! A record is below 1 KiB as JSON, whatever a consumer, a certificate or a caller has put into it. It has
//! no path, query, header, body or key.

mod fields;
mod sinks;

use serde_json::{Map, Value};

use crate::error::{
    Blame, DeliveryFacts, Error, Kind, Stage, Timings, fraction, is_plain, key, saturating_millis,
    words,
};
use crate::event::{Event, EventName};
pub(crate) use fields::{FIELDS, LogFields};
use fields::{cut, json_len};
pub(crate) use sinks::{LogSinks, OperationSpan};

words! {
    /// The level of a log record.
    #[non_exhaustive]
    LogLevel {
        /// Nothing is to be done.
        Info = 1 "info",
        /// Somebody else, or the network, is at fault, or something is to be done in time.
        Warning = 2 "warning",
        /// The fault is ours.
        Error = 3 "error",
    }
}

/// The most bytes of a record as JSON, below 1 KiB. Escapes and spaces of every JSON library are counted.
const LONGEST: usize = 1000;

/// One entry of a log.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use webhook_mtls::DeliverOptions;
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::EndpointOptions;
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None))?;
/// # let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
/// # let receipt = outcome.expect("nothing interrupts it")?;
/// let record = receipt.log_record();
/// assert_eq!(record.level().name(), "info");
/// assert_eq!(record.fields()["consumer"], "acme");
/// assert_eq!(record.fields()["status"], 200);
/// println!("{}", record.to_json());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct LogRecord {
    level: LogLevel,
    message: String,
    fields: LogFields,
}

impl LogRecord {
    pub(crate) fn new(level: LogLevel, message: String, fields: LogFields) -> Self {
        Self { level, message, fields }.bounded()
    }

    /// Returns the record of a receipt, a probe or an error, from the JSON that it was written as. `None` for
    /// any other value.
    #[doc(hidden)]
    pub fn of_json(value: &Value) -> Option<Self> {
        if value.get("kind").is_some() {
            Some(Error::from_json(value)?.log_record())
        } else if value.get("hold_honored").is_some() {
            Some(Self::of_receipt(value))
        } else if value.get("note").is_some() {
            Some(Self::of_probe(value))
        } else {
            None
        }
    }

    /// * `receipt`: the JSON of a receipt.
    pub(crate) fn of_receipt(receipt: &Value) -> Self {
        let mut fields = LogFields::of_success("delivery", receipt);
        let id = receipt["id"].as_str().filter(|id| is_plain(id));
        fields.id = id.map(str::to_owned);
        fields.status = receipt["status"].as_u64();
        fields.attempts = receipt["attempts"].as_u64();
        fields.reused = receipt["connection"]["reused"].as_bool();
        fields.address = receipt["connection"]["address"].as_str().map(str::to_owned);
        fields.response_ms = receipt["timings"]["response_ms"].as_f64();
        let message = format!("delivered with status {}", fields.status.unwrap_or_default());
        Self::new(LogLevel::Info, message, fields)
    }

    /// * `probe`: the JSON of a probe.
    pub(crate) fn of_probe(probe: &Value) -> Self {
        let mut fields = LogFields::of_success("probe", probe);
        fields.address = probe["address"].as_str().map(str::to_owned);
        Self::new(LogLevel::Info, "the handshake was completed".to_owned(), fields)
    }

    /// Returns how urgent it is.
    pub fn level(&self) -> LogLevel {
        self.level
    }

    /// Returns what happened, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the fields that are known. `docs/log.md` lists them.
    pub fn fields(&self) -> Map<String, Value> {
        self.fields.to_json()
    }

    /// Returns level, message and fields as one JSON object.
    pub fn to_json(&self) -> Value {
        let mut record = Map::new();
        record.insert("level".to_owned(), self.level.name().into());
        record.insert("message".to_owned(), self.message.clone().into());
        record.extend(self.fields());
        Value::Object(record)
    }

    /// Makes an event of `tracing`.
    #[cfg(feature = "tracing")]
    fn trace(&self) {
        self.fields.trace(self.level, &self.message);
    }

    /// Cuts the longest texts until the record fits. The remedy is the first to go: the kind leads to it.
    fn bounded(mut self) -> Self {
        const MESSAGE: usize = 300;
        cut(&mut self.message, MESSAGE);
        self.fields.cut_each();
        let excess = |record: &Self| json_len(&record.to_json()).saturating_sub(LONGEST);
        for shortened in 0..3 {
            let excess = excess(&self);
            if excess == 0 {
                return self;
            }
            let text = match shortened {
                0 => self.fields.remedy.as_mut(),
                1 => Some(&mut self.message),
                _ => self.fields.id.as_mut(),
            };
            if let Some(text) = text {
                let most = json_len(&Value::from(text.as_str())).saturating_sub(excess);
                cut(text, most);
            }
        }
        // What is left is an event with long fields of its own.
        while excess(&self) > 0 && self.fields.drop_last_of_event() {}
        self
    }
}

impl Error {
    /// Returns the failure as a log record: an error if it is ours, information if the caller canceled, or
    /// else a warning.
    pub fn log_record(&self) -> LogRecord {
        let event = if self.stage() == Stage::Verify { "verification" } else { "delivery" };
        self.log_record_of(event)
    }

    /// * `event`: what has failed.
    pub(crate) fn log_record_of(&self, event: &str) -> LogRecord {
        let level = match self.blame() {
            Blame::Ours => LogLevel::Error,
            Blame::Caller => LogLevel::Info,
            Blame::Theirs | Blame::Path | Blame::Unknown => LogLevel::Warning,
        };
        let text = |key| self.fact(key).cloned();
        let mut fields = LogFields {
            event: Some(event.to_owned()),
            outcome: Some("failed".to_owned()),
            consumer: self.consumer().map(str::to_owned),
            id: self.id().map(str::to_owned),
            kind: Some(self.kind().name().to_owned()),
            stage: Some(self.stage().name().to_owned()),
            blame: Some(self.blame().name().to_owned()),
            scope: Some(self.scope().name().to_owned()),
            sent: Some(self.sent().name().to_owned()),
            retry: Some(self.retry().name().to_owned()),
            retry_after_ms: self.retry_after().map(saturating_millis),
            status: self.fact(key::STATUS).map(|status| status.0),
            cause: text(key::CAUSE),
            via: text(key::VIA),
            alert: text(key::ALERT),
            remedy: Some(self.brief_remedy().to_owned()),
            ..LogFields::default()
        };
        if let Some(facts) = self.facts() {
            fields.add_facts(facts);
        }
        LogRecord::new(level, self.to_string(), fields)
    }
}

impl LogFields {
    /// The fields that a receipt and a probe have in their JSON.
    fn of_success(event: &str, json: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // A reused connection was opened by another delivery.
        let is_fresh = json["connection"]["reused"] != true;
        let opening = |key: &str| json["timings"][key].as_f64().filter(|_| is_fresh);
        Self {
            event: Some(event.to_owned()),
            outcome: Some("succeeded".to_owned()),
            consumer: text(&json["consumer"]),
            elapsed_ms: json["elapsed_ms"].as_f64(),
            resolve_ms: opening("resolve_ms"),
            connect_ms: opening("connect_ms"),
            handshake_ms: opening("handshake_ms"),
            tls_version: text(&json["tls"]["version"]),
            pin: text(&json["pin"]),
            tenant: text(&json["peer"]["tenant"]),
            ..Self::default()
        }
    }

    fn add_facts(&mut self, facts: &DeliveryFacts) {
        self.attempts = Some(facts.attempts.into());
        self.elapsed_ms = Some(fraction(facts.elapsed));
        let connection = facts.connection.as_ref();
        self.address = connection.map(|known| known.address.to_string());
        self.reused = connection.map(|known| known.reused);
        self.tls_version = facts
            .handshake
            .as_ref()
            .and_then(|handshake| handshake.tls_json()["version"].as_str().map(str::to_owned));
        self.add_timings(&facts.timings, self.reused == Some(true));
    }

    /// Adds how long the phases took. A reused connection was opened by another delivery.
    fn add_timings(&mut self, timings: &Timings, reused: bool) {
        if !reused {
            self.resolve_ms = timings.resolve.map(fraction);
            self.connect_ms = timings.connect.map(fraction);
            self.handshake_ms = timings.handshake.map(fraction);
        }
        self.response_ms = timings.response.map(fraction);
    }
}

impl Event {
    /// Returns the event as a log record, with the fields of the event.
    pub fn log_record(&self) -> LogRecord {
        let text = |key: &str| {
            self.fields().get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let level = match self.name() {
            EventName::Rotated | EventName::RotationWaiting | EventName::CircuitClosed => {
                LogLevel::Info
            }
            EventName::RotationFailed
            | EventName::AnchorExpired
            | EventName::ClockImplausible
            | EventName::KeyReadable
            | EventName::RotatedButUndistributed
            | EventName::NetworkFailing => LogLevel::Error,
            _ => LogLevel::Warning,
        };
        let mut fields = LogFields {
            event: Some(self.name().name().to_owned()),
            consumer: self.consumer().map(str::to_owned),
            remedy: Some(text("remedy")),
            ..LogFields::default()
        };
        for (name, value) in self.fields() {
            match name.as_str() {
                "message" | "remedy" => {}
                "kind" => fields.kind = value.as_str().map(str::to_owned),
                "via" => fields.via = value.as_str().map(str::to_owned),
                _ => drop(fields.of_event.insert(name.clone(), value.clone())),
            }
        }
        LogRecord::new(level, text("message"), fields)
    }
}

/// Returns the record of a delivery or a probe without an outcome: the caller dropped or interrupted it.
///
/// * `event`: `delivery` or `probe`.
pub(crate) fn abandoned(event: &str, consumer: &str, stage: Stage) -> LogRecord {
    let fields = LogFields {
        event: Some(event.to_owned()),
        outcome: Some("abandoned".to_owned()),
        consumer: Some(consumer.to_owned()),
        kind: Some(Kind::Canceled.name().to_owned()),
        stage: Some(stage.name().to_owned()),
        blame: Some(Blame::Caller.name().to_owned()),
        ..LogFields::default()
    };
    let message = format!("the caller abandoned a {event} at stage {}", stage.name());
    LogRecord::new(LogLevel::Info, message, fields)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::error::{ConnectionParts, ShownHandshake};

    /// The letters that JSON libraries escape at the greatest length.
    const LETTERS: [&str; 5] = ["a", "\"", "\\", "ä", "\u{1f600}"];

    fn worst(letter: &str) -> Error {
        let long = letter.repeat(5000);
        let facts = DeliveryFacts {
            timings: Timings {
                resolve: Some(Duration::from_micros(123_456_789)),
                connect: Some(Duration::from_micros(123_456_789)),
                handshake: Some(Duration::from_micros(123_456_789)),
                response: Some(Duration::from_micros(123_456_789)),
            },
            connection: Some(ConnectionParts {
                reused: false,
                address: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap(),
                proxy: Some(long.clone()),
            }),
            handshake: Some(ShownHandshake::Read {
                tls: json!({ "version": long }),
                peer: json!(long),
            }),
            attempts: u32::MAX,
            ..DeliveryFacts::of_none(Some("i".repeat(500)), Duration::from_secs(86_400))
        };
        Error::new(Kind::ClientCertificateUnusable, long.clone())
            .at(Stage::Handshake)
            .for_consumer(&letter.repeat(64))
            .advising(long.clone())
            .retried(crate::error::Retry::AfterRepair, Some(Duration::from_millis(u64::MAX)))
            .noting(key::ALERT, long.clone())
            .noting(key::VIA, long.clone())
            .noting(key::CAUSE, long)
            .noting(key::STATUS, u64::MAX)
            .with_facts(facts)
    }

    /// The longest form that a JSON library writes: every other letter than ASCII escaped, and a space
    /// after each comma and colon.
    fn longest(record: &LogRecord) -> usize {
        let text = record.to_json().to_string();
        let spaces = record.to_json().as_object().unwrap().len() * 2;
        let length = |letter: char| if letter.is_ascii() { 1 } else { letter.len_utf16() * 6 };
        spaces + text.chars().map(length).sum::<usize>()
    }

    #[test]
    fn the_longest_failure_is_below_one_kib() {
        for letter in LETTERS {
            let record = worst(letter).log_record();
            let length = longest(&record);
            assert!((600..1024).contains(&length), "{length}: {}", record.to_json());
            let fields = record.fields();
            assert_eq!(fields["kind"], "client_certificate_unusable");
            for row in FIELDS.iter().filter(|row| row.name != "of_event") {
                assert!(!row.doc.is_empty(), "{}", row.name);
            }
            let message = record.message();
            assert!(message.starts_with("client_certificate_unusable: "), "{}", record.to_json());
        }
    }

    #[test]
    fn the_longest_event_is_below_one_kib() {
        for letter in LETTERS {
            let long = letter.repeat(5000);
            let mut event = Event::new(EventName::CircuitOpened).of_consumer(&letter.repeat(64));
            for field in EventName::CircuitOpened.fields().split(' ') {
                event = event.with(Box::leak(field.to_owned().into_boxed_str()), &*long);
            }
            for field in ["one", "two", "three"] {
                event = event.with(field, vec![long.clone(); 20]);
            }
            let record = event.log_record();
            let length = longest(&record);
            assert!((500..1024).contains(&length), "{length}: {}", record.to_json());
            assert_eq!(record.fields()["event"], "circuit_opened");
        }
    }

    #[test]
    fn the_level_says_whose_turn_it_is() {
        let of = |kind, blame| Error::new(kind, "x").blamed(blame).log_record().level();
        assert_eq!(of(Kind::PinMismatch, Blame::Theirs), LogLevel::Warning);
        assert_eq!(of(Kind::PinMismatch, Blame::Ours), LogLevel::Error);
        assert_eq!(of(Kind::Canceled, Blame::Caller), LogLevel::Info);
        assert_eq!(Event::new(EventName::Rotated).log_record().level(), LogLevel::Info);
        assert_eq!(Event::new(EventName::RotationFailed).log_record().level(), LogLevel::Error);
    }

    #[test]
    fn a_failure_of_a_verifier_is_a_verification() {
        let error = Error::new(Kind::CertificateExpired, "it is old").at(Stage::Verify);
        assert_eq!(error.log_record().fields()["event"], "verification");
    }

    #[test]
    fn a_short_record_is_whole() {
        let error = Error::new(Kind::HttpStatus, "the consumer answered 503")
            .for_consumer("acme")
            .noting(key::STATUS, 503_u16);
        let record = error.log_record();
        assert_eq!(record.message(), "http_status: the consumer answered 503");
        assert_eq!(record.fields()["remedy"], error.remedy());
        assert_eq!(record.to_json()["level"], "warning");
        assert_eq!(record.fields()["status"], 503);
        assert!(record.fields().get("alert").is_none());
    }
}
