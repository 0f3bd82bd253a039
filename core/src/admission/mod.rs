//! Decides whether a delivery may start now: the one entrance, the circuit, the turns and the rate of its endpoint,
//! fair shares of its owner, limits on waiting, and the check before the first byte.

mod access;
mod cancel;
mod circuit;
mod entrance;
pub(crate) mod fair_limit;
mod in_flight;
mod rate;
mod reentry;
mod run_place;
mod starts;
mod turns;
mod wait_limit;

pub(crate) use access::EndpointAccess;
pub use cancel::CancelToken;
pub use circuit::CircuitState;
pub(crate) use circuit::{CircuitLimits, Needs, Pass};
pub(crate) use entrance::{Admission, Admitted, Entry, RunEntry, Waiter, canceled, check_process};
pub(crate) use rate::Rate;
pub(crate) use run_place::RunLimit;
pub(crate) use starts::{Starting, Starts};
pub(crate) use turns::{Turn, TurnLimits, removed};
pub(crate) use wait_limit::WaitLimit;
