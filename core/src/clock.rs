//! The clock, and a check that its time is plausible.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, key};

/// 2025-01-01. This library did not exist earlier, so an earlier time is wrong.
const EARLIEST: i64 = 1_735_689_600;

/// Returns the current time in Unix seconds.
///
/// Fails with `clock_implausible` if the time is before 2025. On a machine whose clock starts in 1970,
/// every certificate would seem not yet valid.
pub(crate) fn now() -> Result<i64, Error> {
    let now = unix_seconds(read());
    if now < EARLIEST {
        return Err(Error::new(
            Kind::ClockImplausible,
            format!("the clock shows {}, a time before this library existed", utc_text(now)),
        )
        .noting(key::CLOCK, now.saturating_mul(1000)));
    }
    Ok(now)
}

/// Returns the time of the clock in milliseconds since 1970, plausible or not.
pub fn now_millis() -> i64 {
    unix_millis(read())
}

/// Converts an instant to milliseconds since 1970.
pub(crate) fn unix_millis(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(_) => unix_seconds(at).saturating_mul(1000),
    }
}

/// Returns the time of the clock, plausible or not.
#[cfg(not(feature = "test-hooks"))]
pub(crate) fn read() -> SystemTime {
    SystemTime::now()
}

#[cfg(feature = "test-hooks")]
pub(crate) use shifted::read;
#[cfg(feature = "test-hooks")]
pub use shifted::set;

/// A clock that a test may set. It runs on from there.
#[cfg(feature = "test-hooks")]
mod shifted {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::{Duration, SystemTime};

    /// Milliseconds from the true time to the time of this process.
    static SHIFT: AtomicI64 = AtomicI64::new(0);

    pub(crate) fn read() -> SystemTime {
        let shift = SHIFT.load(Ordering::Relaxed);
        let distance = Duration::from_millis(shift.unsigned_abs());
        if shift >= 0 { SystemTime::now() + distance } else { SystemTime::now() - distance }
    }

    /// Sets the clock of this process. `None` is the true time again.
    pub fn set(at: Option<SystemTime>) {
        let shift = at.map_or(0, |at| {
            let (distance, ahead) = match at.duration_since(SystemTime::now()) {
                Ok(distance) => (distance, true),
                Err(behind) => (behind.duration(), false),
            };
            let millis = i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
            if ahead { millis } else { -millis }
        });
        SHIFT.store(shift, Ordering::Relaxed);
    }
}

/// Converts an instant to whole Unix seconds, rounded down.
pub(crate) fn unix_seconds(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            -whole - i64::from(before.subsec_nanos() > 0)
        }
    }
}

/// Formats an instant for messages: `2026-11-27 22:14:03 UTC`.
///
/// * `seconds`: Unix seconds.
pub fn utc_text(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01. A year starts in March here, so that the leap day is its last day.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Converts milliseconds since 1970 to an instant.
pub(crate) fn time_of_millis(millis: i64) -> SystemTime {
    let distance = std::time::Duration::from_millis(millis.unsigned_abs());
    if millis >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
}

/// Converts Unix seconds to an instant.
pub(crate) fn system_time(seconds: i64) -> SystemTime {
    let distance = std::time::Duration::from_secs(seconds.unsigned_abs());
    if seconds >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_a_date_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_210_096, "2024-02-29 12:34:56 UTC"),
            (-2_203_891_200, "1900-03-01 00:00:00 UTC"),
            (4_102_444_799, "2099-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc_text(seconds), text);
        }
        // The extremes do not overflow.
        let _ = (utc_text(i64::MAX), utc_text(i64::MIN));
    }
}
