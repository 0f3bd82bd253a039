//! The rate of an endpoint: how many deliveries may start in a second.
//!
//! A token bucket, kept as the instant at which it is full again (the generic cell rate algorithm of
//! ITU-T I.371). The caller supplies the time, so the bucket knows no clock.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::options::fault;

/// What the bucket holds: the deliveries of this time, and at least one.
const BURST: Duration = Duration::from_millis(100);

/// How many deliveries a second may start, in range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate(f64);

impl Rate {
    /// Fails with `option_invalid` unless the number is 0.001 to 1 000 000.
    pub(crate) fn new(per_second: f64) -> Result<Self, Error> {
        // This refuses a NaN as well.
        if (0.001..=1_000_000.0).contains(&per_second) {
            return Ok(Self(per_second));
        }
        Err(fault("rate", "must be a number of deliveries a second from 0.001 to 1000000"))
    }

    pub(crate) fn per_second(self) -> f64 {
        self.0
    }

    /// The time from one delivery to the next.
    fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

/// The tokens of one endpoint in one process. A delivery takes one when it gets its turn.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    interval: Duration,
    /// How much earlier than evenly spaced a delivery may start.
    early: Duration,
    /// When the bucket is full again.
    full_at: Instant,
}

impl Bucket {
    /// Makes a full bucket.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let interval = rate.interval();
        Self { rate, interval, early: BURST.saturating_sub(interval), full_at: now }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Changes the rate. The next delivery waits at most as long as after a delivery at the new rate.
    pub(super) fn set_rate(&mut self, rate: Rate, now: Instant) {
        let full_at = self.full_at.min(now + rate.interval());
        *self = Self { full_at, ..Self::new(rate, now) };
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let is_there = self.full_at <= now + self.early;
        if is_there {
            self.full_at = self.full_at.max(now) + self.interval;
        }
        is_there
    }

    /// Returns a token whose delivery did not start.
    pub(super) fn give_back(&mut self) {
        self.full_at = self.full_at.checked_sub(self.interval).unwrap_or(self.full_at);
    }

    /// Returns how long a delivery waits for its token.
    ///
    /// * `ahead`: how many deliveries take theirs before.
    pub(super) fn wait(&self, ahead: usize, now: Instant) -> Duration {
        let ahead = self.interval.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        let full_in = self.full_at.saturating_duration_since(now);
        full_in.saturating_add(ahead).saturating_sub(self.early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bucket(per_second: f64, now: Instant) -> Bucket {
        Bucket::new(Rate::new(per_second).unwrap(), now)
    }

    /// Takes each token as soon as it is due, during `time`. Returns how many deliveries started.
    fn started(bucket: &mut Bucket, from: Instant, time: Duration) -> f64 {
        let (mut now, mut count) = (from, 0);
        while now < from + time {
            if bucket.take(now) {
                count += 1;
            } else {
                now += bucket.wait(0, now);
            }
        }
        f64::from(count)
    }

    #[test]
    fn slow_deliveries_are_evenly_spaced() {
        for per_second in [0.001, 0.5, 1.0, 3.0, 10.0] {
            let start = Instant::now();
            let mut bucket = bucket(per_second, start);
            assert!(bucket.take(start));
            let wait = bucket.wait(0, start);
            assert_eq!(wait, Duration::from_secs_f64(1.0 / per_second));
            let before = start + wait.saturating_sub(Duration::from_nanos(1));
            assert!(!bucket.take(before));
            assert!(bucket.take(start + wait));
            assert!(!bucket.take(start + wait));
        }
    }

    #[test]
    fn a_second_has_the_rate_and_a_tenth_more() {
        let start = Instant::now();
        for (per_second, burst) in [(1.0, 1), (15.0, 1), (20.0, 2), (1000.0, 100)] {
            let mut bucket = bucket(per_second, start);
            let at_once = (0..10_000).take_while(|_| bucket.take(start)).count();
            assert_eq!(at_once, burst, "{per_second}");
            // An idle hour fills the bucket, and no more.
            let later = start + 3600 * SECOND;
            let most = per_second + (per_second / 10.0).max(1.0);
            let seen = started(&mut bucket, later, SECOND);
            assert!(seen <= most.ceil(), "{per_second}: {seen}");
            assert!(seen >= per_second, "{per_second}: {seen}");
            let steady = started(&mut bucket, later + SECOND, 10 * SECOND);
            assert!((per_second * 10.0 - steady).abs() <= 1.0, "{per_second}: {steady}");
        }
    }

    #[test]
    fn the_wait_counts_the_deliveries_ahead() {
        let start = Instant::now();
        let mut bucket = bucket(50.0, start);
        // The bucket holds five.
        assert_eq!(
            [0, 4, 5, 54].map(|ahead| bucket.wait(ahead, start).as_millis()),
            [0, 0, 20, 1000]
        );
        assert!((0..5).all(|_| bucket.take(start)));
        assert_eq!(bucket.wait(0, start).as_millis(), 20);
        assert_eq!(bucket.wait(usize::MAX, start), bucket.wait(u32::MAX as usize, start));
    }

    #[test]
    fn a_token_that_was_given_back_is_taken_again() {
        let start = Instant::now();
        let mut bucket = bucket(0.001, start);
        assert!(bucket.take(start));
        assert!(!bucket.take(start));
        bucket.give_back();
        assert!(bucket.take(start));
        // A full bucket stays full.
        let later = start + 10_000 * SECOND;
        bucket.give_back();
        bucket.give_back();
        assert!(bucket.take(later));
        assert!(!bucket.take(later));
    }

    #[test]
    fn a_changed_rate_applies_to_the_next_delivery() {
        let start = Instant::now();
        let mut bucket = bucket(0.001, start);
        assert!(bucket.take(start));
        bucket.set_rate(Rate::new(2.0).unwrap(), start);
        assert_eq!(bucket.wait(0, start).as_millis(), 500);
        bucket.set_rate(Rate::new(0.5).unwrap(), start);
        assert_eq!(bucket.wait(0, start).as_millis(), 500, "a token that is due soon stays so");
    }
}
