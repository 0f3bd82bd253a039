//! What a queue should do with a failure.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use webhook_mtls::{Error, RetryPolicy};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::{panic, text};

/// How often and how fast to try again. A builder that wmtls_retry_decide does not consume.
pub struct wmtls_retry_policy(Builder<RetryPolicy>);

impl Handle for wmtls_retry_policy {}

/// A verdict on one failure.
#[repr(C)]
pub struct wmtls_decision {
    /// WMTLS_ACTION_...
    pub action: i32,
    /// Whether this attempt counts. One that was never admitted, or waits for a repair, does not.
    pub counts: bool,
    /// How long to wait first.
    pub delay_ms: u64,
    /// Why, in a few words; never freed.
    pub reason: *const c_char,
}

/// A builder with the defaults: 8 attempts, 5 seconds after the first, at most an hour.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_policy_new() -> Option<Box<wmtls_retry_policy>> {
    panic::value(None, || give(wmtls_retry_policy(Builder::new(Ok(RetryPolicy::default())))))
}

/// Sets an option of the policy by its name in docs/options.md: "attempts", "first" or "ceiling";
/// the value as for wmtls_options_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_retry_policy_set(
    policy: Option<&mut wmtls_retry_policy>,
    name: *const c_char,
    value: *const c_char,
) {
    panic::value((), || {
        let Some(policy) = policy else { return };
        policy.0.change(|mut policy| {
            // SAFETY: the header's conventions.
            let (name, value) =
                unsafe { (text::required(name, "name")?, text::required(value, "value")?) };
            policy.set(name, setting("retry_policy", name, value))?;
            Ok(policy)
        });
    });
}

/// Frees a policy.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_policy_free(policy: Option<Box<wmtls_retry_policy>>) {
    panic::value((), || drop(policy));
}

/// Judges a failure. Pure: nothing is remembered, nothing waits.
///
/// `policy`: NULL for the defaults.
/// `attempt`: which attempt failed, from 1.
///
/// Fails with WMTLS_OPTION_INVALID; `out` is left as it is then.
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
        let decision = policy.decide(required(error, "error")?.error(), attempt);
        required(out, "out")?.write(wmtls_decision {
            action: decision.action as i32,
            counts: decision.counts,
            delay_ms: u64::try_from(decision.delay.as_millis()).unwrap_or(u64::MAX),
            reason: text::lend_word(decision.reason),
        });
        Ok(())
    })
}

impl wmtls_retry_policy {
    fn get(&self) -> Result<RetryPolicy, Error> {
        self.0.built().copied()
    }
}
