//! What belongs to one process: after a fork the child starts with its own and leaks what it
//! inherited.
//!
//! An inherited lock may be held by a thread that does not exist in the child, and an inherited
//! socket or permit is the parent's. So nothing of the former value is looked at, and its destructor
//! never runs.

use std::cell::Cell;
use std::process;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

thread_local! {
    /// The process that the runtime knows this thread to be in; 0 where it does not know.
    static KNOWN: Cell<u32> = const { Cell::new(0) };
}

/// The process that this is. Costs a system call, but for threads of which it is [`Known`].
pub(crate) fn id() -> u32 {
    match KNOWN.get() {
        0 => process::id(),
        known => known,
    }
}

/// The process of this thread is known until this is dropped. Nothing that could fork may run
/// meanwhile.
pub(crate) struct Known {
    before: u32,
}

impl Known {
    /// Asks now, so that nobody need ask again.
    pub(crate) fn here() -> Self {
        Self::as_of(id())
    }

    /// For who knows already.
    pub(crate) fn as_of(id: u32) -> Self {
        Self { before: KNOWN.replace(id) }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        KNOWN.set(self.before);
    }
}

/// A value of which each process has its own.
pub(crate) struct PerProcess<T> {
    current: ArcSwap<Tagged<T>>,
}

pub(crate) struct Tagged<T> {
    process: u32,
    pub(crate) value: T,
}

impl<T: Default> PerProcess<T> {
    /// The value of this process. Never blocks.
    pub(crate) fn get(&self) -> Guard<Arc<Tagged<T>>> {
        self.get_or(T::default)
    }
}

impl<T> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { current: ArcSwap::from_pointee(Tagged { process: id(), value }) }
    }

    /// The value of this process, made by `make` where the process has just forked.
    pub(crate) fn get_or(&self, make: impl FnOnce() -> T) -> Guard<Arc<Tagged<T>>> {
        let current = self.current.load();
        let process = id();
        if current.process == process {
            return current;
        }
        let fresh = Arc::new(Tagged { process, value: make() });
        let before = self.current.compare_and_swap(&*current, fresh);
        if before.process != process {
            // The inherited value: this count is never given back, so it is never dropped.
            std::mem::forget(Guard::into_inner(before));
        }
        self.current.load()
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
