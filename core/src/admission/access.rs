//! What admission knows of one endpoint: whose it is, whether it was removed, its circuit, and its turns.

use std::sync::atomic::{AtomicBool, Ordering};

use super::circuit::Circuit;
use super::turns::{TurnLimits, Turns, removed};
use crate::error::Error;
use crate::options::fault;

/// The part of an endpoint that decides whether a delivery to it is admitted.
pub(crate) struct EndpointAccess {
    dispatcher: u64,
    removed: AtomicBool,
    circuit: Circuit,
    turns: Turns,
}

impl EndpointAccess {
    /// * `dispatcher`: the number of the dispatcher that the endpoint belongs to.
    pub(crate) fn new(dispatcher: u64, limits: TurnLimits) -> Self {
        Self {
            dispatcher,
            removed: AtomicBool::new(false),
            circuit: Circuit::default(),
            turns: Turns::new(limits),
        }
    }

    pub(crate) fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Fails all deliveries that wait for a turn, and those that arrive from now on.
    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::SeqCst);
        self.turns.close();
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }

    /// Fails unless the endpoint belongs to this dispatcher and was not removed.
    pub(super) fn check(&self, dispatcher: u64) -> Result<(), Error> {
        if self.dispatcher != dispatcher {
            return Err(fault("endpoint", "belongs to another dispatcher"));
        }
        if self.is_removed() { Err(removed()) } else { Ok(()) }
    }
}
