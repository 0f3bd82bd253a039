//! Expiry of certificates and CRLs: the fraction of lifetime that is left, and the warnings about it.
//!
//! Thresholds are fractions, because three days are long for a certificate of one week and short for one
//! of ten years.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::clock::{self, system_time, unix_seconds};
use crate::error::{key, words};
use crate::event::{Event, EventName};
use crate::material::identity::Identity;
use crate::material::source::Source;
use crate::material::trust::Trust;
use crate::x509::{Certificate, name_text};

words! {
    /// The type of an item that expires.
    #[non_exhaustive]
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

/// An item that expires, and the fraction of its lifetime that is left.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Expiry {
    /// The type of the item.
    pub what: Expiring,
    /// Its subject, the issuer of a CRL, or the consumer id.
    pub name: String,
    /// The last instant of its validity.
    pub not_after: SystemTime,
    /// 1 at the first instant, 0 after expiry.
    pub fraction_left: f64,
}

/// The validity period of an item, in Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lifetime {
    pub(crate) what: Expiring,
    pub(crate) name: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Lifetime {
    pub(crate) fn of_identity(
        identity: &Identity,
    ) -> impl Iterator<Item = (Self, Option<Arc<Source>>)> {
        let source = identity.origin().map(|origin| origin.source.clone());
        let chain = identity.chain().iter();
        chain.map(move |own| (Self::of(Expiring::Identity, own), source.clone()))
    }

    pub(crate) fn of_trust(trust: &Trust) -> impl Iterator<Item = (Self, Option<Arc<Source>>)> {
        let source = trust.origin().map(|origin| origin.source.clone());
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
        let all = anchors.chain(intermediates).chain(crls);
        all.map(move |lifetime| (lifetime, source.clone()))
    }

    pub(crate) fn of_consumer(consumer: &str, not_before: i64, not_after: i64) -> Self {
        Self { what: Expiring::Consumer, name: consumer.to_owned(), not_before, not_after }
    }

    fn of(what: Expiring, certificate: &Certificate) -> Self {
        let parsed = certificate.parsed();
        Self {
            what,
            name: name_text(parsed.subject),
            not_before: parsed.not_before,
            not_after: parsed.not_after,
        }
    }

    /// The fraction of the lifetime that is left: 1 at the first instant, 0 after expiry.
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
    /// Returns the labels and the values of its metrics: type, name, date in Unix seconds, share left.
    pub(crate) fn into_gauge(self) -> (&'static str, String, i64, f64) {
        (self.what.name(), self.name, unix_seconds(self.not_after), self.fraction_left)
    }

    /// The expiry as JSON, in the form that every language shows.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "what": self.what.name(),
            "name": self.name,
            "not_after_ms": unix_seconds(self.not_after).saturating_mul(1000),
            "fraction_left": self.fraction_left,
        })
    }
}

/// The items that expire, with the files that they were read from.
pub(crate) type Lifetimes = HashMap<Lifetime, Option<Arc<Source>>>;

/// Returns the expiry of each item, the smallest fraction first.
pub(crate) fn expiries(lifetimes: Lifetimes, now: i64) -> Vec<Expiry> {
    let mut expiries: Vec<Expiry> =
        lifetimes.into_keys().map(|lifetime| lifetime.at(now)).collect();
    expiries.sort_by(|one, other| {
        one.fraction_left
            .total_cmp(&other.fraction_left)
            .then_with(|| (one.not_after, &one.name).cmp(&(other.not_after, &other.name)))
    });
    expiries
}

/// The warnings that were emitted, so that each threshold is reported once.
#[derive(Default)]
pub(crate) struct Warnings {
    reported: HashMap<Lifetime, f64>,
    clock_reported: bool,
}

impl Warnings {
    /// Returns the events that are due since the last call: an implausible clock, or else the
    /// thresholds that were passed. If an item has passed several, reports the lowest.
    ///
    /// * `first`: the fraction of the first warning. The later thresholds are fixed.
    /// * `rotations`: returns how often the files of a source have changed since the watch began.
    pub(crate) fn due(
        &mut self,
        lifetimes: &Lifetimes,
        first: f64,
        rotations: impl Fn(&Arc<Source>) -> u64,
    ) -> Vec<Event> {
        let now = match clock::now() {
            Ok(now) => now,
            Err(error) => {
                let clock = error.fact(key::CLOCK).map(|clock| clock.0);
                let event = Event::new(EventName::ClockImplausible).with("clock_ms", clock);
                let was_reported = std::mem::replace(&mut self.clock_reported, true);
                return if was_reported { Vec::new() } else { vec![event] };
            }
        };
        self.clock_reported = false;
        let mut events = Vec::new();
        let mut reported = HashMap::with_capacity(self.reported.len());
        for (lifetime, source) in lifetimes {
            let Some(passed) = lifetime.passed(first, now) else { continue };
            if self.reported.get(lifetime).is_none_or(|before| passed < *before) {
                events.push(lifetime.event(passed, now));
                // Files that have changed before can change again, so they are not reported as stale.
                let source = source.as_ref().filter(|source| rotations(source) == 0);
                events.extend(source.map(|source| lifetime.stale(source, now)));
            }
            reported.insert(lifetime.clone(), passed);
        }
        self.reported = reported;
        events
    }
}

impl Lifetime {
    /// Returns the lowest threshold that was passed.
    fn passed(&self, first: f64, now: i64) -> Option<f64> {
        let left = self.fraction_left(now);
        let thresholds = [first, 0.10, 0.05, 0.0].into_iter();
        thresholds.filter(|threshold| left <= *threshold).min_by(f64::total_cmp)
    }

    fn event(&self, threshold: f64, now: i64) -> Event {
        if self.what == Expiring::Anchor && threshold <= 0.0 {
            return self.described(Event::new(EventName::AnchorExpired));
        }
        let event = self
            .described(Event::new(EventName::Expiry))
            .with("what", self.what.name())
            .with("fraction_left", self.fraction_left(now))
            .with("threshold", threshold);
        if self.what == Expiring::Consumer { event.of_consumer(&self.name) } else { event }
    }

    fn stale(&self, source: &Source, now: i64) -> Event {
        self.described(Event::new(EventName::FileStale))
            .with("what", self.what.name())
            .with("files", source.shown())
            .with("fraction_left", self.fraction_left(now))
    }

    fn described(&self, event: Event) -> Event {
        event.with("name", &*self.name).with("not_after_ms", self.not_after.saturating_mul(1000))
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

    #[test]
    fn a_day_and_ten_years_pass_the_same_fractions_to_the_second() {
        for days in [1, 3650] {
            let lifetime = lifetime(days);
            let whole = days * DAY;
            let at = |part: i64| whole - whole * part / 100;
            assert_eq!(lifetime.passed(0.2, at(20) - 1), None);
            assert_eq!(lifetime.passed(0.2, at(20)), Some(0.2));
            assert_eq!(lifetime.passed(0.2, at(10) - 1), Some(0.2));
            assert_eq!(lifetime.passed(0.2, at(10)), Some(0.1));
            assert_eq!(lifetime.passed(0.2, at(5)), Some(0.05));
            assert_eq!(lifetime.passed(0.2, whole - 1), Some(0.05));
            assert_eq!(lifetime.passed(0.2, whole), Some(0.0));
            assert_eq!(lifetime.passed(0.33, at(33)), Some(0.33));
        }
    }

    #[test]
    fn before_its_first_instant_an_item_has_its_whole_lifetime_left() {
        assert!((lifetime(1).fraction_left(-5) - 1.0).abs() < f64::EPSILON);
    }
}
