//! Floor 3: how much of its lifetime everything has left that one day expires, and when to say so.
//!
//! Fractions, not days: three days are plenty for a certificate of a week and late for one of ten
//! years.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::certificate::{Certificate, name_text};
use crate::clock::{system_time, unix_seconds};
use crate::error::words;
use crate::event::{Event, EventName};
use crate::identity::Identity;
use crate::trust::Trust;

words! {
    /// What expires.
    Expiring {
        /// A certificate of our own chain.
        Identity = 1 "identity",
        /// A trust anchor.
        Anchor = 2 "anchor",
        /// A known intermediate of a trust.
        Intermediate = 3 "intermediate",
        /// A CRL, at its nextUpdate.
        Crl = 4 "crl",
        /// A consumer's certificate, as last seen.
        Consumer = 5 "consumer",
    }
}

/// Something that expires, and how much of its lifetime is left.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Expiry {
    /// What it is.
    pub what: Expiring,
    /// Its subject, the issuer of a CRL, or the consumer id.
    pub name: String,
    /// The last instant of its validity.
    pub not_after: SystemTime,
    /// 1 at its first instant, 0 once it has expired.
    pub fraction_left: f64,
}

/// When something begins and ends to be valid, in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lifetime {
    pub(crate) what: Expiring,
    pub(crate) name: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Lifetime {
    pub(crate) fn of_identity(identity: &Identity) -> impl Iterator<Item = Self> {
        identity.chain().iter().map(|own| Self::of(Expiring::Identity, own))
    }

    pub(crate) fn of_trust(trust: &Trust) -> impl Iterator<Item = Self> {
        let anchors =
            trust.anchors().iter().map(|anchor| Self::of(Expiring::Anchor, &anchor.certificate));
        let intermediates =
            trust.intermediates().iter().map(|known| Self::of(Expiring::Intermediate, known));
        let crls = trust.crls().iter().map(|crl| Self {
            what: Expiring::Crl,
            name: name_text(&crl.issuer),
            not_before: crl.this_update,
            not_after: crl.next_update,
        });
        anchors.chain(intermediates).chain(crls)
    }

    pub(crate) fn of_consumer(consumer: &str, not_before: i64, not_after: i64) -> Self {
        Self { what: Expiring::Consumer, name: consumer.to_owned(), not_before, not_after }
    }

    fn of(what: Expiring, certificate: &Certificate) -> Self {
        let view = certificate.view();
        Self {
            what,
            name: name_text(view.subject),
            not_before: view.not_before,
            not_after: view.not_after,
        }
    }

    /// From 1 at the first instant down to 0.
    #[allow(clippy::cast_precision_loss, reason = "centuries in seconds fit well within 52 bits")]
    pub(crate) fn fraction_left(&self, now: i64) -> f64 {
        let whole = self.not_after.saturating_sub(self.not_before);
        let left = self.not_after.saturating_sub(now);
        if left < 0 || whole <= 0 {
            return 0.0;
        }
        (left as f64 / whole as f64).min(1.0)
    }

    pub(crate) fn at(self, now: i64) -> Expiry {
        Expiry {
            fraction_left: self.fraction_left(now),
            what: self.what,
            not_after: system_time(self.not_after),
            name: self.name,
        }
    }
}

impl Expiry {
    /// The form that every language shows.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "what": self.what.name(),
            "name": self.name,
            "not_after_ms": unix_seconds(self.not_after).saturating_mul(1000),
            "fraction_left": self.fraction_left,
        })
    }
}

/// What was said already of each lifetime, so that each threshold is told once.
#[derive(Default)]
pub(crate) struct Warnings {
    said: HashMap<Lifetime, f64>,
}

impl Warnings {
    /// The thresholds that were passed since the last call; of several, the lowest.
    ///
    /// * `first`: the fraction at which to warn for the first time; the later ones are fixed.
    pub(crate) fn since<'a>(
        &mut self,
        lifetimes: &'a [Lifetime],
        first: f64,
        now: i64,
    ) -> Vec<(&'a Lifetime, Event)> {
        let mut events = Vec::new();
        let mut said = HashMap::with_capacity(self.said.len());
        for lifetime in lifetimes {
            let left = lifetime.fraction_left(now);
            let passed = [first, 0.10, 0.05, 0.0]
                .into_iter()
                .filter(|threshold| if *threshold > 0.0 { left <= *threshold } else { left <= 0.0 })
                .min_by(f64::total_cmp);
            let Some(passed) = passed else { continue };
            let before = self.said.get(lifetime).copied();
            if before.is_none_or(|before| passed < before) && !said.contains_key(lifetime) {
                events.push((lifetime, lifetime.event(left, passed)));
            }
            said.insert(lifetime.clone(), passed);
        }
        self.said = said;
        events
    }
}

impl Lifetime {
    fn event(&self, left: f64, threshold: f64) -> Event {
        let not_after = self.not_after.saturating_mul(1000);
        if self.what == Expiring::Anchor && threshold <= 0.0 {
            return Event::new(EventName::AnchorExpired)
                .with("name", &*self.name)
                .with("not_after_ms", not_after);
        }
        let event = Event::new(EventName::Expiry)
            .with("what", self.what.name())
            .with("name", &*self.name)
            .with("not_after_ms", not_after)
            .with("fraction_left", left)
            .with("threshold", threshold);
        if self.what == Expiring::Consumer { event.of_consumer(&self.name) } else { event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn lifetime(days: i64) -> Lifetime {
        Lifetime {
            what: Expiring::Identity,
            name: "CN=us".into(),
            not_before: 0,
            not_after: days * DAY,
        }
    }

    /// Each threshold with the second before it and the second that passes it.
    fn thresholds_of(days: i64) -> Vec<(i64, f64)> {
        let lifetime = lifetime(days);
        let mut warnings = Warnings::default();
        let mut told = Vec::new();
        let step = (days * DAY / 100_000).max(1);
        let mut now = 0;
        while now <= lifetime.not_after + step {
            for (_, event) in warnings.since(std::slice::from_ref(&lifetime), 0.2, now) {
                told.push((now, event.fields()["threshold"].as_f64().unwrap()));
            }
            now += step;
        }
        told
    }

    #[test]
    fn a_day_and_ten_years_are_warned_of_at_the_same_fractions() {
        for days in [1, 3650] {
            let whole = days * DAY;
            let told = thresholds_of(days);
            let expected = [0.2, 0.1, 0.05, 0.0];
            assert_eq!(told.iter().map(|(_, threshold)| *threshold).collect::<Vec<_>>(), expected);
            for ((at, _), threshold) in told.iter().zip(expected) {
                #[allow(clippy::cast_precision_loss, reason = "small numbers")]
                let left = (whole - at) as f64 / whole as f64;
                assert!(left <= threshold && left > threshold - 0.001, "{days} days: {left}");
            }
        }
    }

    #[test]
    fn a_threshold_that_was_skipped_is_not_told_late() {
        let lifetime = [lifetime(1)];
        let mut warnings = Warnings::default();
        let told = warnings.since(&lifetime, 0.2, DAY - DAY / 50);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1.fields()["threshold"], 0.05);
        assert!(warnings.since(&lifetime, 0.2, DAY - DAY / 50).is_empty());
    }

    #[test]
    fn a_renewed_certificate_is_warned_of_anew() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.since(&[lifetime(1)], 0.2, DAY - 1).len(), 1);
        assert!(warnings.since(&[lifetime(2)], 0.2, DAY).is_empty());
        assert_eq!(warnings.since(&[lifetime(2)], 0.2, 2 * DAY - 1).len(), 1);
    }
}
