//! State across forks. A child has the memory of its parent, but only the thread that forked.
//!
//! State that may be locked or partly changed at the fork is handled in one of three ways:
//!
//! - No thread holds a [`Lock`] or a [`Once`] while the process forks.
//! - A child makes its own [`PerProcess`] value and leaks the inherited one, because an inherited
//!   socket or permit belongs to the parent. The child never reads the inherited value, and its
//!   destructor never runs.
//! - State that is reached only through a value of one process uses the plain locks of [`own`].
//!
//! Clippy refuses any other lock (`clippy.toml`).

mod gate;
mod lock;

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher as _, RandomState};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::{ArcSwapOption, Guard};

pub(crate) use gate::{Section, outside};
pub use lock::{Lock, Locked, Once};

/// Plain locks, for state that no child uses: each process makes its own.
pub(crate) mod own {
    #![expect(clippy::disallowed_types, reason = "the only place that names them")]

    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;
    pub(crate) type OnceLock<T> = std::sync::OnceLock<T>;
    pub(crate) type Sender<T> = std::sync::mpsc::Sender<T>;
    pub(crate) type Receiver<T> = std::sync::mpsc::Receiver<T>;
    pub(crate) type AsyncMutex<T> = tokio::sync::Mutex<T>;
    pub(crate) type Notify = tokio::sync::Notify;
    pub(crate) type Semaphore = tokio::sync::Semaphore;
}

/// Returns a number that differs between this process and its ancestors; never 0.
pub fn id() -> u32 {
    gate::generation()
}

/// Returns a random number from 0 to 1. A forked child inherits the keys of the hash, so the number of the
/// process is hashed, too: the children of one parent get different numbers.
pub(crate) fn random_fraction() -> f64 {
    fraction(RandomState::new().hash_one(std::process::id()))
}

/// Converts random bits to a number from 0 to 1.
pub(crate) fn fraction(bits: u64) -> f64 {
    let bits = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    f64::from(bits) / f64::from(u32::MAX)
}

/// Polls a future in critical sections of the fork gate. Use it for libraries whose locks do not
/// survive a fork. The future must not block.
pub(crate) async fn around_forks<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _section = Section::enter();
        future.as_mut().poll(context)
    })
    .await
}

/// A future of the process that made it. A child that drops its copy runs no destructor: the sockets,
/// and the bytes still to be written to them, belong to the parent.
pub(crate) struct OfThisProcess<F> {
    process: u32,
    future: ManuallyDrop<F>,
}

impl<F> OfThisProcess<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { process: id(), future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for OfThisProcess<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        #[expect(unsafe_code, reason = "the standard library projects no pin into ManuallyDrop")]
        // SAFETY: the future is never moved out, and it is dropped in place, or not at all.
        let future = unsafe { self.map_unchecked_mut(|this| &mut *this.future) };
        future.poll(context)
    }
}

impl<F> Drop for OfThisProcess<F> {
    fn drop(&mut self) {
        if self.process == id() {
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: no other code drops it, and it is not used afterwards.
            unsafe {
                ManuallyDrop::drop(&mut self.future);
            }
        }
    }
}

/// A value that each process makes for itself.
pub(crate) struct PerProcess<T> {
    /// The value of the process that made this. Reading it takes no lock and no reference count.
    first: Arc<Tagged<T>>,
    /// The value of a process that was forked since.
    forked: ArcSwapOption<Tagged<T>>,
}

pub(crate) struct Tagged<T> {
    process: u32,
    pub(crate) value: T,
}

/// Access to the value of this process.
pub(crate) enum Own<'a, T> {
    First(&'a Tagged<T>),
    Forked(Arc<Tagged<T>>),
}

impl<T: Default> PerProcess<T> {
    /// Returns the value of this process. Never blocks.
    pub(crate) fn get(&self) -> Own<'_, T> {
        self.get_or(T::default)
    }
}

impl<T> PerProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        let first = Arc::new(Tagged { process: id(), value });
        Self { first, forked: ArcSwapOption::empty() }
    }

    /// Returns the value of this process, and makes it with `make` if the process was forked since.
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
            // Another thread of this process was faster.
            Some(before) if before.process == process => Own::Forked(before),
            inherited => {
                // The leaked reference count keeps the inherited value from being dropped.
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
