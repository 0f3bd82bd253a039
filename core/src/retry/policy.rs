//! The retry policy: maps a failure to an action of the queue. It has no state and no clock; the queue
//! owns both.

use std::time::Duration;

use crate::error::{Error, Retry, Stage, words};
use crate::options::{self, SetByName, Setting, Unchecked};
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
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use webhook_mtls::retry::Action;
/// use webhook_mtls::{Kind, RetryPolicy, testing};
///
/// let policy = RetryPolicy::default().attempts(3)?.first(Duration::from_secs(10))?;
/// let lost = testing::error(Kind::ConnectionLost);
/// assert_eq!(policy.decide(&lost, 1).delay, Duration::from_secs(10));
/// assert_eq!(policy.decide(&lost, 2).delay, Duration::from_secs(20));
/// assert_eq!(policy.decide(&lost, 3).action, Action::Drop);
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
}

impl Rebuild for RetryPolicy {
    fn recipe(&self) -> Option<Recipe> {
        let recipe = Recipe::new("new").with("attempts", Argument::Integer(self.attempts.into()));
        let recipe = recipe.with("first", Argument::Duration(self.first));
        Some(recipe.with("ceiling", Argument::Duration(self.ceiling)))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 8, first: Duration::from_secs(5), ceiling: Duration::from_secs(3600) }
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

    /// Sets the most attempts, including the first, by default 8.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the count is 1 to 1 000 000.
    pub fn attempts(mut self, attempts: u32) -> Result<Self, Error> {
        options::count("attempts", usize::try_from(attempts).unwrap_or(usize::MAX))?;
        self.attempts = attempts;
        Ok(self)
    }

    /// Sets the delay after the first attempt, by default 5 s. It doubles with each further attempt.
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

    /// Returns the decision about a failure. The consumer's Retry-After replaces the policy's delay,
    /// even by a shorter one, but not by one below `first`.
    ///
    /// * `attempt`: the number of the failed attempt, from 1.
    pub fn decide(&self, error: &Error, attempt: u32) -> Decision {
        // The kind's usual stage: `overloaded` and `canceled` also end deliveries at later stages, and
        // those do not count either.
        let counts = error.kind().stage() != Stage::Admit;
        match error.retry() {
            Retry::Never => Decision {
                action: Action::Drop,
                delay: Duration::ZERO,
                counts: true,
                reason: "a retry cannot succeed",
            },
            Retry::AfterRepair => Decision {
                action: Action::Park,
                delay: self.ceiling,
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
                match error.retry_after() {
                    Some(asked) => Decision {
                        action: Action::Retry,
                        delay: asked.max(self.first),
                        counts,
                        reason: "the consumer set the delay",
                    },
                    None => Decision {
                        action: Action::Retry,
                        delay: backoff,
                        counts,
                        reason: "a retry may succeed",
                    },
                }
            }
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.ceiling.max(self.first))
    }
}

impl SetByName for RetryPolicy {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "retry_policy", name, value };
        match name {
            // A count that does not fit is out of range as well.
            "attempts" => self.attempts(u32::try_from(value.count()?).unwrap_or(u32::MAX)),
            "first" => self.first(value.duration()?),
            "ceiling" => self.ceiling(value.duration()?),
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
            other => panic!("a policy has no option {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn later() -> Error {
        Error::new(Kind::HttpStatus, "503")
    }

    #[test]
    fn waits_double_up_to_the_ceiling() {
        let policy = RetryPolicy::default();
        let delays: Vec<u64> =
            [1, 2, 3, 7].map(|attempt| policy.decide(&later(), attempt).delay.as_secs()).into();
        assert_eq!(delays, [5, 10, 20, 320]);
        let patient =
            RetryPolicy::new(100, Duration::from_secs(5), Duration::from_secs(60)).unwrap();
        assert_eq!(patient.decide(&later(), 99).delay.as_secs(), 60);
    }

    #[test]
    fn only_attempts_that_count_are_limited() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.decide(&later(), 8).action, Action::Drop);
        let overloaded = Error::new(Kind::Overloaded, "full");
        let decision = policy.decide(&overloaded, 50);
        assert_eq!((decision.action, decision.counts), (Action::Retry, false));
    }

    #[test]
    fn an_attempt_counts_unless_its_kind_is_of_admission() {
        for &kind in Kind::ALL {
            let decision = RetryPolicy::default()
                .decide(&Error::new(kind, "failed").retried(Retry::Later, None), 1);
            assert_eq!(decision.counts, kind.stage() != Stage::Admit, "{}", kind.name());
        }
    }

    #[test]
    fn an_admission_kind_does_not_count_at_a_later_stage() {
        for kind in [Kind::CircuitOpen, Kind::Overloaded, Kind::Canceled] {
            let error = Error::new(kind, "ended").at(Stage::Response);
            assert!(!RetryPolicy::default().decide(&error, 1).counts, "{}", kind.name());
        }
    }

    #[test]
    fn a_failure_that_needs_repair_is_parked() {
        let error = Error::new(Kind::ClientCertificateRejected, "refused");
        assert_eq!(RetryPolicy::default().decide(&error, 8).action, Action::Park);
    }
}
