//! What webhook-mtls reads from others, fed with anything. Each target is a plain function that
//! panics where a promise is broken: that no input panics or hangs, and that what was read keeps its
//! word.

pub mod mutation;
mod pfx;
pub mod targets;
