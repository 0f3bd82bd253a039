//! Decides whether a delivery may start now: turns of its endpoint, fair shares of its owner, limits on
//! waiting, and the check before the first byte.

pub(crate) mod fair_limit;
mod starts;
mod turns;
mod wait_limit;

pub(crate) use starts::{Starting, Starts};
pub(crate) use turns::{Turn, Turns, removed};
pub(crate) use wait_limit::WaitLimit;
