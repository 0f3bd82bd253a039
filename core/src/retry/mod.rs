//! The retry decision for a queue: whether and when to deliver again.

mod policy;
mod status;

pub use policy::{Action, Decision, RetryPolicy};
pub(crate) use status::StatusRetry;
