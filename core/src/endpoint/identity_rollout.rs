//! Floor 8: which of our identities a consumer takes, while a new one makes its way.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::clock::system_time;
use crate::error::{Error, Kind, Sent};
use crate::material::identity::Identity;
use crate::material::pin::{Pin, PinSlot};
use crate::process::Lock;

/// Which of our identities one consumer took last.
#[derive(Default)]
pub(crate) struct IdentityRollout {
    state: Lock<RolloutState>,
    /// The mark of the generation whose identity was taken last, so that as a rule nothing is locked.
    mark: AtomicU64,
    /// When it was taken, in Unix seconds.
    at: AtomicI64,
}

#[derive(Default)]
struct RolloutState {
    accepted: Option<Identity>,
    /// It was refused since.
    doubted: bool,
    /// Until when the previous identity is shown at once, because the new one was refused.
    previous_until: Option<Instant>,
    /// The identity that was reported to be refused.
    reported: Option<[u8; 32]>,
}

impl IdentityRollout {
    /// The consumer gave a final answer under this identity.
    ///
    /// * `mark`: says whose identity it is; never 0.
    ///
    /// True if it was another one before.
    pub(crate) fn accepted(&self, identity: &Identity, mark: u64, now: i64) -> bool {
        self.at.store(now, Ordering::Relaxed);
        let changed = self.mark.swap(mark, Ordering::Relaxed) != mark;
        if changed {
            let mut state = self.state.lock();
            (state.accepted, state.doubted) = (Some(identity.clone()), false);
        }
        changed
    }

    /// The consumer refused this identity.
    pub(crate) fn refused(&self, identity: &Identity) {
        let mut state = self.state.lock();
        if state.accepted.as_ref() == Some(identity) {
            state.doubted = true;
            self.mark.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the consumer took this identity last, and has not refused it since.
    pub(crate) fn takes(&self, identity: &Identity, mark: u64) -> bool {
        let taken =
            |state: &RolloutState| !state.doubted && state.accepted.as_ref() == Some(identity);
        self.mark.load(Ordering::Relaxed) == mark || taken(&self.state.lock())
    }

    /// The new identity was taken: the previous one is not needed any more.
    pub(crate) fn caught_up(&self) {
        let mut state = self.state.lock();
        (state.previous_until, state.reported) = (None, None);
    }

    /// The new identity was refused and the previous one taken: for a while it is shown at once.
    /// True if that was not reported of this identity yet.
    pub(crate) fn fell_behind(&self, refused: &Identity, pause: Duration) -> bool {
        let mut state = self.state.lock();
        state.previous_until = Some(Instant::now() + pause);
        state.reported.replace(refused.digest()) != Some(refused.digest())
    }

    /// Whether to show the previous identity without trying the new one.
    pub(crate) fn is_behind(&self) -> bool {
        self.state.lock().previous_until.is_some_and(|until| Instant::now() < until)
    }

    /// What it took last.
    pub(crate) fn last(&self) -> Option<(Identity, i64)> {
        let accepted = self.state.lock().accepted.clone()?;
        Some((accepted, self.at.load(Ordering::Relaxed)))
    }
}

/// Whether another identity may be tried after this refusal. Not after `certificate_revoked`: a
/// consumer that revoked one of our certificates must not see another one. Not if the payload left: a
/// payload leaves once.
///
/// * `withheld`: the payload was held, and is still here.
pub(crate) fn may_fall_back(error: &Error, withheld: bool) -> bool {
    let fact = |name: &str| error.context().get(name).and_then(Value::as_str);
    error.kind() == Kind::ClientCertificateRejected
        && fact("alert") != Some("certificate_revoked")
        && (error.sent() == Sent::Nothing || withheld)
}

/// Which of our identities each consumer took last, as this process has seen it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RotationStatus {
    /// By consumer id.
    pub consumers: BTreeMap<String, ConsumerRotation>,
}

/// How far a rotation has come at one consumer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConsumerRotation {
    /// The identity it should take: the pin of its certificate, `cert-sha256/…`.
    pub wanted: String,
    /// The one it took last, if any: it gave a final answer that was no certificate page.
    pub accepted: Option<String>,
    /// When that was last.
    pub accepted_at: Option<SystemTime>,
    /// `current`, `previous`, or `unknown` where nothing was seen.
    pub state: &'static str,
    /// The pin of the consumer that matched last, and whether it is in use now or was announced.
    pub pin: Option<(String, PinSlot)>,
}

impl ConsumerRotation {
    pub(crate) fn new(
        wanted: &Identity,
        accepted: Option<(Identity, i64)>,
        pin: Option<(String, PinSlot)>,
    ) -> Self {
        let state = match &accepted {
            None => "unknown",
            Some((identity, _)) if identity == wanted => "current",
            Some(_) => "previous",
        };
        Self {
            wanted: identity_pin(wanted),
            accepted: accepted.as_ref().map(|(identity, _)| identity_pin(identity)),
            accepted_at: accepted.map(|(_, at)| system_time(at)),
            state,
            pin,
        }
    }
}

/// Names an identity by its certificate.
pub(crate) fn identity_pin(identity: &Identity) -> String {
    Pin::Certificate(Sha256::digest(identity.leaf().der()).into()).to_string()
}

impl RotationStatus {
    /// The form that every language shows. To merge those of several processes, take each consumer
    /// from the one with the greatest `accepted_at_ms`; null is less than any.
    pub fn to_json(&self) -> Value {
        let millis = |at: &SystemTime| crate::clock::unix_seconds(*at).saturating_mul(1000);
        let consumers: serde_json::Map<String, Value> = self
            .consumers
            .iter()
            .map(|(consumer, rotation)| {
                let json = json!({
                    "wanted": rotation.wanted,
                    "accepted": rotation.accepted,
                    "accepted_at_ms": rotation.accepted_at.as_ref().map(millis),
                    "state": rotation.state,
                    "pin": rotation.pin.as_ref().map(|(pin, _)| pin),
                    "pin_slot": rotation.pin.as_ref().map(|(_, slot)| slot.name()),
                });
                (consumer.clone(), json)
            })
            .collect();
        json!({ "process": std::process::id(), "consumers": consumers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(via: &str, alert: &str, sent: Sent) -> Error {
        Error::new(Kind::ClientCertificateRejected, "refused")
            .having_sent(sent)
            .noting("via", via)
            .noting("alert", alert)
    }

    #[test]
    fn whoever_revoked_a_certificate_of_ours_is_not_met_with_another_one() {
        assert!(may_fall_back(&refusal("alert", "unknown_ca", Sent::Nothing), false));
        assert!(!may_fall_back(&refusal("alert", "certificate_revoked", Sent::Nothing), false));
    }

    #[test]
    fn only_what_was_surely_not_delivered_is_tried_again() {
        assert!(!may_fall_back(&refusal("alert", "unknown_ca", Sent::Maybe), false));
        assert!(!may_fall_back(&refusal("http", "", Sent::All), false));
        assert!(may_fall_back(&refusal("http", "", Sent::Maybe), true));
        assert!(!may_fall_back(&Error::new(Kind::TlsFailed, "failed"), true));
    }
}
