//! The retry policy: maps a failure to an action of the queue. It has no state and no clock; the queue
//! owns both.

use std::time::Duration;

use crate::error::{Error, Kind, Retry, Stage, words};
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::process;
use crate::recipe::{Argument, Rebuild, Recipe};

words! {
    /// The action to take for a failed delivery. Exhaustive: a queue must take each.
    Action {
        /// Try again after the delay.
        Retry = 1 "retry",
        /// Hold it until an operator has repaired the cause. Try again after the delay at the latest.
        Park = 2 "park",
        /// Discard it.
        Drop = 3 "drop",
    }
}

/// The decision about one failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The action to take.
    pub action: Action,
    /// The time to wait before the action.
    pub delay: Duration,
    /// Whether this attempt counts. An attempt that was never admitted, or that waits for a repair, does
    /// not count.
    pub counts: bool,
    /// The reason, in a few words.
    pub reason: &'static str,
}

/// The number of attempts and the delays between them.
///
/// Half of each delay is fixed and half is random, so that many deliveries that failed together do not
/// return together. With the defaults, more than 24 hours pass until the attempts are used up.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use webhook_mtls::retry::Action;
/// use webhook_mtls::{Kind, RetryPolicy, testing};
///
/// let policy = RetryPolicy::default().attempts(3)?.first(Duration::from_secs(10))?;
/// let lost = testing::error(Kind::ConnectionLost);
/// let delay = policy.decide(&lost, 1)?.delay;
/// assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&delay));
/// assert_eq!(policy.decide(&lost, 3)?.action, Action::Drop);
/// assert!(policy.decide(&lost, 0).is_err(), "attempts count from 1");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryPolicy {
    attempts: u32,
    first: Duration,
    ceiling: Duration,
    /// Makes the delays repeatable.
    seed: Option<u64>,
}

impl Rebuild for RetryPolicy {
    fn recipe(&self) -> Option<Recipe> {
        let recipe = Recipe::new("new").with("attempts", Argument::Integer(self.attempts.into()));
        let recipe = recipe.with("first", Argument::Duration(self.first));
        let recipe = recipe.with("ceiling", Argument::Duration(self.ceiling));
        Some(match self.seed {
            Some(seed) => recipe.with("seed", Argument::Integer(seed)),
            None => recipe,
        })
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        // With the shortest random parts, 59 delays take 25 hours.
        let (first, ceiling) = (Duration::from_secs(5), Duration::from_secs(3600));
        Self { attempts: 60, first, ceiling, seed: None }
    }
}

impl RetryPolicy {
    /// Makes a policy.
    ///
    /// * `attempts`: the number of attempts in all, 1 to 1 000 000.
    /// * `first`: the delay after the first attempt. It doubles with each further attempt.
    /// * `ceiling`: the longest delay, unless the consumer asks for a longer one. At least `first`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if `attempts` is out of range, if a duration is zero or above 24 hours, or if
    /// `ceiling` is below `first`.
    pub fn new(attempts: u32, first: Duration, ceiling: Duration) -> Result<Self, Error> {
        if ceiling < first {
            return Err(options::fault("ceiling", "must be at least first"));
        }
        Self::default().attempts(attempts)?.first(first)?.ceiling(ceiling)
    }

    /// Sets the most attempts, including the first, by default 60.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the count is 1 to 1 000 000.
    pub fn attempts(mut self, attempts: u32) -> Result<Self, Error> {
        options::count("attempts", usize::try_from(attempts).unwrap_or(usize::MAX))?;
        self.attempts = attempts;
        Ok(self)
    }

    /// Sets the delay after the first attempt, by default 5 s, of which half is random. It doubles with
    /// each further attempt.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn first(mut self, delay: Duration) -> Result<Self, Error> {
        self.first = options::duration("first", delay)?;
        Ok(self)
    }

    /// Sets the longest delay, by default an hour, unless the consumer asks for a longer one. A ceiling
    /// below `first` counts as `first`, so that the order of the calls does not matter.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn ceiling(mut self, delay: Duration) -> Result<Self, Error> {
        self.ceiling = options::duration("ceiling", delay)?;
        Ok(self)
    }

    /// Makes the random parts of the delays repeatable, for tests. Equal seeds give equal delays.
    #[must_use]
    pub fn seed(mut self, seed: u32) -> Self {
        self.seed = Some(seed.into());
        self
    }

    /// Returns the decision about a failure. The delay is never shorter than the consumer's Retry-After.
    ///
    /// * `attempt`: the number of the failed attempt, from 1.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if `attempt` is 0.
    pub fn decide(&self, error: &Error, attempt: u32) -> Result<Decision, Error> {
        if attempt == 0 {
            return Err(options::fault("attempt", "must be 1 or more: attempts count from 1"));
        }
        // The kind's usual stage: `overloaded` and `canceled` also end deliveries at later stages, and
        // those do not count either. A closed dispatcher is no attempt.
        let counts = error.kind().stage() != Stage::Admit && error.kind() != Kind::HandleClosed;
        Ok(match error.retry() {
            Retry::Never => Decision {
                action: Action::Drop,
                delay: Duration::ZERO,
                counts: true,
                reason: "a retry cannot succeed",
            },
            Retry::AfterRepair => Decision {
                action: Action::Park,
                delay: self.longest(),
                counts: false,
                reason: "the cause must be repaired first",
            },
            Retry::Later if counts && attempt >= self.attempts => Decision {
                action: Action::Drop,
                delay: Duration::ZERO,
                counts: true,
                reason: "all attempts are used up",
            },
            Retry::Later => {
                let backoff = self.backoff(attempt);
                let asked = error.retry_after().filter(|asked| *asked >= backoff);
                Decision {
                    action: Action::Retry,
                    delay: asked.unwrap_or(backoff),
                    counts,
                    reason: match asked {
                        Some(_) => "the consumer asked for this delay",
                        None => "a retry may succeed",
                    },
                }
            }
        })
    }

    /// Returns the delay after an attempt: half of it fixed, half random.
    fn backoff(&self, attempt: u32) -> Duration {
        let half = self.whole(attempt) / 2;
        half + half.mul_f64(self.random(attempt))
    }

    /// Returns the longest delay after an attempt.
    fn whole(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.longest())
    }

    fn longest(&self) -> Duration {
        self.ceiling.max(self.first)
    }

    /// Returns a number from 0 to 1.
    fn random(&self, attempt: u32) -> f64 {
        match self.seed {
            Some(seed) => process::fraction(mixed(seed ^ mixed(u64::from(attempt)))),
            None => process::random_fraction(),
        }
    }
}

/// Mixes the bits of a number (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl SetByName for RetryPolicy {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "retry_policy", name, value };
        match name {
            // A count that does not fit is out of range as well.
            "attempts" => self.attempts(u32::try_from(value.count()?).unwrap_or(u32::MAX)),
            "first" => self.first(value.duration()?),
            "ceiling" => self.ceiling(value.duration()?),
            "seed" => Ok(self.seed(u32::try_from(value.count()?).unwrap_or(u32::MAX))),
            _ => Err(options::mistyped("retry_policy", name)),
        }
    }
}

#[cfg(test)]
impl options::current::Current for RetryPolicy {
    fn current(&self, name: &str) -> String {
        use crate::options::current::millis;
        match name {
            "attempts" => self.attempts.to_string(),
            "first" => millis(self.first),
            "ceiling" => millis(self.ceiling),
            "seed" => self.seed.map_or("none".to_owned(), |seed| seed.to_string()),
            other => panic!("a policy has no option {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn later() -> Error {
        Error::new(Kind::HttpStatus, "503")
    }

    fn decide(policy: &RetryPolicy, error: &Error, attempt: u32) -> Decision {
        policy.decide(error, attempt).unwrap()
    }

    #[test]
    fn waits_double_up_to_the_ceiling_and_half_of_each_is_random() {
        let policy =
            RetryPolicy::new(100, Duration::from_secs(4), Duration::from_secs(60)).unwrap();
        for (attempt, whole) in [(1, 4), (2, 8), (3, 16), (5, 60), (99, 60)] {
            let delays: Vec<Duration> =
                (0..200).map(|_| decide(&policy, &later(), attempt).delay).collect();
            let (whole, half) = (Duration::from_secs(whole), Duration::from_secs(whole) / 2);
            assert!(delays.iter().all(|delay| (half..=whole).contains(delay)), "{delays:?}");
            // With 200 values, a quarter of the random half without one is as good as impossible.
            assert!(delays.iter().any(|delay| *delay < half + half / 4), "{delays:?}");
            assert!(delays.iter().any(|delay| *delay + half / 4 > whole), "{delays:?}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_delays() {
        let delays = |seed: u32| -> Vec<Duration> {
            let policy = RetryPolicy::default().seed(seed);
            (1..20).map(|attempt| decide(&policy, &later(), attempt).delay).collect()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }

    #[test]
    fn an_attempt_of_zero_is_refused() {
        let error = RetryPolicy::default().decide(&later(), 0).unwrap_err();
        assert_eq!(
            (error.kind(), &error.context()["option"]),
            (Kind::OptionInvalid, &"attempt".into())
        );
    }

    /// Returns the least time until the delivery is dropped, or `None` if that takes over two days.
    fn dropped_after(error: &Error) -> Option<Duration> {
        let policy = RetryPolicy::default();
        let (mut waited, mut attempt) = (Duration::ZERO, 1);
        while waited < DAY * 2 {
            let decision = decide(&policy, error, attempt);
            match decision.action {
                Action::Drop => return Some(waited),
                // The fixed half.
                Action::Retry => waited += policy.whole(attempt) / 2,
                Action::Park => waited += decision.delay,
            }
            attempt += u32::from(decision.counts);
        }
        None
    }

    #[test]
    fn no_failure_that_a_person_can_mend_is_dropped_within_a_day() {
        // The payload, the headers, or what a request brought to a receiver stay as they are.
        let hopeless = [
            Kind::HeaderInvalid,
            Kind::BodyTooLarge,
            Kind::EvidenceMissing,
            Kind::HopUntrusted,
            Kind::SignatureInvalid,
            Kind::TokenInvalid,
        ];
        for &kind in Kind::ALL {
            let error = Error::new(kind, "failed");
            let impatient = error.clone().retried(error.retry(), Some(Duration::from_secs(1)));
            for error in [error, impatient] {
                let dropped = dropped_after(&error);
                if hopeless.contains(&kind) {
                    assert_eq!(dropped, Some(Duration::ZERO), "{}", kind.name());
                } else {
                    let soon = dropped.is_some_and(|after| after < DAY);
                    assert!(!soon, "{}: {dropped:?}", kind.name());
                }
            }
        }
        assert!(dropped_after(&later()).is_some(), "a queue does not keep it forever");
    }

    #[test]
    fn the_delay_is_never_shorter_than_the_consumer_asked() {
        let asking = |seconds| later().retried(Retry::Later, Some(Duration::from_secs(seconds)));
        let policy = RetryPolicy::default();
        let long = decide(&policy, &asking(7200), 3);
        assert_eq!(
            (long.delay.as_secs(), long.reason),
            (7200, "the consumer asked for this delay")
        );
        let short = decide(&policy, &asking(1), 12);
        assert!(short.delay >= Duration::from_secs(1800), "{short:?}");
        assert_eq!(short.reason, "a retry may succeed");
    }

    #[test]
    fn only_attempts_that_count_are_limited() {
        let policy = RetryPolicy::default();
        assert_eq!(decide(&policy, &later(), 60).action, Action::Drop);
        let overloaded = Error::new(Kind::Overloaded, "full");
        let decision = decide(&policy, &overloaded, 500);
        assert_eq!((decision.action, decision.counts), (Action::Retry, false));
    }

    #[test]
    fn an_attempt_counts_unless_it_was_not_admitted() {
        for &kind in Kind::ALL {
            let error = Error::new(kind, "failed").retried(Retry::Later, None);
            let decision = decide(&RetryPolicy::default(), &error, 1);
            let admitted = kind.stage() != Stage::Admit && kind != Kind::HandleClosed;
            assert_eq!(decision.counts, admitted, "{}", kind.name());
        }
    }

    #[test]
    fn an_admission_kind_does_not_count_at_a_later_stage() {
        for kind in [Kind::CircuitOpen, Kind::Overloaded, Kind::Canceled] {
            let error = Error::new(kind, "ended").at(Stage::Response);
            assert!(!decide(&RetryPolicy::default(), &error, 1).counts, "{}", kind.name());
        }
    }

    #[test]
    fn a_failure_that_needs_repair_is_parked() {
        let error = Error::new(Kind::ClientCertificateRejected, "refused");
        assert_eq!(decide(&RetryPolicy::default(), &error, 60).action, Action::Park);
    }
}
