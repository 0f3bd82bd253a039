//! Tasks of a lane: how they start, and how they end.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};

use super::event_loop;
use super::lane::{self, Driven, TaskCount, lane};
use crate::error::{Error, Kind};
use crate::process;

/// Runs a future on the runtime and passes its output to `done`, on a thread of the runtime.
///
/// # Errors
///
/// Fails with `internal` if the runtime cannot be started; `done` is not called then.
pub fn spawn<F>(future: F, done: impl FnOnce(F::Output) + Send + 'static) -> Result<(), Error>
where
    F: Future + Send + 'static,
{
    start(0, Driven::ByKeeper, async move { done(future.await) }, drop)
}

/// Runs `work` after all ready tasks of this thread's lane, or at once if this thread runs no lane.
/// One notification to another thread then covers the outcomes of all these tasks.
pub fn afterwards(work: impl FnOnce() + Send + 'static) {
    let lane = || lane::current().and_then(|_| Handle::try_current().ok());
    match event_loop::handle().or_else(lane) {
        Some(lane) => drop(lane.spawn(async move { work() })),
        None => work(),
    }
}

/// Starts a task in the lane for `number`.
///
/// * `started`: gets the handle that aborts the task, in the lane and before the task runs.
///
/// Fails with `internal` or `overloaded` if the lane cannot be started.
pub(crate) fn start(
    number: usize,
    driven: Driven,
    future: impl Future<Output = ()> + Send + 'static,
    started: impl FnOnce(AbortHandle) + Send + 'static,
) -> Result<(), Error> {
    // Boxed here: tokio would move the whole future three times into its task, and twice at its end.
    let future = Box::pin(future);
    let future = match event_loop::start(future) {
        Ok(task) => {
            started(task);
            return Ok(());
        }
        Err(future) => future,
    };
    let lane = lane(number)?;
    let count = TaskCount::new(&lane, driven);
    lane.inbox.push(move || {
        let task = tokio::spawn(async move {
            let _count = count;
            future.await;
        });
        started(task.abort_handle());
    });
    if driven == Driven::ByKeeper {
        lane.wake_keeper();
    }
    Ok(())
}

/// Runs work that may block on a blocking thread of the shared runtime.
///
/// Fails with `internal` if the runtime cannot be started.
pub(crate) fn blocking(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    handle()?.spawn_blocking(work);
    Ok(())
}

/// A task of the shared runtime. Dropping this aborts it.
pub(crate) struct Task<T> {
    process: u32,
    handle: JoinHandle<T>,
    is_detached: bool,
}

impl<T: Send + 'static> Task<T> {
    /// Starts a task in the lane that this thread is in. Outside of a lane, starts it in the first
    /// lane, driven by its keeper.
    pub(crate) fn start(future: impl Future<Output = T> + Send + 'static) -> Result<Self, Error> {
        let future = Box::pin(future);
        let future = match event_loop::spawn_here(future) {
            Ok(handle) => return Ok(Self::new(handle)),
            Err(future) => future,
        };
        match lane::current() {
            Some(number) => Ok(Self::new(lane(number)?.runtime.spawn(future))),
            None => Self::start_in(0, future),
        }
    }

    /// Starts a task in the lane for `number`, driven by its keeper.
    pub(crate) fn start_in(
        number: usize,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<Self, Error> {
        let lane = lane(number)?;
        let count = TaskCount::new(&lane, Driven::ByKeeper);
        let future = Box::pin(future);
        let handle = lane.runtime.spawn(async move {
            let _count = count;
            future.await
        });
        lane.wake_keeper();
        Ok(Self::new(handle))
    }

    /// Starts a background task in the first lane. The threads that drive deliveries there drive it
    /// as well; the keeper drives it only while no caller does.
    pub(crate) fn start_beside(
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<Self, Error> {
        Ok(Self::new(lane(0)?.runtime.spawn(future)))
    }

    fn new(handle: JoinHandle<T>) -> Self {
        Self { process: process::id(), handle, is_detached: false }
    }

    /// Lets the task run to its end without this handle.
    pub(crate) fn detach(mut self) {
        self.is_detached = true;
    }

    /// Returns the output. Fails with `internal` if the task panicked or was aborted.
    pub(crate) async fn output(mut self) -> Result<T, Error> {
        (&mut self.handle).await.map_err(|error| {
            let how = if error.is_panic() { "panicked" } else { "was stopped" };
            Error::new(Kind::Internal, format!("the task of a delivery {how}"))
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        // A parent's task continues in the parent, and its runtime may be locked in this child.
        if !self.is_detached && self.process == process::id() {
            self.handle.abort();
        }
    }
}

/// Returns the runtime of the lane that this thread is in, or of the first lane.
pub(crate) fn handle() -> Result<Handle, Error> {
    match event_loop::handle() {
        Some(handle) => Ok(handle),
        None => Ok(lane(lane::current().unwrap_or(0))?.runtime.handle().clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Driven, afterwards, start};

    #[test]
    fn deferred_work_runs_after_the_ready_tasks() {
        let (tell, told) = mpsc::channel();
        let work = async move {
            let (ready, after) = (tell.clone(), tell.clone());
            tokio::spawn(async move { ready.send("ready") });
            afterwards(move || after.send("afterwards").unwrap());
            tell.send("now").unwrap();
        };
        start(0, Driven::ByKeeper, work, drop).unwrap();
        for word in ["now", "ready", "afterwards"] {
            assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(word));
        }
    }

    #[test]
    fn deferred_work_runs_at_once_outside_of_a_lane() {
        let (tell, told) = mpsc::channel();
        afterwards(move || tell.send(()).unwrap());
        assert_eq!(told.try_recv(), Ok(()));
    }
}
