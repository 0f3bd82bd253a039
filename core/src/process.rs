//! What belongs to one process: after a fork the child starts with its own and leaks what it
//! inherited.
//!
//! An inherited lock may be held by a thread that does not exist in the child, and an inherited
//! socket or permit is the parent's. So nothing of the former value is looked at, and its destructor
//! never runs.

use std::process;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

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
        Self { current: ArcSwap::from_pointee(Tagged { process: process::id(), value }) }
    }

    /// The value of this process, made by `make` where the process has just forked.
    pub(crate) fn get_or(&self, make: impl FnOnce() -> T) -> Guard<Arc<Tagged<T>>> {
        let current = self.current.load();
        let process = process::id();
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
