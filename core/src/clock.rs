//! Ground floor: what time it is, and whether that can be true.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind};

/// 2025-01-01: before this library was written no clock was right.
const EARLIEST: i64 = 1_735_689_600;

/// Now, in Unix seconds. Fails with `clock_implausible` where certificates could not be judged: a
/// machine that woke up in 1970 must not take every certificate for one from the future.
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

/// What the clock shows, plausible or not.
#[cfg(not(feature = "testing"))]
pub(crate) fn read() -> SystemTime {
    SystemTime::now()
}

#[cfg(feature = "testing")]
pub(crate) use shifted::{read, set};

/// The seam of the testing kit: a clock that runs on from where a test has put it.
#[cfg(feature = "testing")]
mod shifted {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::{Duration, SystemTime};

    /// Milliseconds from the true time to what this process believes.
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

/// An instant in whole Unix seconds, rounded down.
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

/// The instant of Unix seconds.
pub(crate) fn system_time(seconds: i64) -> SystemTime {
    let distance = std::time::Duration::from_secs(seconds.unsigned_abs());
    if seconds >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
}
