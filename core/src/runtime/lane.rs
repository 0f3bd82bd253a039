//! A lane: a single-threaded tokio runtime, its keeper thread and its inbox.
//!
//! A lane counts the threads that drive it and the tasks that need its keeper. It does not know why
//! a thread drives it (`drive`) or what its tasks do (`task`).

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::{self, Thread};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::{Builder, Runtime};

use super::threads::{block_signals, no_thread};
use crate::error::{Error, Kind, exhausted};
use crate::process::{self, Section, own};

/// How often a waiting thread calls its interrupt, and the period of a lane's ticker.
pub(super) const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// More lanes would only contend: the work of a delivery is a few system calls.
const MAX_LANES: usize = 4;

/// The most threads of a lane for work that blocks. A thread ends after ten seconds without work.
pub(crate) const MAX_BLOCKING_THREADS: usize = 1024;

/// How long the keeper waits after the last caller has left. Most callers return at once, and a
/// keeper that took over in between would cost both threads a wake-up.
const GRACE: Duration = Duration::from_millis(20);

/// The same while deliveries are in flight in the lane.
const SHORT_GRACE: Duration = Duration::from_millis(1);

/// The lanes of one process.
struct ProcessLanes {
    process: u32,
    lanes: Vec<own::OnceLock<Arc<Lane>>>,
}

static LANES: ArcSwapOption<ProcessLanes> = ArcSwapOption::const_empty();

thread_local! {
    /// The index of the lane that this thread drives.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The index of the lane that this thread drives, or has just left for an interrupt.
pub(super) fn current() -> Option<usize> {
    CURRENT.get()
}

/// A single-threaded runtime, with counts of its callers and tasks.
pub(crate) struct Lane {
    index: usize,
    pub(super) process: u32,
    pub(super) runtime: Runtime,
    /// Threads that wait for a future of this lane, and drive it.
    pub(super) callers: AtomicUsize,
    /// Increases whenever a caller enters or leaves.
    activity: AtomicUsize,
    /// Tasks that only the keeper drives.
    kept_tasks: AtomicUsize,
    /// Tasks whose owner will return to drive them.
    owned_tasks: AtomicUsize,
    is_ticking: AtomicBool,
    is_kept: AtomicBool,
    keeper_leave: own::Notify,
    keeper: own::OnceLock<Thread>,
    pub(super) inbox: Arc<Inbox>,
}

impl Lane {
    pub(super) fn start(index: usize, process: u32) -> Result<Arc<Self>, Error> {
        let failed = |error: &io::Error| {
            exhausted(error).unwrap_or_else(|| {
                let what = "the runtime could not be started";
                Error::new(Kind::Internal, format!("{what}: {error}"))
            })
        };
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .thread_name("webhook-mtls")
            .on_thread_start(block_signals)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed(&error))?;
        let lane = Arc::new(Self {
            index,
            process,
            runtime,
            callers: AtomicUsize::new(0),
            activity: AtomicUsize::new(0),
            kept_tasks: AtomicUsize::new(0),
            owned_tasks: AtomicUsize::new(0),
            is_ticking: AtomicBool::new(false),
            is_kept: AtomicBool::new(false),
            keeper_leave: own::Notify::new(),
            keeper: own::OnceLock::new(),
            inbox: Arc::default(),
        });
        let inbox = lane.inbox.clone();
        lane.runtime.spawn(async move { inbox.run().await });
        let kept = lane.clone();
        let (started, starts) = mpsc::channel();
        // A starting thread takes locks of the standard and C libraries. A child must inherit them
        // free.
        let _section = Section::enter();
        let keeper = thread::Builder::new()
            .name("webhook-mtls".into())
            .spawn(move || {
                let _ = started.send(());
                block_signals();
                kept.keep();
            })
            .map_err(|error| no_thread(&error))?;
        let _ = starts.recv();
        let _ = lane.keeper.set(keeper.thread().clone());
        Ok(lane)
    }

    /// Runs the keeper: drives the lane while no caller does. Never returns.
    fn keep(&self) {
        CURRENT.set(Some(self.index));
        loop {
            // `is_kept` is set before `callers` is read: a caller that enters now either sees the
            // keeper, or is seen by it.
            self.is_kept.store(true, SeqCst);
            if self.callers.load(SeqCst) == 0 || self.kept_tasks.load(SeqCst) > 0 {
                self.runtime.block_on(self.keeper_leave.notified());
            }
            self.is_kept.store(false, SeqCst);
            while self.kept_tasks.load(SeqCst) == 0 {
                let seen = self.activity.load(SeqCst);
                let has_owned = self.owned_tasks.load(SeqCst) > 0;
                thread::park_timeout(if has_owned { SHORT_GRACE } else { GRACE });
                if self.callers.load(SeqCst) == 0 && self.activity.load(SeqCst) == seen {
                    break;
                }
            }
        }
    }

    /// Keeps a short timer running while there is activity. Setting a timer that fires before all
    /// others wakes the lane, which costs two system calls; behind this one, the timers of a
    /// delivery never do.
    pub(super) fn start_ticker(self: &Arc<Self>) {
        self.activity.fetch_add(1, SeqCst);
        if self.is_ticking.swap(true, SeqCst) {
            return;
        }
        let lane = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut seen = 0;
            while let Some(lane) = lane.upgrade() {
                let activity = lane.activity.load(SeqCst);
                if seen == activity {
                    lane.is_ticking.store(false, SeqCst);
                    return;
                }
                seen = activity;
                drop(lane);
                tokio::time::sleep(INTERRUPT_INTERVAL).await;
            }
        });
    }

    /// Counts a caller that has left, and wakes the keeper if tasks need it.
    pub(super) fn caller_left(&self) {
        self.activity.fetch_add(1, SeqCst);
        self.callers.fetch_sub(1, SeqCst);
        if self.kept_tasks.load(SeqCst) > 0 {
            self.wake_keeper();
        }
    }

    /// Tells the keeper to leave the lane to a caller. If tasks need the keeper it stays, and the
    /// caller waits beside it.
    pub(super) fn release_keeper(&self) {
        if self.is_kept.load(SeqCst) && self.kept_tasks.load(SeqCst) == 0 {
            self.keeper_leave.notify_one();
        }
    }

    pub(super) fn wake_keeper(&self) {
        if !self.is_kept.load(SeqCst)
            && let Some(keeper) = self.keeper.get()
        {
            keeper.unpark();
        }
    }
}

/// Work for a lane from other threads. All work that arrives before the lane checks its inbox costs
/// one wake-up together; handed over one by one, each item would cost a system call.
#[derive(Default)]
pub(super) struct Inbox {
    work: own::Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    arrival: own::Notify,
}

impl Inbox {
    pub(super) fn push(&self, item: impl FnOnce() + Send + 'static) {
        let mut work = self.work();
        work.push(Box::new(item));
        let is_first = work.len() == 1;
        drop(work);
        if is_first {
            self.arrival.notify_one();
        }
    }

    async fn run(&self) {
        loop {
            self.arrival.notified().await;
            let work = std::mem::take(&mut *self.work());
            for item in work {
                item();
            }
        }
    }

    fn work(&self) -> own::MutexGuard<'_, Vec<Box<dyn FnOnce() + Send>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that drives a lane while it waits.
pub(super) struct Caller<'a> {
    lane: &'a Lane,
    previous: Option<usize>,
}

impl<'a> Caller<'a> {
    pub(super) fn enter(lane: &'a Arc<Lane>) -> Self {
        lane.callers.fetch_add(1, SeqCst);
        lane.start_ticker();
        lane.release_keeper();
        let previous = CURRENT.replace(Some(lane.index));
        Self { lane, previous }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.previous);
        self.lane.caller_left();
    }
}

/// Which thread drives the lane of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    /// The keeper: no thread waits for the task.
    ByKeeper,
    /// The owner's thread, which returns to wait for the task.
    ByOwner,
}

/// Counts a task of a lane until it is dropped.
pub(super) struct TaskCount {
    lane: Arc<Lane>,
    driven: Driven,
}

impl TaskCount {
    pub(super) fn new(lane: &Arc<Lane>, driven: Driven) -> Self {
        let this = Self { lane: lane.clone(), driven };
        this.counter().fetch_add(1, SeqCst);
        lane.start_ticker();
        this
    }

    fn counter(&self) -> &AtomicUsize {
        match self.driven {
            Driven::ByKeeper => &self.lane.kept_tasks,
            Driven::ByOwner => &self.lane.owned_tasks,
        }
    }
}

impl Drop for TaskCount {
    fn drop(&mut self) {
        self.counter().fetch_sub(1, SeqCst);
    }
}

/// Returns the lane of this process for a number: the number modulo the count of lanes.
///
/// Fails with `internal` or `overloaded` if the lane cannot be started.
pub(crate) fn lane(number: usize) -> Result<Arc<Lane>, Error> {
    let process = process::id();
    let current = LANES.load();
    if let Some(lanes) = &*current
        && lanes.process == process
    {
        return lanes.lane(number);
    }
    let count = thread::available_parallelism().map_or(1, usize::from).min(MAX_LANES);
    let lanes = (0..count).map(|_| own::OnceLock::new()).collect();
    let made = Arc::new(ProcessLanes { process, lanes });
    let before = LANES.compare_and_swap(&*current, Some(made.clone()));
    match &*before {
        // Another thread of this process was faster.
        Some(theirs) if theirs.process == process => theirs.lane(number),
        inherited => {
            if let Some(inherited) = inherited {
                std::mem::forget(inherited.clone());
            }
            made.lane(number)
        }
    }
}

impl ProcessLanes {
    fn lane(&self, number: usize) -> Result<Arc<Lane>, Error> {
        let index = number % self.lanes.len();
        if let Some(lane) = self.lanes[index].get() {
            return Ok(lane.clone());
        }
        let started = Lane::start(index, self.process)?;
        // If another thread has started this lane meanwhile, the surplus one stays with its keeper
        // and gets no work.
        Ok(self.lanes[index].get_or_init(|| started).clone())
    }
}
