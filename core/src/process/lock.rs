//! Locks for state that a forked child inherits.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use super::gate::Section;
use super::own;

/// A mutex that no thread holds while the process forks: a child finds it free, and its value whole.
///
/// Holding it is a critical section of the fork gate: nothing that may block, and no code of the
/// application, runs meanwhile.
#[derive(Debug, Default)]
pub struct Lock<T>(own::Mutex<T>);

/// The value of a [`Lock`], until this is dropped.
pub struct Locked<'a, T> {
    // Given back in this order: outside of the section nothing may be held.
    value: own::MutexGuard<'a, T>,
    _section: Section,
}

impl<T> Lock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        Self(own::Mutex::new(value))
    }

    /// Waits for the value. What a thread that panicked has left is taken as it is.
    pub fn lock(&self) -> Locked<'_, T> {
        let section = Section::enter();
        let value = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { value, _section: section }
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// A value that is made once, on first use.
///
/// Threads that need it at the same time each make one, and the first to be done is kept: nobody
/// waits for a thread that a fork may take away.
#[derive(Debug)]
pub struct Once<T>(own::OnceLock<T>);

impl<T> Once<T> {
    /// A value that is yet to be made.
    pub const fn new() -> Self {
        Self(own::OnceLock::new())
    }

    /// The value, if it was made.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value; made by `make`, if it was not yet.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.first(make()),
        }
    }

    /// The value; made by `make`, if it was not yet. Fails with what `make` fails with.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => Ok(self.first(make()?)),
        }
    }

    /// Keeps the value, unless there is one. Returns the one that is kept.
    fn first(&self, value: T) -> &T {
        let surplus = {
            let _section = Section::enter();
            self.0.set(value)
        };
        drop(surplus);
        self.get().unwrap_or_else(|| unreachable!("one was kept"))
    }

    /// Keeps the value, unless there is one.
    pub fn set(&self, value: T) {
        self.first(value);
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}
