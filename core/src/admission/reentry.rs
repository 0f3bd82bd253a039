//! Prevents deadlocks when application code runs in the middle of a delivery, on the thread of that
//! delivery: `deliver_blocking` calls its interrupt, in which the host may run signal handlers. The
//! delivery cannot continue until the interrupt returns, so the interrupt must not wait for it.

use std::cell::RefCell;

use super::access::EndpointAccess;
use super::entrance::Admission;
use crate::error::{Error, Kind, Scope};
use crate::process;

thread_local! {
    /// The deliveries that this thread holds up.
    static HELD_UP: RefCell<Vec<HeldUpDelivery>> = const { RefCell::new(Vec::new()) };
}

struct HeldUpDelivery {
    process: u32,
    dispatcher: u64,
    /// The address of the endpoint's [`EndpointAccess`], which outlives the call that is held up.
    endpoint: usize,
}

impl Admission {
    /// Runs `work`, which may call this library, and records meanwhile that the calling thread holds up
    /// a delivery to this endpoint.
    pub(crate) fn while_held_up<T>(
        &self,
        endpoint: &EndpointAccess,
        work: impl FnOnce() -> T,
    ) -> T {
        struct PopOnDrop;
        impl Drop for PopOnDrop {
            fn drop(&mut self) {
                HELD_UP.with_borrow_mut(Vec::pop);
            }
        }
        let (process, endpoint) = (process::id(), address(endpoint));
        let held_up = HeldUpDelivery { process, dispatcher: self.number, endpoint };
        HELD_UP.with_borrow_mut(|all| all.push(held_up));
        let _pop = PopOnDrop;
        work()
    }

    /// Returns how many deliveries of this dispatcher the calling thread holds up.
    pub(crate) fn held_up(&self) -> usize {
        self.count_held_up(|_| true)
    }

    /// Fails with `overloaded` if a delivery to this endpoint would wait for a turn or a connection that
    /// only a delivery held up by the calling thread can release.
    pub(super) fn check_reentry(&self, endpoint: &EndpointAccess) -> Result<(), Error> {
        let there = self.count_held_up(|other| other == address(endpoint));
        if there > 0 && there >= endpoint.turns().limit() {
            return Err(
                waits_for_itself("all turns of the endpoint", there).scoped(Scope::Endpoint)
            );
        }
        let anywhere = self.held_up();
        if anywhere > 0 && anywhere >= self.max_connections {
            return Err(waits_for_itself("all connections of the dispatcher", anywhere));
        }
        Ok(())
    }

    fn count_held_up(&self, is_meant: impl Fn(usize) -> bool) -> usize {
        let (process, number) = (process::id(), self.number);
        let counts = |held_up: &&HeldUpDelivery| {
            held_up.process == process && held_up.dispatcher == number && is_meant(held_up.endpoint)
        };
        HELD_UP.with_borrow(|all| all.iter().filter(counts).count())
    }
}

fn address(endpoint: &EndpointAccess) -> usize {
    std::ptr::from_ref(endpoint).addr()
}

fn waits_for_itself(what: &str, held_up: usize) -> Error {
    let noun = if held_up == 1 { "delivery" } else { "deliveries" };
    let why = format!(
        "{what} are held by {held_up} {noun} that cannot continue until the calling signal handler \
         returns"
    );
    Error::new(Kind::Overloaded, why)
        .advising("Deliver after the handler has returned, or raise the limit.")
}
