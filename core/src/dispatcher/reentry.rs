//! What runs in the middle of a delivery, on its very thread: a signal handler of the host that
//! `deliver_blocking` has asked whether to stop. Until it returns, that delivery does not go on, so
//! nothing in there may wait for it.

use std::cell::RefCell;

use super::Dispatcher;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Scope};
use crate::process;

thread_local! {
    /// The deliveries that are held up on this thread.
    static HELD_UP: RefCell<Vec<Amid>> = const { RefCell::new(Vec::new()) };
}

struct Amid {
    process: u32,
    dispatcher: u64,
    endpoint: Endpoint,
}

/// Runs what may call back into the library while a delivery to this endpoint is held up.
pub(super) fn amid<T>(dispatcher: &Dispatcher, endpoint: &Endpoint, work: impl FnOnce() -> T) -> T {
    struct Until;
    impl Drop for Until {
        fn drop(&mut self) {
            let done = HELD_UP.with_borrow_mut(Vec::pop);
            drop(done);
        }
    }
    let (process, endpoint) = (process::id(), endpoint.clone());
    let held_up = Amid { process, dispatcher: dispatcher.inner.number, endpoint };
    HELD_UP.with_borrow_mut(|all| all.push(held_up));
    let _until = Until;
    work()
}

impl Dispatcher {
    /// How many of its deliveries the calling thread holds up.
    pub(super) fn held_up(&self) -> usize {
        self.count_held_up(|_| true)
    }

    /// Fails with `overloaded` if a delivery to this endpoint would wait for a turn or a connection
    /// that the calling thread itself keeps from coming free.
    pub(super) fn check_reentry(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let there = self.count_held_up(|other| other == endpoint);
        if there > 0 && there >= endpoint.turns().limit() {
            return Err(
                waits_for_itself("all turns of the endpoint", there).scoped(Scope::Endpoint)
            );
        }
        let anywhere = self.held_up();
        if anywhere > 0 && anywhere >= self.inner.options.max_connections {
            return Err(waits_for_itself("all connections of the dispatcher", anywhere));
        }
        Ok(())
    }

    fn count_held_up(&self, is_meant: impl Fn(&Endpoint) -> bool) -> usize {
        let (process, number) = (process::id(), self.inner.number);
        let counts = |amid: &&Amid| {
            amid.process == process && amid.dispatcher == number && is_meant(&amid.endpoint)
        };
        HELD_UP.with_borrow(|all| all.iter().filter(counts).count())
    }
}

fn waits_for_itself(what: &str, held_up: usize) -> Error {
    let noun = if held_up == 1 { "delivery" } else { "deliveries" };
    let why = format!(
        "{what} are taken by {held_up} {noun} that cannot go on before the calling signal handler \
         returns"
    );
    Error::new(Kind::Overloaded, why)
        .advising("Deliver after the handler has returned, or raise the limit.")
}
