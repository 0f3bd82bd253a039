//! What belongs to one process: after a fork the child starts with its own and leaks what it
//! inherited.
//!
//! An inherited lock may be held by a thread that does not exist in the child, and an inherited
//! socket or permit is the parent's. So nothing of the former value is looked at, and its destructor
//! never runs.

use std::cell::Cell;
use std::ops::Deref;
use std::process;
use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};

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
    /// Of the process that made this; found without a lock or a count.
    first: Arc<Tagged<T>>,
    /// Of a process that was forked since.
    forked: ArcSwapOption<Tagged<T>>,
}

pub(crate) struct Tagged<T> {
    process: u32,
    pub(crate) value: T,
}

/// The value of this process, while it is looked at.
pub(crate) enum Own<'a, T> {
    First(&'a Tagged<T>),
    Forked(Arc<Tagged<T>>),
}

impl<T: Default> PerProcess<T> {
    /// The value of this process. Never blocks.
    pub(crate) fn get(&self) -> Own<'_, T> {
        self.get_or(T::default)
    }
}

impl<T> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        let first = Arc::new(Tagged { process: id(), value });
        Self { first, forked: ArcSwapOption::empty() }
    }

    /// The value of this process, made by `make` where the process has just forked.
    pub(crate) fn get_or(&self, make: impl FnOnce() -> T) -> Own<'_, T> {
        let process = id();
        if self.first.process == process {
            return Own::First(&self.first);
        }
        let current = self.forked.load();
        if let Some(own) = current.as_ref().filter(|current| current.process == process) {
            return Own::Forked(own.clone());
        }
        let fresh = Arc::new(Tagged { process, value: make() });
        let before = Guard::into_inner(self.forked.compare_and_swap(&current, Some(fresh.clone())));
        match before {
            // Another thread was faster, in this very process.
            Some(before) if before.process == process => Own::Forked(before),
            inherited => {
                // This count is never given back, so it is never dropped.
                std::mem::forget(inherited);
                Own::Forked(fresh)
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let process = id();
        let inherited = |tagged: &Arc<Tagged<T>>| tagged.process != process;
        std::mem::forget(Some(self.first.clone()).filter(inherited));
        std::mem::forget(self.forked.load_full().filter(inherited));
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for Own<'_, T> {
    type Target = Tagged<T>;

    fn deref(&self) -> &Tagged<T> {
        match self {
            Self::First(own) => own,
            Self::Forked(own) => own,
        }
    }
}
