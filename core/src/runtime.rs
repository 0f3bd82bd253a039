//! One tokio runtime per process, and the two ways for a binding to use it: [`drive`] from a thread
//! that may block, [`spawn`] from a loop that may not.
//!
//! The runtime is tagged with the process id. A process that was forked has its memory but not its
//! threads: there a new runtime is made on first use and the old one is leaked, because dropping it
//! would deregister the parent's sockets from the epoll instance that both share.

use std::future::Future;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::error::{Error, Kind};

/// How often a waiting thread looks whether it shall stop.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// More threads would only contend: the work of a delivery is a few system calls.
const MOST_THREADS: usize = 4;

struct Tagged {
    process: u32,
    runtime: Runtime,
}

static RUNTIME: ArcSwapOption<Tagged> = ArcSwapOption::const_empty();

/// Runs a future to its end on the calling thread, which blocks.
///
/// `interrupt` is asked every 50 ms; if it says yes, the future is dropped and `None` returned.
pub fn drive<F: Future>(future: F, mut interrupt: impl FnMut() -> bool) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut asked = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        thread::park_timeout(INTERRUPT_INTERVAL);
        // Most wake-ups bring the output; asking may cost a language its lock.
        if asked.elapsed() >= INTERRUPT_INTERVAL {
            asked = Instant::now();
            if interrupt() {
                return None;
            }
        }
    }
}

/// Runs a future on the calling thread, which blocks for at most `limit`; `None` waits for ever.
///
/// What is not done by then is dropped, and `None` returned.
pub fn drive_for<F: Future>(future: F, limit: Option<Duration>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let started = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match limit {
            None => thread::park(),
            Some(limit) => match limit.checked_sub(started.elapsed()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => return None,
            },
        }
    }
}

/// Runs a future on the shared runtime and hands its output to `done`, on a thread of the runtime.
///
/// Fails with `internal` if the runtime cannot be started; `done` is not called then.
pub fn spawn<F>(future: F, done: impl FnOnce(F::Output) + Send + 'static) -> Result<(), Error>
where
    F: Future + Send + 'static,
{
    handle()?.spawn(async move { done(future.await) });
    Ok(())
}

/// Runs work that may block on a thread of the shared runtime that nothing else waits for.
///
/// Fails with `internal` if the runtime cannot be started.
pub(crate) fn blocking(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    handle()?.spawn_blocking(work);
    Ok(())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// A task of the shared runtime that ends when this is dropped.
pub(crate) struct Task<T> {
    handle: JoinHandle<T>,
    detached: bool,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn start(future: impl Future<Output = T> + Send + 'static) -> Result<Self, Error> {
        Ok(Self { handle: handle()?.spawn(future), detached: false })
    }

    /// Lets the task end by itself.
    pub(crate) fn detach(mut self) {
        self.detached = true;
    }

    /// The output; a panic of the task is an error of kind `internal`.
    pub(crate) async fn output(mut self) -> Result<T, Error> {
        (&mut self.handle).await.map_err(|fault| {
            let how = if fault.is_panic() { "panicked" } else { "was stopped" };
            Error::new(Kind::Internal, format!("the task of a delivery {how}"))
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if !self.detached {
            self.handle.abort();
        }
    }
}

/// The runtime of this process.
pub(crate) fn handle() -> Result<Handle, Error> {
    let process = process::id();
    let current = RUNTIME.load();
    if let Some(tagged) = &*current
        && tagged.process == process
    {
        return Ok(tagged.runtime.handle().clone());
    }
    let made = Arc::new(Tagged { process, runtime: build()? });
    let before = RUNTIME.compare_and_swap(&*current, Some(made.clone()));
    match &*before {
        // Another thread was faster, in this very process.
        Some(theirs) if theirs.process == process => {
            let handle = theirs.runtime.handle().clone();
            if let Ok(ours) = Arc::try_unwrap(made).map(|tagged| tagged.runtime) {
                ours.shutdown_background();
            }
            Ok(handle)
        }
        inherited => {
            if let Some(inherited) = inherited {
                std::mem::forget(inherited.clone());
            }
            Ok(made.runtime.handle().clone())
        }
    }
}

fn build() -> Result<Runtime, Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("webhook-mtls")
        .on_thread_start(|| {
            // A signal must reach the threads of the host, whose handlers know what to do.
            let _ = nix::sys::signal::SigSet::all().thread_block();
        })
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| {
            Error::new(
                Kind::Internal,
                format!("the runtime's threads could not be started: {error}"),
            )
        })
}
