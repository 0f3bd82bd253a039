//! What handshakes have shown of a consumer, and the events about its pins that follow.

use crate::event::{Event, EventName};
use crate::material::pin::{Pin, PinSlot, Pins};
use crate::verify::{PeerIdentity, UnusedCrl};

/// After this many consecutive renewals with a new key, the consumer is assumed to change its key always.
const REKEY_HABIT: u32 = 2;

/// What the handshakes of this process have shown of one consumer.
#[derive(Default)]
pub(crate) struct PeerHistory {
    /// The pin of the key that was presented last.
    pub(crate) pin: Option<Pin>,
    /// All pins that have ever matched. There are few.
    pub(crate) matched: Vec<Pin>,
    /// The pin that matched last.
    pub(crate) last: Option<(Pin, PinSlot)>,
    pub(crate) not_before: Option<i64>,
    pub(crate) not_after: Option<i64>,
    /// The most recently issued certificate: its notBefore and the pin of its key.
    newest: Option<(i64, Pin)>,
    /// How many consecutive renewals have changed the key.
    rekeyed: u32,
    /// Whether an event has reported that a former pin is still in use.
    reported: bool,
    /// The CRLs that were not used in the last handshake.
    unused_crls: Vec<UnusedCrl>,
}

static EMPTY: PeerHistory = PeerHistory {
    pin: None,
    matched: Vec::new(),
    last: None,
    not_before: None,
    not_after: None,
    newest: None,
    rekeyed: 0,
    reported: false,
    unused_crls: Vec::new(),
};

impl PeerHistory {
    /// Returns the history, or an empty one if the consumer has had no handshake yet.
    pub(crate) fn or_empty(history: Option<&PeerHistory>) -> &PeerHistory {
        history.unwrap_or(&EMPTY)
    }

    /// Records a verified peer. Returns the events for the operator.
    pub(crate) fn record(&mut self, peer: &PeerIdentity, pins: Option<&Pins>) -> Vec<Event> {
        let certificate = peer.certificate();
        let pin = Pin::Spki(certificate.parsed().spki_digest());
        self.not_before = Some(certificate.not_before());
        self.not_after = Some(certificate.not_after());
        let mut events = Vec::new();
        events.extend(self.renewal(certificate.not_before(), pin));
        if let Some(matched) = peer.pin() {
            if !self.matched.contains(&matched) {
                self.matched.push(matched);
            }
            self.last = peer.pin_slot().map(|slot| (matched, slot));
            events.extend(pins.and_then(|pins| self.fallen_behind(matched, pins)));
        }
        self.pin = Some(pin);
        let unused = peer.unused_crls();
        let new = unused.iter().filter(|crl| !self.unused_crls.contains(crl));
        events.extend(new.map(UnusedCrl::event));
        self.unused_crls = unused.to_vec();
        events
    }

    /// Detects a renewal with a new key. Several servers may present different certificates alternately, so
    /// only a certificate with a later notBefore counts as a renewal.
    fn renewal(&mut self, not_before: i64, pin: Pin) -> Option<Event> {
        if self.newest.is_some_and(|(before, _)| not_before <= before) {
            return None;
        }
        let (_, former) = self.newest.replace((not_before, pin))?;
        self.rekeyed = if former == pin { 0 } else { self.rekeyed + 1 };
        (self.rekeyed == REKEY_HABIT).then(|| {
            Event::new(EventName::ConsumerRekeys)
                .with("pin", pin.to_string())
                .with("previous", former.to_string())
        })
    }

    /// Detects a former pin that matches after the `next` pin has matched.
    fn fallen_behind(&mut self, matched: Pin, pins: &Pins) -> Option<Event> {
        let next = pins
            .iter()
            .find(|(pin, slot)| *slot == PinSlot::Next && self.matched.contains(pin))
            .map(|(pin, _)| pin);
        let behind = next.filter(|next| *next != matched);
        // Reported once, until the next key matches again.
        let reported = std::mem::replace(&mut self.reported, behind.is_some());
        behind.filter(|_| !reported).map(|next| {
            Event::new(EventName::PinPreviousUsed)
                .with("pin", matched.to_string())
                .with("next", next.to_string())
        })
    }

    /// Events about insufficient pins, for a consumer whose certificate is about to expire.
    pub(crate) fn warnings(&self, pins: &Pins) -> Vec<Event> {
        let not_after = self.not_after.unwrap_or_default().saturating_mul(1000);
        let about = |name: EventName, pin: Pin| {
            Event::new(name).with("pin", pin.to_string()).with("not_after_ms", not_after)
        };
        let all: Vec<(Pin, PinSlot)> = pins.iter().collect();
        if let [(only, _)] = all[..] {
            return vec![about(EventName::PinSingle, only)];
        }
        all.into_iter()
            .filter(|(pin, slot)| *slot == PinSlot::Next && !self.matched.contains(pin))
            .map(|(pin, _)| about(EventName::PinNextUnseen, pin))
            .collect()
    }
}
