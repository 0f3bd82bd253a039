//! Whether a delivery may start now: its endpoint's turns, the fair share of its owner, and the
//! check before the first byte.

pub(crate) mod fair_limit;
mod permits;
mod starts;

pub(crate) use permits::{Room, Turn, Turns, removed};
pub(crate) use starts::{Starting, Starts};
