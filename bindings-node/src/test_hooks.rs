//! What the testing kit needs of the addon of production: its clock, and a count. The kit is an addon
//! of its own, with a core of its own.

use std::time::{Duration, SystemTime};

use napi_derive::napi;
use webhook_mtls::Error;
use webhook_mtls::bindings::test_hooks;

use crate::convert::{CallResult, guarded};

#[napi]
pub fn set_clock(at_ms: Option<f64>) -> CallResult<()> {
    guarded(|| {
        test_hooks::set_clock(at_ms.map(|millis| instant("at", millis)).transpose()?);
        Ok(())
    })
}

/// Returns how many signatures this process has checked; below 2^53.
#[napi]
#[allow(clippy::cast_precision_loss)]
pub fn signatures_checked() -> f64 {
    test_hooks::signatures_checked() as f64
}

/// Converts Unix milliseconds to an instant.
pub(crate) fn instant(name: &str, millis: f64) -> Result<SystemTime, Error> {
    Duration::try_from_secs_f64(millis / 1000.0)
        .ok()
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
        .ok_or_else(|| Error::wrong_type(name, "an instant after 1970", "another"))
}
