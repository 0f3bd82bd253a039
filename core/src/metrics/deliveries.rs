//! What a dispatcher counts.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::cells::{Histogram, Observed, lock};
use super::table::row;
use super::{BoundedCounts, EventCells, Metrics};
use crate::error::{Blame, Error, Kind, Stage, cause, key};
use crate::event::EventName;
use crate::process::own;

/// The phases of an attempt, in the order of [`AttemptPhases`].
const PHASES: [&str; 5] = ["resolve", "connect", "handshake", "request", "response"];

/// How long the phases of an attempt took, in nanoseconds. `None`: the attempt had no such phase.
pub(crate) type AttemptPhases = [Option<u64>; PHASES.len()];

/// The counts of one dispatcher in one process.
#[derive(Default)]
pub(crate) struct DispatcherCells {
    delivered: Histogram,
    phases: [Histogram; PHASES.len()],
    reused: AtomicU64,
    failed: own::Mutex<BTreeMap<EndLabels, Observed>>,
    probes: own::Mutex<BTreeMap<EndLabels, u64>>,
    handshakes: own::Mutex<BTreeMap<HandshakeLabels, Observed>>,
    signatures: own::Mutex<BTreeMap<&'static str, Observed>>,
    distrusted: BoundedCounts,
    pub(crate) events: EventCells,
}

/// The labels of a delivery or a probe that has ended.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct EndLabels {
    kind: &'static str,
    stage: &'static str,
    blame: &'static str,
    status_class: &'static str,
}

impl EndLabels {
    fn of(error: &Error) -> Self {
        Self {
            kind: error.kind().name(),
            stage: error.stage().name(),
            blame: error.blame().name(),
            status_class: class(error.response().map(|response| response.status)),
        }
    }

    /// The labels of a delivery that the caller dropped.
    fn of_abandoned(stage: Stage) -> Self {
        let (kind, blame) = (Kind::Canceled.name(), Blame::Caller.name());
        Self { kind, stage: stage.name(), blame, status_class: "" }
    }
}

fn class(status: Option<u16>) -> &'static str {
    match status.unwrap_or_default() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "",
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HandshakeLabels {
    outcome: &'static str,
    kind: &'static str,
    alert: String,
    tls_version: &'static str,
}

/// The end of a handshake.
pub(crate) struct HandshakeEnd<'a> {
    pub(crate) took: Duration,
    pub(crate) is_completed: bool,
    /// The error, if it failed. `None` beside an incomplete one: it was abandoned.
    pub(crate) error: Option<&'a Error>,
    /// The version that the consumer chose, or an empty text.
    pub(crate) tls_version: &'static str,
}

impl DispatcherCells {
    /// Counts a successful delivery.
    pub(crate) fn delivered(&self, took: Duration) {
        self.delivered.observe(nanos(took));
    }

    /// Counts a delivery that failed.
    pub(crate) fn failed(&self, error: &Error, took: Duration) {
        self.failed_as(EndLabels::of(error), took);
        self.distrusted_by(error);
    }

    /// Counts a delivery that the caller dropped.
    pub(crate) fn abandoned(&self, stage: Stage, took: Duration) {
        self.failed_as(EndLabels::of_abandoned(stage), took);
    }

    fn failed_as(&self, labels: EndLabels, took: Duration) {
        lock(&self.failed).entry(labels).or_default().observe(took);
    }

    /// Counts a probe.
    pub(crate) fn probed(&self, error: Option<&Error>) {
        let labels = error.map(EndLabels::of).unwrap_or_default();
        *lock(&self.probes).entry(labels).or_default() += 1;
        if let Some(error) = error {
            self.distrusted_by(error);
        }
    }

    /// Counts a probe that the caller dropped.
    pub(crate) fn probe_abandoned(&self, stage: Stage) {
        *lock(&self.probes).entry(EndLabels::of_abandoned(stage)).or_default() += 1;
    }

    fn distrusted_by(&self, error: &Error) {
        if let Some(pin) = error.fact(key::DISTRUSTED) {
            self.distrusted.count(pin);
        }
    }

    /// Counts an attempt on an idle connection.
    pub(crate) fn reused(&self) {
        self.reused.fetch_add(1, Relaxed);
    }

    /// Counts the phases of an attempt.
    pub(crate) fn phases(&self, phases: &AttemptPhases) {
        for (histogram, spent) in self.phases.iter().zip(phases) {
            if let Some(nanos) = spent {
                histogram.observe(*nanos);
            }
        }
    }

    /// Counts a handshake.
    pub(crate) fn handshake(&self, end: &HandshakeEnd<'_>) {
        let rejected = |error: &&Error| error.kind() == Kind::ClientCertificateRejected;
        let (outcome, kind) = match end.error {
            // On TLS 1.3 the consumer looks at our certificate after the client has completed the handshake.
            Some(error) if end.is_completed && rejected(&error) => {
                ("rejected", error.kind().name())
            }
            _ if end.is_completed => ("completed", ""),
            Some(error) => ("failed", error.kind().name()),
            None => ("abandoned", ""),
        };
        let alert = end.error.and_then(|error| error.fact(key::ALERT)).cloned();
        let alert = alert.filter(|_| outcome != "completed").unwrap_or_default();
        let labels = HandshakeLabels { outcome, kind, alert, tls_version: end.tls_version };
        lock(&self.handshakes).entry(labels).or_default().observe(end.took);
    }

    /// Counts a signature that a signer was needed for.
    ///
    /// * `has_ended`: the signer has answered or failed.
    /// * `error`: the failure of the attempt, if it failed.
    pub(crate) fn signature(&self, took: Duration, has_ended: bool, error: Option<&Error>) {
        let wrong = |error: &Error| {
            error.fact(key::CAUSE).is_some_and(|name| name == cause::SIGNATURE_WRONG.name)
        };
        let outcome = match error {
            Some(error) if error.kind() == Kind::SignerTimeout => "timeout",
            Some(error) if error.kind() == Kind::SignerFailed && wrong(error) => "wrong",
            Some(error) if error.kind() == Kind::SignerFailed => "failed",
            _ if has_ended => "made",
            _ => "abandoned",
        };
        lock(&self.signatures).entry(outcome).or_default().observe(took);
    }

    /// Returns how many deliveries succeeded and failed.
    pub(crate) fn ended(&self) -> (u64, u64) {
        let failed = lock(&self.failed).values().map(Observed::count).sum();
        (self.delivered.read().count(), failed)
    }

    /// Adds what was counted.
    pub(crate) fn show(&self, metrics: &mut Metrics) {
        let delivered = EndLabels { status_class: "2xx", ..EndLabels::default() };
        let mut ends = lock(&self.failed).clone();
        ends.insert(delivered, self.delivered.read());
        let mut durations: BTreeMap<[&str; 3], Observed> = BTreeMap::new();
        for (end, observed) in &ends {
            let labels = [end.kind, end.stage, end.blame, end.status_class];
            metrics.count(row::DELIVERIES, &labels, observed.count());
            durations.entry([end.kind, end.stage, end.status_class]).or_default().add(observed);
        }
        for (labels, observed) in durations {
            metrics.histogram(row::DELIVERY_DURATION, &labels, observed);
        }
        for (end, count) in &*lock(&self.probes) {
            metrics.count(row::PROBES, &[end.kind, end.stage, end.blame], *count);
        }
        for (phase, histogram) in PHASES.into_iter().zip(&self.phases) {
            metrics.histogram(row::PHASES, &[phase], histogram.read());
        }
        self.show_handshakes(metrics);
        for (outcome, observed) in &*lock(&self.signatures) {
            metrics.count(row::SIGNATURES, &[outcome], observed.count());
            metrics.histogram(row::SIGNATURE_DURATION, &[outcome], observed.clone());
        }
        metrics.count(row::REUSE, &[], self.reused.load(Relaxed));
        for (to, name) in [("open", EventName::CircuitOpened), ("closed", EventName::CircuitClosed)]
        {
            metrics.count(row::CIRCUIT_TRANSITIONS, &[to], self.events.of(name));
        }
        self.distrusted.each(|issuer, count| metrics.count(row::DISTRUSTED, &[issuer], count));
        self.events.show(metrics);
    }

    fn show_handshakes(&self, metrics: &mut Metrics) {
        let mut durations: BTreeMap<[&str; 2], Observed> = BTreeMap::new();
        let handshakes = lock(&self.handshakes);
        for (end, observed) in &*handshakes {
            let labels = [end.outcome, end.kind, &end.alert, end.tls_version];
            metrics.count(row::HANDSHAKES, &labels, observed.count());
            let kind = if end.outcome == "abandoned" { Kind::Canceled.name() } else { end.kind };
            durations.entry([kind, end.tls_version]).or_default().add(observed);
        }
        for (labels, observed) in durations {
            metrics.histogram(row::HANDSHAKE_DURATION, &labels, observed);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
