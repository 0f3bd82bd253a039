//! Floor 8: what a consumer has shown in handshakes, and what follows from it for its pins.

use crate::event::{Event, EventName};
use crate::material::pin::{Pin, PinSlot, Pins};
use crate::verify::{PeerIdentity, UnusedCrl};

/// After how many renewals in a row with a new key it is taken to be the consumer's habit.
const HABIT: u32 = 2;

/// What handshakes have shown of one consumer.
#[derive(Default)]
pub(crate) struct PeerHistory {
    /// The key that was shown last.
    pub(crate) pin: Option<Pin>,
    /// The pins that matched at any time; few.
    pub(crate) matched: Vec<Pin>,
    /// The pin that matched last.
    pub(crate) last: Option<(Pin, PinSlot)>,
    pub(crate) not_before: Option<i64>,
    pub(crate) not_after: Option<i64>,
    /// The certificate that was issued last, of those seen: when, and its key.
    newest: Option<(i64, Pin)>,
    /// How many renewals in a row have changed the key.
    rekeyed: u32,
    /// Whether it was reported that a former pin is still in use.
    reported: bool,
    /// The CRLs that were not used for it last.
    unused_crls: Vec<UnusedCrl>,
}

impl PeerHistory {
    /// Takes in a verified peer; says what an operator should hear about it.
    pub(crate) fn peer(&mut self, peer: &PeerIdentity, pins: Option<&Pins>) -> Vec<Event> {
        let certificate = peer.certificate();
        let pin = Pin::Spki(certificate.view().spki_digest());
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
        let news = unused.iter().filter(|crl| !self.unused_crls.contains(crl));
        events.extend(news.map(UnusedCrl::event));
        self.unused_crls = unused.to_vec();
        events
    }

    /// Several servers may show certificates in turn: only one issued later is a renewal.
    fn renewal(&mut self, not_before: i64, pin: Pin) -> Option<Event> {
        if self.newest.is_some_and(|(before, _)| not_before <= before) {
            return None;
        }
        let (_, former) = self.newest.replace((not_before, pin))?;
        self.rekeyed = if former == pin { 0 } else { self.rekeyed + 1 };
        (self.rekeyed == HABIT).then(|| {
            Event::new(EventName::ConsumerRekeys)
                .with("pin", pin.to_string())
                .with("previous", former.to_string())
        })
    }

    /// A pin in use now that matches after the next one did.
    fn fallen_behind(&mut self, matched: Pin, pins: &Pins) -> Option<Event> {
        let next = pins
            .iter()
            .find(|(pin, slot)| *slot == PinSlot::Next && self.matched.contains(pin))
            .map(|(pin, _)| pin);
        let behind = next.filter(|next| *next != matched);
        // Told once, until the next key is all that is shown.
        let reported = std::mem::replace(&mut self.reported, behind.is_some());
        behind.filter(|_| !reported).map(|next| {
            Event::new(EventName::PinPreviousUsed)
                .with("pin", matched.to_string())
                .with("next", next.to_string())
        })
    }

    /// What the pins lack while the consumer's certificate nears its end.
    pub(crate) fn lacking(&self, pins: &Pins) -> Vec<Event> {
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
