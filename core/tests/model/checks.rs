//! The checks of all observations during the lifetime of a dispatcher.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use webhook_mtls::Sent;

use super::lifetime::{Lifetime, MAX_AT_ONCE};
use super::receiver::Request;
use super::{Model, Settings};

impl Lifetime<'_> {
    /// Nothing starts on values that a call has replaced.
    pub(super) fn check_starts(&self, requests: &[Request]) {
        let models: HashMap<u64, &Model> =
            self.models.iter().map(|model| (model.number, model)).collect();
        for request in requests {
            let model = models[&request.endpoint];
            let known = [model.after(request.epoch), model.after(request.epoch + 1)];
            let allowed = known.iter().flatten().any(|settings| settings.allows(request));
            assert!(allowed, "{request:?} began under {known:?}, {}", self.place);
        }
    }

    /// No more deliveries run than the limit allows, except those that ran when it was lowered.
    pub(super) fn check_limits(&self, requests: &[Request]) {
        for model in &self.models {
            // By the time of the limit: the deliveries that began above it.
            let mut above: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
            for request in requests.iter().filter(|request| request.endpoint == model.number) {
                let until = |(since, _): &&(u64, Settings)| *since <= request.epoch + 1;
                let limits = model.history.iter().take_while(until).map(|(_, it)| it.limit);
                let most = limits.max().unwrap_or_default();
                let told = format!("{request:?} of {most}, {}", self.place);
                assert!(request.at_once <= most, "too many at once: {told}");
                let limit = |epoch| model.after(epoch).map_or(0, |settings| settings.limit);
                if request.at_once > limit(request.epoch).max(limit(request.epoch + 1)) {
                    let since = model.limited_since(request.epoch);
                    above.entry(since).or_default().insert(&request.id);
                }
            }
            for (since, ids) in above {
                let most = MAX_AT_ONCE;
                let told = format!("{ids:?} since {since}, {:?}, {}", model.history, self.place);
                assert!(ids.len() as u64 <= most, "too many began above the limit: {told}");
            }
        }
    }

    /// Each delivery's report agrees with the receiver's record of it.
    pub(super) fn check_outcomes(&self, requests: &[Request]) {
        let mut seen: HashMap<&str, Vec<&Request>> = HashMap::new();
        for request in requests {
            seen.entry(&request.id).or_default().push(request);
        }
        for (id, requests) in &seen {
            let payloads = requests.iter().filter(|request| request.payload > 0).count();
            assert!(payloads <= 1, "a payload left twice: {id} {requests:?}, {}", self.place);
        }
        for (id, outcome) in &self.outcomes {
            let seen = seen.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            let told = format!("{id}: {outcome:?} of {seen:?}, {}", self.place);
            match outcome {
                Ok(receipt) => {
                    let good = |request: &&&Request| {
                        request.whole && matches!(request.answered, Some(200..=299))
                    };
                    assert_eq!(seen.iter().filter(good).count(), 1, "{told}");
                    assert!(seen.len() <= receipt.attempts() as usize, "{told}");
                }
                Err(error) => {
                    let nothing = error.sent() == Sent::Nothing;
                    assert!(!nothing || seen.is_empty(), "{told}");
                    let kept = error.context().get("payload_sent") == Some(&false.into());
                    let payload = seen.iter().any(|request| request.payload > 0);
                    assert!(!(payload && (kept || nothing)), "{told}");
                    assert_ne!(nothing, error.context().contains_key("payload_sent"), "{told}");
                }
            }
        }
    }
}

impl Model {
    /// Returns the time since which the limit of that time holds.
    fn limited_since(&self, epoch: u64) -> u64 {
        let until = self.history.iter().take_while(|(since, _)| *since <= epoch);
        let mut since = (0, u64::MAX);
        for (at, settings) in until {
            if settings.limit != since.1 {
                since = (*at, settings.limit);
            }
        }
        since.0
    }
}
