//! The verdict for a queue: whether and when to try again.

mod policy;
mod status;

pub use policy::{Action, Decision, RetryPolicy};
pub(crate) use status::StatusRetry;
