//! The record of one traced delivery, from which a binding makes spans, metrics and log lines.
//!
//! A delivery is traced only if its options ask for it. Its record joins the queue of its
//! dispatcher's binding before the outcome is handed over, so the code that takes the outcome finds
//! the record there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::receipt::Receipt;
use crate::clock;
use crate::connection::observer::{
    AttemptEnd, AttemptOutcome, End, HandshakeEnd, Observer, Outcome, Repeat, Subject,
};
use crate::endpoint::Endpoint;
use crate::error::{Blame, Error, Kind, Stage, fraction, is_plain, key};
use crate::log::{LogFields, LogLevel, LogRecord};
use crate::process::{self, Lock};
use crate::tls::TlsFacts;

/// The most records in a queue. Only records of abandoned deliveries stay there: each other one is
/// taken with an outcome.
const MOST_RECORDS: usize = 65_536;

/// The records of ended deliveries that were not taken yet.
#[derive(Default)]
pub struct TraceQueue(Lock<Vec<(u32, Value)>>);

impl TraceQueue {
    /// Returns a trace for one delivery.
    ///
    /// * `number`: repeated in the record.
    pub fn trace(self: &Arc<Self>, number: u64, endpoint: &Endpoint) -> Trace {
        let url = &endpoint.generation().url;
        Trace {
            queue: self.clone(),
            process: process::id(),
            number,
            consumer: endpoint.consumer_arc(),
            server: (url.host.to_string(), url.port),
            began_at_ms: clock::now_millis(),
            began: Instant::now(),
            told: Lock::default(),
            is_recorded: AtomicBool::new(false),
        }
    }

    /// Takes the records of this process. A forked child drops those of its parent.
    pub fn take(&self) -> Vec<Value> {
        let taken = std::mem::take(&mut *self.0.lock());
        let own = process::id();
        taken.into_iter().filter(|(process, _)| *process == own).map(|(_, record)| record).collect()
    }

    fn push(&self, process: u32, record: Value) {
        let mut records = self.0.lock();
        if records.len() < MOST_RECORDS {
            records.push((process, record));
        }
    }
}

/// Records one delivery. The record is made once, when the delivery ends or the trace is dropped.
pub struct Trace {
    queue: Arc<TraceQueue>,
    process: u32,
    number: u64,
    consumer: Arc<str>,
    server: (String, u16),
    began_at_ms: i64,
    began: Instant,
    told: Lock<Told>,
    is_recorded: AtomicBool,
}

/// The facts of a delivery that has not ended.
#[derive(Default)]
struct Told {
    id: Option<String>,
    /// The stage that was entered last.
    stage: Option<Stage>,
    /// The time at each stage, of the whole delivery and of the current attempt.
    stages: Map<String, Value>,
    attempt_stages: Map<String, Value>,
    handshakes: Vec<Value>,
    attempts: Vec<Value>,
    succeeded: Option<LogRecord>,
}

impl Trace {
    /// Returns the host and the port of the consumer's URL.
    pub fn server(&self) -> (&str, u16) {
        (&self.server.0, self.server.1)
    }

    /// Returns the time since the trace began, less `took`, in milliseconds.
    fn offset(&self, took: Duration) -> f64 {
        fraction(self.began.elapsed().saturating_sub(took))
    }

    /// Tells the trace the receipt. The end follows.
    pub(super) fn succeed(&self, receipt: &Receipt) {
        let record = receipt.log_record();
        self.told.lock().succeeded = Some(record);
    }

    /// Returns the log record of a delivery without an outcome.
    fn abandoned(&self) -> LogRecord {
        let fields = LogFields {
            event: Some("delivery".to_owned()),
            outcome: Some("abandoned".to_owned()),
            consumer: Some((*self.consumer).to_owned()),
            elapsed_ms: Some(self.offset(Duration::ZERO)),
            ..LogFields::default()
        };
        LogRecord::new(LogLevel::Info, "the delivery was abandoned".to_owned(), fields)
    }

    fn record(&self, end: Option<&End<'_>>) {
        if self.is_recorded.swap(true, Relaxed) {
            return;
        }
        let told = std::mem::take(&mut *self.told.lock());
        let elapsed = end.map_or_else(|| self.began.elapsed(), |end| end.elapsed);
        let last = told.attempts.last();
        let of_last = |name: &str| last.map(|last| last[name].clone()).unwrap_or_default();
        let mut record = json!({
            "number": self.number,
            "consumer": &*self.consumer,
            "id": told.id,
            "server": self.server.0,
            "port": self.server.1,
            "began_at_ms": self.began_at_ms,
            "ended_ms": self.offset(Duration::ZERO),
            "elapsed_ms": fraction(elapsed),
            "attempts": end.map_or(0, |end| end.attempts),
            "sent": end.map_or("nothing", |end| end.sent.name()),
            "status": of_last("status"),
            "address": of_last("address"),
            "reused": of_last("reused") == true,
            "stages_ms": told.stages,
            "handshake_list": told.handshakes,
            "attempt_list": told.attempts,
        });
        let (outcome, error) = match end.map(|end| end.outcome) {
            Some(Outcome::Succeeded) => ("succeeded", None),
            Some(Outcome::Failed(error)) => ("failed", Some(error)),
            Some(Outcome::Abandoned) | None => ("abandoned", None),
        };
        record["outcome"] = json!(outcome);
        for (name, value) in failure(error) {
            record[name] = value;
        }
        if outcome == "abandoned" {
            record["kind"] = json!(Kind::Canceled.name());
            record["stage"] = json!(told.stage.map(Stage::name));
            record["blame"] = json!(Blame::Caller.name());
        }
        let log = told.succeeded.or_else(|| error.map(Error::log_record));
        record["log"] = log.unwrap_or_else(|| self.abandoned()).to_json();
        self.queue.push(self.process, record);
    }
}

impl Observer for Trace {
    fn began(&self, subject: &Subject) {
        self.told.lock().id = subject.id.clone().filter(|id| is_plain(id));
    }

    fn stage_entered(&self, _subject: &Subject, stage: Stage) {
        self.told.lock().stage = Some(stage);
    }

    fn stage_left(&self, _subject: &Subject, stage: Stage, took: Duration) {
        let mut told = self.told.lock();
        let Told { stages, attempt_stages, .. } = &mut *told;
        for stages in [stages, attempt_stages] {
            let earlier = stages.get(stage.name()).and_then(Value::as_f64).unwrap_or_default();
            stages.insert(stage.name().to_owned(), json!(earlier + fraction(took)));
        }
    }

    fn handshake_ended(&self, _subject: &Subject, handshake: &HandshakeEnd<'_>) {
        let tls = |fact: fn(&TlsFacts) -> &'static str| {
            handshake.tls.map(fact).filter(|fact| !fact.is_empty())
        };
        let mut ended = json!({
            "began_ms": self.offset(handshake.took),
            "took_ms": fraction(handshake.took),
            "address": handshake.address.to_string(),
            "tls_version": tls(|facts| facts.version),
            "cipher_suite": tls(|facts| facts.cipher_suite),
            "key_exchange": tls(|facts| facts.key_exchange),
            "outcome": match (handshake.peer, handshake.error) {
                (Some(_), _) => "completed",
                (None, Some(_)) => "failed",
                (None, None) => "abandoned",
            },
        });
        for (name, value) in failure(handshake.error) {
            ended[name] = value;
        }
        self.told.lock().handshakes.push(ended);
    }

    fn attempt_ended(&self, _subject: &Subject, attempt: &AttemptEnd<'_>) {
        let (outcome, status, repeat, error) = match attempt.outcome {
            AttemptOutcome::Succeeded(status) => ("succeeded", status.map(u64::from), None, None),
            AttemptOutcome::Failed(error) => {
                ("failed", error.fact(key::STATUS).map(|status| status.0), None, Some(error))
            }
            AttemptOutcome::Repeated(repeat) => ("repeated", None, Some(repeat_name(repeat)), None),
            AttemptOutcome::Abandoned => ("abandoned", None, None, None),
        };
        let mut ended = json!({
            "number": attempt.number,
            "began_ms": self.offset(attempt.took),
            "took_ms": fraction(attempt.took),
            "address": attempt.address.as_ref().map(SocketAddr::to_string),
            "reused": attempt.reused,
            "sent": attempt.sent.name(),
            "outcome": outcome,
            "status": status,
            "repeat": repeat,
        });
        for (name, value) in failure(error) {
            ended[name] = value;
        }
        let mut told = self.told.lock();
        if let AttemptOutcome::Failed(error) = attempt.outcome
            && error.kind() == Kind::ClientCertificateRejected
            && !attempt.reused
            && let Some(handshake) = told.handshakes.last_mut()
            && handshake["outcome"] == "completed"
        {
            // On TLS 1.3 the consumer looks at our certificate after we have completed the handshake.
            handshake["outcome"] = json!("rejected");
            for (name, value) in failure(Some(error)) {
                handshake[name] = value;
            }
        }
        ended["stages_ms"] = std::mem::take(&mut told.attempt_stages).into();
        told.attempts.push(ended);
    }

    fn ended(&self, _subject: &Subject, end: &End<'_>) {
        self.record(Some(end));
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.record(None);
    }
}

/// Returns the classes of an error; `null` each without one.
fn failure(error: Option<&Error>) -> [(&'static str, Value); 6] {
    [
        ("kind", json!(error.map(|error| error.kind().name()))),
        ("stage", json!(error.map(|error| error.stage().name()))),
        ("blame", json!(error.map(|error| error.blame().name()))),
        ("scope", json!(error.map(|error| error.scope().name()))),
        ("retry", json!(error.map(|error| error.retry().name()))),
        ("alert", json!(error.and_then(|error| error.fact(key::ALERT)))),
    ]
}

fn repeat_name(repeat: Repeat) -> &'static str {
    match repeat {
        Repeat::SettingsChanged => "settings_changed",
        Repeat::ConnectionClosed => "connection_closed",
        Repeat::HoldUnsupported => "hold_unsupported",
    }
}
