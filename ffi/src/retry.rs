//! The decision for a queue after a failed delivery.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::{Error, RetryPolicy};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::{panic, text};

/// The number of attempts and the delays between them. A builder. wmtls_retry_decide borrows it.
pub struct wmtls_retry_policy(Builder<RetryPolicy>);

impl Handle for wmtls_retry_policy {}

/// What to do after one failure.
#[repr(C)]
pub struct wmtls_decision {
    /// What to do, WMTLS_ACTION_....
    pub action: i32,
    /// Whether the attempt counts. One that was not admitted, or waits for a repair, does not.
    pub counts: bool,
    /// The delay before the next attempt, in milliseconds.
    pub delay_ms: u64,
    /// The reason in a few words. The text lives as long as the process; do not free it.
    pub reason: *const c_char,
}

/// Makes a builder with the defaults: 60 attempts, a delay of up to 5 seconds after the first, at
/// most one hour. Free it with wmtls_retry_policy_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_policy_new() -> Option<Box<wmtls_retry_policy>> {
    panic::value(None, || give(wmtls_retry_policy(Builder::new(Ok(RetryPolicy::default())))))
}

/// Sets an option of the policy by its name in docs/options.md: "attempts", "first", "ceiling"
/// or "seed".
/// The value has the form that wmtls_options_set describes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_retry_policy_set(
    policy: Option<&mut wmtls_retry_policy>,
    name: *const c_char,
    value: *const c_char,
) {
    panic::value((), || {
        let Some(policy) = policy else { return };
        policy.0.change(|policy| {
            // SAFETY: the caller follows the header's conventions.
            let name = unsafe { text::required(name, "name") }?;
            // SAFETY: as above.
            let value = unsafe { text::required(value, "value") }?;
            policy.set(name, setting("retry_policy", name, value))
        });
    });
}

/// Frees a policy.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_policy_free(policy: Option<Box<wmtls_retry_policy>>) {
    panic::value((), || drop(policy));
}

/// Returns what to do after a failure. The function keeps no state and does not wait.
///
/// `policy`: NULL uses the defaults. It remains the caller's.
/// `error`: the failure. It remains the caller's.
/// `attempt`: the number of the failed attempt, from 1.
/// `out`: receives the decision; unchanged after a failure.
///
/// Fails with WMTLS_OPTION_INVALID, also if `attempt` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_decide(
    policy: Option<&wmtls_retry_policy>,
    error: Option<&wmtls_error>,
    attempt: u32,
    out: Option<&mut MaybeUninit<wmtls_decision>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        let policy = policy.map_or_else(|| Ok(RetryPolicy::default()), wmtls_retry_policy::get)?;
        let decision = policy.decide(required(error, "error")?.error(), attempt)?;
        required(out, "out")?.write(wmtls_decision {
            action: decision.action as i32,
            counts: decision.counts,
            delay_ms: u64::try_from(decision.delay.as_millis()).unwrap_or(u64::MAX),
            reason: text::static_text(decision.reason),
        });
        Ok(())
    })
}

impl wmtls_retry_policy {
    fn get(&self) -> Result<RetryPolicy, Error> {
        self.0.built().copied()
    }
}
