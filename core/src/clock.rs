//! The clock, and a check that its time is plausible.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind};

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
            format!("the clock shows {now} seconds since 1970, a time before this library existed"),
        )
        .noting("clock_ms", now.saturating_mul(1000)));
    }
    Ok(now)
}

/// Returns the time of the clock, plausible or not.
#[cfg(not(feature = "testing"))]
pub(crate) fn read() -> SystemTime {
    SystemTime::now()
}

#[cfg(feature = "testing")]
pub(crate) use shifted::{read, set};

/// The clock of the testing kit: a test may set it, and it runs on from there.
#[cfg(feature = "testing")]
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

    pub(crate) fn set(at: Option<SystemTime>) {
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

/// Converts Unix seconds to an instant.
pub(crate) fn system_time(seconds: i64) -> SystemTime {
    let distance = std::time::Duration::from_secs(seconds.unsigned_abs());
    if seconds >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
}
