//! Decides which failures count against an endpoint's circuit, and whether the way to all endpoints fails.

use std::time::Duration;

use super::Inner;
use crate::admission::Needs;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::endpoint::identity_rollout::may_be_refusal;
use crate::error::{Blame, Error, Kind, Scope, Sent, Stage, key};
use crate::event::{Event, EventName};
use crate::options;
use crate::process::{self, Lock};

/// An endpoint was tried lately if it was tried within this time, in seconds.
const LATELY: i64 = 60;

/// With fewer endpoints tried lately, nothing is said about the way.
const FEWEST_TRIED: usize = 5;

/// A judgment of the way holds for this long, in milliseconds, because it looks at every endpoint.
const JUDGMENT_HOLDS: i64 = 1000;

/// The last judgment of the way to the endpoints of a dispatcher.
#[derive(Default)]
pub(super) struct WayJudgment(Lock<Judged>);

#[derive(Default)]
struct Judged {
    /// In milliseconds since 1970.
    at: i64,
    fails: bool,
    /// If the way does not fail: how many more failures leave it so.
    spare: usize,
}

impl Inner {
    /// Records how a delivery or a probe failed. Emits the events of it.
    ///
    /// * `is_trial`: it was the trial of a half-open circuit.
    pub(super) fn record_failure(&self, endpoint: &Endpoint, error: &Error, is_trial: bool) {
        let limits = self.options.circuit;
        if limits.failures == 0 {
            return;
        }
        let now = clock::now_millis();
        let circuit = endpoint.access().circuit();
        let way_failed = fails_on_the_way(error);
        if way_failed || is_past_the_way(error) {
            circuit.way().record(!way_failed, now);
        }
        let needs = match counts(error) {
            // Only the endpoints of these failures are counted again.
            _ if way_failed && self.way_fails(error, now) => return,
            Some(needs) => needs,
            None => return,
        };
        let Some(opened) = circuit.failed(error, needs, limits, is_trial, (now, jitter())) else {
            return;
        };
        self.emit(&[Event::new(EventName::CircuitOpened)
            .of_consumer(endpoint.consumer())
            .with("kind", error.kind().name())
            .with("failures", opened.failures)
            .with("open_until_ms", opened.until)
            .with("why", error.message())
            .with("cure", error.remedy())]);
    }

    /// Records that a delivery or a probe has a new connection, on which the consumer has shown this.
    pub(super) fn record_connected(&self, endpoint: &Endpoint, shown: Needs) {
        endpoint.access().circuit().way().record(true, clock::now_millis());
        self.record_well(endpoint, shown);
    }

    /// Records that the consumer has shown this.
    pub(super) fn record_well(&self, endpoint: &Endpoint, shown: Needs) {
        if let Some(closed) = endpoint.access().circuit().succeeded(shown) {
            let event = Event::new(EventName::CircuitClosed).of_consumer(endpoint.consumer());
            self.emit(&[match closed.after {
                Some(kind) => event.with("kind", kind.name()),
                None => event,
            }]);
        }
    }

    /// Whether at least five endpoints were tried lately, and more than half of them fail on the way. Emits an
    /// event when this begins, and lets the circuits admit a trial that opened for such failures.
    fn way_fails(&self, error: &Error, now: i64) -> bool {
        let mut judged = self.way.0.lock();
        if (judged.at..judged.at.saturating_add(JUDGMENT_HOLDS)).contains(&now) {
            if judged.fails {
                return true;
            }
            if let Some(spare) = judged.spare.checked_sub(1) {
                judged.spare = spare;
                return false;
            }
        }
        let since = now.div_euclid(1000) - LATELY;
        let (mut tried, mut failing) = (0, Vec::new());
        for endpoint in self.endpoints.lock().values() {
            let answered = endpoint.rollout().answered_at();
            match endpoint.access().circuit().way().failed_since(since, answered) {
                Some(true) => failing.push(endpoint.clone()),
                Some(false) => {}
                None => continue,
            }
            tried += 1;
        }
        let fails = tried >= FEWEST_TRIED && failing.len() * 2 > tried;
        let began = fails && !judged.fails;
        // Each further failure adds one failing endpoint at most.
        let spare = tried.saturating_sub(2 * failing.len()) / 2;
        *judged = Judged { at: now, fails, spare };
        drop(judged);
        if began {
            failing.iter().for_each(Endpoint::reset_circuit);
            self.emit(&[Event::new(EventName::NetworkFailing)
                .with("tried", tried)
                .with("failing", failing.len())
                .with("kind", error.kind().name())]);
        }
        fails
    }
}

/// Returns what must happen before the consumer is well again. `None` if the failure does not count: it is
/// not the consumer's, or the consumer had a request.
fn counts(error: &Error) -> Option<Needs> {
    if matches!(error.blame(), Blame::Ours | Blame::Caller) {
        return None;
    }
    let early = matches!(error.stage(), Stage::Resolve | Stage::Connect | Stage::Handshake);
    match error.kind() {
        Kind::ClientCertificateRejected => {
            let by_alert = error.fact(key::VIA).is_some_and(|via| via == "alert");
            Some(if by_alert { Needs::Verdict } else { Needs::Answer })
        }
        // A close after the handshake is how some servers refuse a certificate.
        Kind::ConnectionLost if may_be_refusal(error) && error.sent() == Sent::Nothing => {
            Some(Needs::Answer)
        }
        // Its scope is the delivery, since one lost connection says nothing about the next.
        Kind::ConnectionLost if early => Some(Needs::Handshake),
        _ if early && error.scope() == Scope::Endpoint => Some(Needs::Handshake),
        _ => None,
    }
}

/// Whether the endpoint could not be reached. A denied address was not tried.
fn fails_on_the_way(error: &Error) -> bool {
    matches!(error.stage(), Stage::Resolve | Stage::Connect)
        && !matches!(error.kind(), Kind::EgressDenied | Kind::Canceled)
}

fn is_past_the_way(error: &Error) -> bool {
    matches!(error.stage(), Stage::Handshake | Stage::Request | Stage::Response)
}

/// Returns a random number from -0.1 to 0.1, so that the circuits of many processes do not all admit a trial
/// at once.
fn jitter() -> f64 {
    (process::random_fraction() - 0.5) / 5.0
}

impl Endpoint {
    /// Lets the next delivery try an endpoint whose circuit is open, at once, because something was
    /// repaired. Forgets the failures of an endpoint whose circuit is closed. A new generation and
    /// [`Dispatcher::reload`](crate::Dispatcher::reload) do the same.
    pub fn reset_circuit(&self) {
        self.access().circuit().retry_now();
    }

    /// Opens the circuit of this endpoint, because another process has found that the consumer fails.
    /// Afterwards one delivery tries it. A circuit that is open for longer stays so. No event is emitted.
    ///
    /// * `duration`: for how long.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn open_circuit(&self, duration: Duration) -> Result<(), Error> {
        let pause = options::duration("duration", duration)?;
        self.access().circuit().open(pause, clock::now_millis());
        Ok(())
    }
}
