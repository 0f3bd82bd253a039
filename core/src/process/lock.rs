//! Locks for state that a forked child inherits.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use super::gate::Section;
use super::own;

/// A mutex that no thread holds while the process forks. A child inherits it free, with a complete
/// value.
///
/// Holding it is a critical section of the fork gate: code that may block and application code must
/// not run meanwhile.
#[derive(Debug, Default)]
pub struct Lock<T>(own::Mutex<T>);

/// Access to the value of a [`Lock`], until this is dropped.
pub struct Locked<'a, T> {
    // Dropped in this order: the lock must be free before the section ends.
    value: own::MutexGuard<'a, T>,
    _section: Section,
}

impl<T> Lock<T> {
    /// Returns a free lock.
    pub const fn new(value: T) -> Self {
        Self(own::Mutex::new(value))
    }

    /// Waits for the lock. A value that a panicking thread left is used as it is.
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
/// Threads that need it at the same time each make one, and the first is kept. So no thread waits for
/// a thread that a fork may remove.
#[derive(Debug)]
pub struct Once<T>(own::OnceLock<T>);

impl<T> Once<T> {
    /// Returns an empty cell.
    pub const fn new() -> Self {
        Self(own::OnceLock::new())
    }

    /// Returns the value, if it was made.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// Returns the value, and makes it with `make` if there is none.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.first(make()),
        }
    }

    /// Returns the value, and makes it with `make` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if `make` fails.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => Ok(self.first(make()?)),
        }
    }

    /// Keeps the value, unless there is one already. Returns the kept value.
    fn first(&self, value: T) -> &T {
        let surplus = {
            let _section = Section::enter();
            self.0.set(value)
        };
        drop(surplus);
        self.get().unwrap_or_else(|| unreachable!("one was kept"))
    }

    /// Keeps the value, unless there is one already.
    pub fn set(&self, value: T) {
        self.first(value);
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}
