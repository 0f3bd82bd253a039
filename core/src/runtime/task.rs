//! Tasks of a lane: how they start, and how they end.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};

use super::event_loop::{self, AttachedLoop};
use super::lane::{self, Driven, Lane, TaskCount, lane};
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
    TaskPlace::new(0)?.start(Driven::ByKeeper, async move { done(future.await) }, drop);
    Ok(())
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

/// Makes the lane for `number` ready for [`Task::start_in`], which then cannot fail.
///
/// Fails with `internal` or `overloaded` if the lane cannot be started.
pub(crate) fn ready_lane(number: usize) -> Result<(), Error> {
    lane(number).map(drop)
}

/// Makes the lane ready for [`Task::start`], which then cannot fail on this thread.
///
/// Fails with `internal` or `overloaded` if the lane cannot be started.
pub(crate) fn ready_here() -> Result<(), Error> {
    if event_loop::is_in_turn() { Ok(()) } else { ready_lane(lane::current().unwrap_or(0)) }
}

/// The place of a task, which is sure to start.
pub(crate) enum TaskPlace {
    /// On the event loop of this thread.
    Loop(AttachedLoop),
    Lane(Arc<Lane>),
}

impl TaskPlace {
    /// Returns the event loop of this thread, or without one the lane for `number`.
    ///
    /// Fails with `internal` or `overloaded` if the lane cannot be started.
    pub(crate) fn new(number: usize) -> Result<Self, Error> {
        match AttachedLoop::of_this_thread() {
            Some(attached) => Ok(Self::Loop(attached)),
            None => Ok(Self::Lane(lane(number)?)),
        }
    }

    /// Starts a task.
    ///
    /// * `started`: gets the handle that aborts the task, where the task runs; in a lane, before it runs.
    pub(crate) fn start(
        self,
        driven: Driven,
        future: impl Future<Output = ()> + Send + 'static,
        started: impl FnOnce(AbortHandle) + Send + 'static,
    ) {
        // Boxed here: tokio would move the whole future three times into its task, and twice at its end.
        let future = Box::pin(future);
        let lane = match self {
            Self::Loop(attached) => return started(attached.start(future)),
            Self::Lane(lane) => lane,
        };
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
    }
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

    use super::{Driven, TaskPlace, afterwards};

    #[test]
    fn deferred_work_runs_after_the_ready_tasks() {
        let (tell, told) = mpsc::channel();
        let work = async move {
            let (ready, after) = (tell.clone(), tell.clone());
            tokio::spawn(async move { ready.send("ready") });
            afterwards(move || after.send("afterwards").unwrap());
            tell.send("now").unwrap();
        };
        TaskPlace::new(0).unwrap().start(Driven::ByKeeper, work, drop);
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
