//! What a queue should do with a failure. Pure: queues own time, this owns the verdict.

use std::time::Duration;

use crate::error::{Error, Kind, Retry, words};
use crate::options::{self, Setting};

words! {
    /// What to do with a delivery that failed.
    Action {
        /// Try again after the delay.
        Retry = 1 "retry",
        /// Hold it until somebody has acted; look again after the delay at the latest.
        Park = 2 "park",
        /// Give it up.
        Drop = 3 "drop",
    }
}

/// A verdict on one failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// How long to wait first.
    pub delay: Duration,
    /// Whether this attempt counts. One that was never admitted, or waits for a repair, does not.
    pub counts: bool,
    /// Why, in a few words.
    pub reason: &'static str,
}

/// How often and how fast to try again.
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
    /// * `attempts`: how many in all, at least 1.
    /// * `first`: the wait after the first; it doubles with each further one.
    /// * `ceiling`: the longest wait, unless the consumer asks for a longer one.
    ///
    /// Fails with `option_invalid`.
    pub fn new(attempts: u32, first: Duration, ceiling: Duration) -> Result<Self, Error> {
        if attempts == 0 {
            return Err(options::fault("attempts", "must be at least 1"));
        }
        if first.is_zero() || ceiling < first {
            return Err(options::fault(
                "ceiling",
                "must be no less than first, which is above zero",
            ));
        }
        Ok(Self { attempts, first, ceiling })
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`. A ceiling below `first` is
    /// taken for `first`, so that the order of the calls does not matter.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        let mut next = *self;
        match (name, value) {
            ("attempts", Setting::Number(attempts)) => {
                let sound = attempts.fract() == 0.0 && (1.0..=1_000_000.0).contains(&attempts);
                if !sound {
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

    /// Judges a failure.
    ///
    /// * `attempt`: which attempt failed, from 1.
    pub fn decide(&self, error: &Error, attempt: u32) -> Decision {
        let counts = !matches!(error.kind(), Kind::CircuitOpen | Kind::Overloaded | Kind::Canceled);
        match error.retry() {
            Retry::Never => Decision {
                action: Action::Drop,
                delay: Duration::ZERO,
                counts: true,
                reason: "trying again cannot help",
            },
            Retry::AfterRepair => Decision {
                action: Action::Park,
                delay: self.ceiling,
                counts: false,
                reason: "somebody must act first",
            },
            Retry::Later if counts && attempt >= self.attempts => Decision {
                action: Action::Drop,
                delay: Duration::ZERO,
                counts: true,
                reason: "every attempt was made",
            },
            Retry::Later => {
                let backoff = self.backoff(attempt);
                match error.retry_after() {
                    Some(asked) => Decision {
                        action: Action::Retry,
                        delay: asked.max(self.first),
                        counts,
                        reason: "the consumer said when",
                    },
                    None => Decision {
                        action: Action::Retry,
                        delay: backoff,
                        counts,
                        reason: "it may work later",
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
    fn attempts_run_out_only_where_they_count() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.decide(&later(), 8).action, Action::Drop);
        let overloaded = Error::new(Kind::Overloaded, "full");
        let decision = policy.decide(&overloaded, 50);
        assert_eq!((decision.action, decision.counts), (Action::Retry, false));
    }

    #[test]
    fn what_needs_a_repair_is_parked() {
        let error = Error::new(Kind::ClientCertificateRejected, "refused");
        assert_eq!(RetryPolicy::default().decide(&error, 8).action, Action::Park);
    }
}
