//! The retry policy: maps a failure to an action of the queue. It has no state and no clock; the queue
//! owns both.

use std::time::Duration;

use crate::error::{Error, Kind, Retry, words};
use crate::options::{self, Setting};

words! {
    /// The action to take for a failed delivery.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    first: Duration,
    ceiling: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 8, first: Duration::from_secs(5), ceiling: Duration::from_secs(3600) }
    }
}

impl RetryPolicy {
    /// Makes a policy.
    ///
    /// * `attempts`: the number of attempts in all, at least 1.
    /// * `first`: the delay after the first attempt, above zero. It doubles with each further attempt.
    /// * `ceiling`: the longest delay, unless the consumer asks for a longer one. At least `first`.
    ///
    /// Fails with `option_invalid`.
    pub fn new(attempts: u32, first: Duration, ceiling: Duration) -> Result<Self, Error> {
        if attempts == 0 {
            return Err(options::fault("attempts", "must be at least 1"));
        }
        if first.is_zero() || ceiling < first {
            return Err(options::fault(
                "ceiling",
                "must be at least first, and first must be above zero",
            ));
        }
        Ok(Self { attempts, first, ceiling })
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`. A ceiling below `first`
    /// counts as `first`, so that the order of the calls does not matter.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        let mut next = *self;
        match (name, value) {
            ("attempts", Setting::Number(attempts)) => {
                let valid = attempts.fract() == 0.0 && (1.0..=1_000_000.0).contains(&attempts);
                if !valid {
                    return Err(options::fault(name, "must be a whole number from 1 to 1000000"));
                }
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked"
                )]
                {
                    next.attempts = attempts as u32;
                }
            }
            ("first", Setting::Millis(millis)) => {
                next.first = options::duration(name, millis)?;
            }
            ("ceiling", Setting::Millis(millis)) => {
                next.ceiling = options::duration(name, millis)?;
            }
            _ => return Err(options::mistyped("retry_policy", name)),
        }
        *self = next;
        Ok(())
    }

    /// Returns the decision about a failure.
    ///
    /// * `attempt`: the number of the failed attempt, from 1.
    pub fn decide(&self, error: &Error, attempt: u32) -> Decision {
        let counts = !matches!(error.kind(), Kind::CircuitOpen | Kind::Overloaded | Kind::Canceled);
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_failure_that_needs_repair_is_parked() {
        let error = Error::new(Kind::ClientCertificateRejected, "refused");
        assert_eq!(RetryPolicy::default().decide(&error, 8).action, Action::Park);
    }
}
