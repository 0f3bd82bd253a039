//! The gate where a client waits between two deliveries.

use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};

use crate::receiver::{PATIENCE, lock};

/// Between two deliveries the client stops at the gate. The receiver then knows that the client has
/// its response, and lets it continue.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<Passage>,
    changed: Condvar,
}

#[derive(Default)]
struct Passage {
    came: u32,
    may_go: u32,
}

impl Gate {
    fn wait(&self, until: impl Fn(&Passage) -> bool) {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |passage| !until(passage));
        drop(waited);
    }
}

/// Lets a client continue once the receiver has finished as many deliveries as the client.
pub(crate) fn open(doors: &TcpListener, gate: &Gate) {
    for (visit, door) in (1..).zip(doors.incoming()) {
        lock(&gate.state).came = visit;
        gate.changed.notify_all();
        gate.wait(|passage| passage.may_go >= visit);
        drop(door);
    }
}

/// The receiver's side of the gate.
#[derive(Clone)]
pub(crate) struct Passer(Arc<Gate>);

impl Passer {
    pub(crate) fn of(gate: Arc<Gate>) -> Self {
        Self(gate)
    }

    /// Allows one more delivery.
    pub(crate) fn finished(&self) {
        lock(&self.0.state).may_go += 1;
        self.0.changed.notify_all();
    }

    /// Waits until the client is at the gate: it has its response, and has not continued yet.
    pub(crate) fn until_the_client_waits(&self) {
        self.0.wait(|passage| passage.came > passage.may_go);
    }
}
