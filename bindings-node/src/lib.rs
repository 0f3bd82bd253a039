//! The native addon of the Node binding. Only the TypeScript layer in `ts/` calls it.
//!
//! This addon translates and contains no policy. Every function takes values whose JavaScript type
//! `ts/` has checked. A function that can fail returns a [`CallResult`](convert::CallResult): an
//! object with either the value or the error's JSON, which `ts/` throws. Core's types and pages of
//! receipts cross as externals; other results cross as JSON text.

// In a test build, napi registers no function, so every function counts as unused.
#![cfg_attr(test, allow(dead_code))]

#[cfg(feature = "command")]
mod command;
mod completions;
mod convert;
mod dispatcher;
mod egress;
mod endpoint;
mod enums;
mod error;
mod event;
mod forwarded;
mod identity;
mod limits;
mod loop_handles;
mod many;
mod metrics;
mod options;
mod outcome_buffer;
mod pins;
mod probe;
mod receipt;
mod report;
mod retry;
mod rotation;
mod signal;
mod signer;
mod signing;
mod socket;
mod telemetry;
mod test_hooks;
#[cfg(feature = "testing")]
mod testing;
mod trust;
mod uv;
mod verifier;
mod webhook;

/// Returns the version of this addon, which the loader compares with that of its JavaScript.
#[napi_derive::napi]
pub fn addon_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
