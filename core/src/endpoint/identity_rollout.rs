//! Which of our identities a consumer accepts during the rollout of a new one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::clock::system_time;
use crate::error::{Error, Kind, Sent, key};
use crate::material::identity::Identity;
use crate::material::pin::{Pin, PinSlot};
use crate::process::Lock;
use crate::tls::MAY_BE_REFUSED;

/// Which of our identities one consumer accepted last.
#[derive(Default)]
pub(crate) struct IdentityRollout {
    state: Lock<RolloutState>,
    /// The mark of the generation whose identity was accepted last. It avoids the lock in most deliveries.
    mark: AtomicU64,
    /// When the identity was accepted last, in Unix seconds.
    at: AtomicI64,
    /// The mark of the generation whose fresh connection was lost before a response, if none has arrived
    /// since. 0: none.
    lost: AtomicU64,
    /// The consumer sends nothing after a handshake, so waiting for its verdict shows nothing.
    silent: AtomicBool,
}

#[derive(Default)]
struct RolloutState {
    accepted: Option<Identity>,
    /// The consumer has refused the accepted identity since.
    doubted: bool,
    /// Until then the previous identity is presented first, because the new one was refused.
    previous_until: Option<Instant>,
    /// The digest of the refused identity that an event has reported.
    reported: Option<[u8; 32]>,
}

impl IdentityRollout {
    /// Records that the consumer gave a final response under this identity. Returns `true` if it accepted
    /// another one before.
    ///
    /// * `mark`: [`Generation::mark`](super::Generation::mark) of the identity; never 0.
    pub(crate) fn accepted(&self, identity: &Identity, mark: u64, now: i64) -> bool {
        self.at.store(now, Ordering::Relaxed);
        if self.lost.load(Ordering::Relaxed) != 0 {
            self.lost.store(0, Ordering::Relaxed);
        }
        let changed = self.mark.swap(mark, Ordering::Relaxed) != mark;
        if changed {
            let mut state = self.state.lock();
            (state.accepted, state.doubted) = (Some(identity.clone()), false);
        }
        changed
    }

    /// Returns when the consumer gave a final response last, in Unix seconds; 0 if it gave none.
    pub(crate) fn answered_at(&self) -> i64 {
        self.at.load(Ordering::Relaxed)
    }

    /// Records that the consumer refused this identity.
    pub(crate) fn refused(&self, identity: &Identity) {
        let mut state = self.state.lock();
        if state.accepted.as_ref() == Some(identity) {
            state.doubted = true;
            self.mark.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the consumer accepted this identity last, and has not refused it since.
    pub(crate) fn accepts(&self, identity: &Identity, mark: u64) -> bool {
        let accepted =
            |state: &RolloutState| !state.doubted && state.accepted.as_ref() == Some(identity);
        self.mark.load(Ordering::Relaxed) == mark || accepted(&self.state.lock())
    }

    /// Records that a fresh connection of a generation was lost where a consumer refuses our certificate.
    pub(crate) fn set_lost(&self, mark: u64) {
        self.lost.store(mark, Ordering::Relaxed);
    }

    /// Whether a fresh connection of this generation was lost since the last response.
    pub(crate) fn is_lost(&self, mark: u64) -> bool {
        self.lost.load(Ordering::Relaxed) == mark
    }

    /// Records that the consumer sent nothing after a handshake, or forgets it for another server.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// Whether the consumer sends nothing after a handshake.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// Records that the consumer accepted the new identity. The previous one is not needed any more.
    pub(crate) fn caught_up(&self) {
        let mut state = self.state.lock();
        (state.previous_until, state.reported) = (None, None);
    }

    /// Records that the consumer refused the new identity and accepted the previous one, which is then
    /// presented first for `pause`. Returns `true` if this was not reported for this identity yet.
    pub(crate) fn fell_behind(&self, refused: &Identity, pause: Duration) -> bool {
        let mut state = self.state.lock();
        state.previous_until = Some(Instant::now() + pause);
        state.reported.replace(refused.digest()) != Some(refused.digest())
    }

    /// Whether to present the previous identity without trying the new one.
    pub(crate) fn is_behind(&self) -> bool {
        self.state.lock().previous_until.is_some_and(|until| Instant::now() < until)
    }

    /// The identity that the consumer accepted last, and when (Unix seconds).
    pub(crate) fn last(&self) -> Option<(Identity, i64)> {
        let accepted = self.state.lock().accepted.clone()?;
        Some((accepted, self.at.load(Ordering::Relaxed)))
    }
}

/// Whether another identity may be tried after this failure. Not after `certificate_revoked`: an operator who
/// revoked one of our certificates must not be offered another one. Not if the payload has left, because a
/// payload is sent only once.
///
/// * `in_doubt`: the identity was in doubt, so a close may be a refusal.
/// * `withheld`: the payload was held and has not been sent.
pub(crate) fn may_fall_back(error: &Error, in_doubt: bool, withheld: bool) -> bool {
    let refused = error.kind() == Kind::ClientCertificateRejected
        && error.fact(key::ALERT).is_none_or(|alert| alert != "certificate_revoked");
    (refused || in_doubt && may_be_refusal(error)) && (error.sent() == Sent::Nothing || withheld)
}

/// Whether a connection ended as after a refusal of our certificate.
pub(crate) fn may_be_refusal(error: &Error) -> bool {
    error.kind() == Kind::ConnectionLost
        && error.fact(key::HINT).is_some_and(|hint| hint == MAY_BE_REFUSED)
}

/// Which of our identities each consumer accepted last, as far as this process has observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RotationStatus {
    /// By consumer id.
    pub consumers: BTreeMap<String, ConsumerRotation>,
}

/// The progress of an identity rotation at one consumer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConsumerRotation {
    /// The identity that the consumer should accept, as the pin of its certificate (`cert-sha256/…`).
    pub wanted: String,
    /// The identity that it accepted last, if any: it gave a final response that does not refuse the
    /// certificate.
    pub accepted: Option<String>,
    /// When it accepted that identity last.
    pub accepted_at: Option<SystemTime>,
    /// `current`, `previous`, or `unknown` if this process has observed no acceptance.
    pub state: &'static str,
    /// The consumer's pin that matched last, and its slot: `current` or `next`.
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

/// The pin of an identity's certificate, which names the identity in statuses.
pub(crate) fn identity_pin(identity: &Identity) -> String {
    Pin::Certificate(Sha256::digest(identity.leaf().der()).into()).to_string()
}

impl RotationStatus {
    /// The status as JSON, the same in all languages. [`merge`](super::merge) makes one of the statuses of
    /// several processes.
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
            .noting(key::VIA, via)
            .noting(key::ALERT, alert)
    }

    #[test]
    fn a_consumer_that_revoked_our_certificate_is_not_offered_another() {
        assert!(may_fall_back(&refusal("alert", "unknown_ca", Sent::Nothing), false, false));
        assert!(!may_fall_back(
            &refusal("alert", "certificate_revoked", Sent::Nothing),
            true,
            false
        ));
    }

    #[test]
    fn only_a_payload_that_was_not_sent_is_tried_again() {
        assert!(!may_fall_back(&refusal("alert", "unknown_ca", Sent::Maybe), true, false));
        assert!(!may_fall_back(&refusal("http", "", Sent::All), true, false));
        assert!(may_fall_back(&refusal("http", "", Sent::Maybe), true, true));
        assert!(!may_fall_back(&Error::new(Kind::TlsFailed, "failed"), true, true));
    }

    #[test]
    fn a_close_counts_only_in_doubt() {
        let lost = Error::new(Kind::ConnectionLost, "closed").noting(key::HINT, MAY_BE_REFUSED);
        assert!(may_fall_back(&lost, true, false));
        assert!(!may_fall_back(&lost, false, false));
        assert!(!may_fall_back(&lost.having_sent(Sent::Maybe), true, false));
        assert!(!may_fall_back(&Error::new(Kind::ConnectionLost, "by an alert"), true, false));
    }
}
