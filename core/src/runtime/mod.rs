//! The runtime of this process: a few lanes, and the ways for a caller to use them.
//!
//! A lane is a single-threaded tokio runtime that whoever waits drives: `drive_in` runs a lane on
//! the calling thread, so that a delivery needs no other thread and no wake-up of one. Where several
//! wait, one of them drives for all, and hands over when it has what it wanted. A keeper thread
//! drives while nobody waits: for those who may not block ([`spawn`]), and for what goes on by
//! itself. All connections of one endpoint live in one lane.
//!
//! Lanes are tagged with the process id. A process that was forked has their memory but not their
//! threads: there new ones are made on first use and the old ones are leaked, because dropping them
//! would deregister the parent's sockets from the epoll instance that both share.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{AbortHandle, JoinHandle};

use crate::error::{Error, Kind, exhausted};
use crate::process::{self, OfThisProcess, Section, own};

mod event_loop;
mod threads;
mod time;

pub use event_loop::EventLoop;
pub(crate) use threads::apart;
use threads::no_thread;
pub(crate) use time::{before, poll_due};

/// How often a waiting thread looks whether it shall stop.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

/// More lanes would only contend: the work of a delivery is a few system calls.
const MOST_LANES: usize = 4;

/// How long a lane is left alone after whoever drove it has gone: most come back at once, and to
/// take over in between would cost both a wake-up. Less, if deliveries are under way in it.
const GRACE: Duration = Duration::from_millis(20);
const SHORT_GRACE: Duration = Duration::from_millis(1);

struct Tagged {
    process: u32,
    lanes: Vec<own::OnceLock<Arc<Lane>>>,
}

static LANES: ArcSwapOption<Tagged> = ArcSwapOption::const_empty();

thread_local! {
    /// The lane that this thread is in.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A single-threaded runtime, and who drives it.
pub(crate) struct Lane {
    place: usize,
    process: u32,
    runtime: Runtime,
    /// Threads that wait for something of this lane, and drive it.
    callers: AtomicUsize,
    /// Moves whenever a caller comes or goes.
    moves: AtomicUsize,
    /// Tasks that nobody drives for.
    urgent: AtomicUsize,
    /// Tasks that somebody will come back for.
    owned: AtomicUsize,
    ticking: AtomicBool,
    keeping: AtomicBool,
    leave: own::Notify,
    keeper: own::OnceLock<Thread>,
    door: Arc<Door>,
}

impl Lane {
    fn start(place: usize, process: u32) -> Result<Arc<Self>, Error> {
        let broken = |error: &io::Error| {
            exhausted(error).unwrap_or_else(|| {
                let what = "the runtime could not be started";
                Error::new(Kind::Internal, format!("{what}: {error}"))
            })
        };
        let runtime = Builder::new_current_thread()
            .thread_name("webhook-mtls")
            .on_thread_start(block_signals)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| broken(&error))?;
        let lane = Arc::new(Self {
            place,
            process,
            runtime,
            callers: AtomicUsize::new(0),
            moves: AtomicUsize::new(0),
            urgent: AtomicUsize::new(0),
            owned: AtomicUsize::new(0),
            ticking: AtomicBool::new(false),
            keeping: AtomicBool::new(false),
            leave: own::Notify::new(),
            keeper: own::OnceLock::new(),
            door: Arc::default(),
        });
        let door = lane.door.clone();
        lane.runtime.spawn(async move { door.keep().await });
        let kept = lane.clone();
        let (started, starts) = mpsc::channel();
        // A thread that starts takes locks that a fork must find free.
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

    /// Drives whenever nobody else does, for ever.
    fn keep(&self) {
        CURRENT.set(Some(self.place));
        loop {
            // In this order: a caller that comes now sees that it is kept, or is seen.
            self.keeping.store(true, SeqCst);
            if self.callers.load(SeqCst) == 0 || self.urgent.load(SeqCst) > 0 {
                self.runtime.block_on(self.leave.notified());
            }
            self.keeping.store(false, SeqCst);
            while self.urgent.load(SeqCst) == 0 {
                let seen = self.moves.load(SeqCst);
                let owned = self.owned.load(SeqCst) > 0;
                thread::park_timeout(if owned { SHORT_GRACE } else { GRACE });
                if self.callers.load(SeqCst) == 0 && self.moves.load(SeqCst) == seen {
                    break;
                }
            }
        }
    }

    /// Has a timer run while there is work. One that would fire before all others wakes its lane when
    /// it is set, which costs two system calls; behind this one, those of a delivery never do.
    fn tick(self: &Arc<Self>) {
        self.moves.fetch_add(1, SeqCst);
        if self.ticking.swap(true, SeqCst) {
            return;
        }
        let lane = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut seen = 0;
            while let Some(lane) = lane.upgrade() {
                let moves = lane.moves.load(SeqCst);
                if seen == moves {
                    lane.ticking.store(false, SeqCst);
                    return;
                }
                seen = moves;
                drop(lane);
                tokio::time::sleep(INTERRUPT_INTERVAL).await;
            }
        });
    }

    /// One caller less.
    fn left(&self) {
        self.moves.fetch_add(1, SeqCst);
        self.callers.fetch_sub(1, SeqCst);
        if self.urgent.load(SeqCst) > 0 {
            self.want_keeper();
        }
    }

    /// Where the keeper is needed in any case it stays, and who came waits beside it.
    fn send_keeper_off(&self) {
        if self.keeping.load(SeqCst) && self.urgent.load(SeqCst) == 0 {
            self.leave.notify_one();
        }
    }

    fn want_keeper(&self) {
        if !self.keeping.load(SeqCst)
            && let Some(keeper) = self.keeper.get()
        {
            keeper.unpark();
        }
    }
}

/// Where work comes into a lane from other threads. What comes before it is looked at costs one
/// wake-up together; handed over one by one, each would be a system call.
#[derive(Default)]
struct Door {
    arrived: own::Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    bell: own::Notify,
}

impl Door {
    fn bring(&self, work: impl FnOnce() + Send + 'static) {
        let mut arrived = self.arrived();
        arrived.push(Box::new(work));
        let first = arrived.len() == 1;
        drop(arrived);
        if first {
            self.bell.notify_one();
        }
    }

    async fn keep(&self) {
        loop {
            self.bell.notified().await;
            let arrived = std::mem::take(&mut *self.arrived());
            for work in arrived {
                work();
            }
        }
    }

    fn arrived(&self) -> own::MutexGuard<'_, Vec<Box<dyn FnOnce() + Send>>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A signal must reach the threads of the host, whose handlers know what to do.
fn block_signals() {
    let _ = nix::sys::signal::SigSet::all().thread_block();
}

/// A thread that drives a lane while it waits.
struct Caller<'a> {
    lane: &'a Lane,
    before: Option<usize>,
}

impl<'a> Caller<'a> {
    fn enter(lane: &'a Arc<Lane>) -> Self {
        lane.callers.fetch_add(1, SeqCst);
        lane.tick();
        lane.send_keeper_off();
        let before = CURRENT.replace(Some(lane.place));
        Self { lane, before }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before);
        self.lane.left();
    }
}

/// Who drives the lane of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    /// The keeper: nobody waits on a thread.
    ByKeeper,
    /// A thread that comes back to wait for it.
    ByOwner,
}

/// One more task of a lane, until it has ended.
struct Counted {
    lane: Arc<Lane>,
    driven: Driven,
}

impl Counted {
    fn new(lane: &Arc<Lane>, driven: Driven) -> Self {
        let count = if driven == Driven::ByKeeper { &lane.urgent } else { &lane.owned };
        count.fetch_add(1, SeqCst);
        lane.tick();
        Self { lane: lane.clone(), driven }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let lane = &self.lane;
        let count = if self.driven == Driven::ByKeeper { &lane.urgent } else { &lane.owned };
        count.fetch_sub(1, SeqCst);
    }
}

/// Runs a future of a lane on the calling thread, which blocks.
///
/// `interrupt` is asked every 50 ms, outside of the lane; if it says yes, the future is dropped and
/// `None` returned. Without one the future runs to its end. `None` as well in a child that
/// `interrupt` has forked.
pub(crate) fn drive_in<F: Future>(
    lane: &Arc<Lane>,
    future: F,
    interrupt: Option<&mut dyn FnMut() -> bool>,
) -> Option<F::Output> {
    let mut future = pin!(OfThisProcess::new(future));
    let Some(interrupt) = interrupt else {
        let _caller = Caller::enter(lane);
        return Some(lane.runtime.block_on(future));
    };
    loop {
        let caller = Caller::enter(lane);
        let by = Instant::now() + INTERRUPT_INTERVAL;
        let slice = lane.runtime.block_on(before(by, future.as_mut()));
        drop(caller);
        // Where the interrupt has forked, this is a child, and the lane its parent's.
        if slice.is_some() || interrupt() || lane.process != process::id() {
            return slice;
        }
    }
}

/// The same for at most `limit`, and without an interrupt; `None` if the future was not done by then.
pub(crate) fn drive_in_for<F: Future>(
    lane: &Arc<Lane>,
    future: F,
    limit: Option<Duration>,
) -> Option<F::Output> {
    match limit.and_then(|limit| Instant::now().checked_add(limit)) {
        None => drive_in(lane, future, None),
        Some(by) => drive_in(lane, before(by, pin!(future)), None)?,
    }
}

/// Whether this thread is inside of a runtime, ours or the caller's own, and may not drive another.
pub(crate) fn is_inside() -> bool {
    Handle::try_current().is_ok()
}

/// Whether this thread is running a lane at this moment, so that nothing in it goes on while the
/// thread waits: in what is called when a delivery has ended, or in a signal handler of C.
pub(crate) fn is_in_lane() -> bool {
    CURRENT.get().is_some() && is_inside()
}

/// Why [`drive`] gave no output although nothing interrupted it.
pub fn undriven() -> Error {
    if is_in_lane() {
        let why = "the calling thread runs the deliveries that it would wait for";
        return Error::new(Kind::Overloaded, why).advising(
            "Wait on a thread that is not in a callback or signal handler of this library.",
        );
    }
    Error::new(Kind::ForkedProcess, "what the thread waited for belongs to the process that forked")
}

/// Runs a future to its end on the calling thread, which blocks.
///
/// `interrupt` is asked every 50 ms; if it says yes, the future is dropped and `None` returned.
/// `None` as well, for the reason that [`undriven`] tells, where waiting would never end: on a thread
/// that runs a lane at this moment, and in a child that `interrupt` has forked.
pub fn drive<F: Future>(future: F, mut interrupt: impl FnMut() -> bool) -> Option<F::Output> {
    let process = process::id();
    let mut future = pin!(OfThisProcess::new(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut asked = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if is_in_lane() {
            return None;
        }
        thread::park_timeout(INTERRUPT_INTERVAL);
        // Most wake-ups bring the output; asking may cost a language its lock.
        if asked.elapsed() >= INTERRUPT_INTERVAL {
            asked = Instant::now();
            if interrupt() || process != process::id() {
                return None;
            }
        }
    }
}

/// Runs a future on the calling thread, which blocks for at most `limit`; `None` waits for ever.
///
/// What is not done by then is dropped, and `None` returned.
pub(crate) fn drive_for<F: Future>(future: F, limit: Option<Duration>) -> Option<F::Output> {
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

/// Runs a future on the runtime and hands its output to `done`, on a thread of the runtime.
///
/// Fails with `internal` if the runtime cannot be started; `done` is not called then.
pub fn spawn<F>(future: F, done: impl FnOnce(F::Output) + Send + 'static) -> Result<(), Error>
where
    F: Future + Send + 'static,
{
    start(0, Driven::ByKeeper, async move { done(future.await) }, drop)
}

/// Does something once all that is ready in the lane of this thread has run; at once, if this thread
/// runs none. What tells another thread of an end tells it of others, too, if it waits for them.
pub fn afterwards(work: impl FnOnce() + Send + 'static) {
    let lane = || CURRENT.get().and_then(|_| Handle::try_current().ok());
    match event_loop::handle().or_else(lane) {
        Some(lane) => drop(lane.spawn(async move { work() })),
        None => work(),
    }
}

/// Starts a task in the lane that `number` falls into; `started` gets what aborts it, in the lane
/// and before the task runs.
pub(crate) fn start(
    number: usize,
    driven: Driven,
    future: impl Future<Output = ()> + Send + 'static,
    started: impl FnOnce(AbortHandle) + Send + 'static,
) -> Result<(), Error> {
    // Boxed here: tokio would move all of it three times into its task, and twice at its end.
    let future = Box::pin(future);
    let future = match event_loop::start(future) {
        Ok(task) => {
            started(task);
            return Ok(());
        }
        Err(future) => future,
    };
    let lane = lane(number)?;
    let counted = Counted::new(&lane, driven);
    lane.door.bring(move || {
        let task = tokio::spawn(async move {
            let _counted = counted;
            future.await;
        });
        started(task.abort_handle());
    });
    if driven == Driven::ByKeeper {
        lane.want_keeper();
    }
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
    process: u32,
    handle: JoinHandle<T>,
    detached: bool,
}

impl<T: Send + 'static> Task<T> {
    /// Starts a task: in the lane that this thread is in, where it goes along with what is driven
    /// there; else in the first, by its keeper.
    pub(crate) fn start(future: impl Future<Output = T> + Send + 'static) -> Result<Self, Error> {
        let future = Box::pin(future);
        let future = match event_loop::spawn_here(future) {
            Ok(handle) => return Ok(Self::of(handle)),
            Err(future) => future,
        };
        match CURRENT.get() {
            Some(number) => Ok(Self::of(lane(number)?.runtime.spawn(future))),
            None => Self::start_in(0, future),
        }
    }

    /// Starts a task in the lane that `number` falls into, to be driven by its keeper.
    pub(crate) fn start_in(
        number: usize,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<Self, Error> {
        let lane = lane(number)?;
        let counted = Counted::new(&lane, Driven::ByKeeper);
        let future = Box::pin(future);
        let handle = lane.runtime.spawn(async move {
            let _counted = counted;
            future.await
        });
        lane.want_keeper();
        Ok(Self::of(handle))
    }

    /// Starts a task in the first lane that goes on beside deliveries: whoever drives them drives it
    /// along, and the keeper does only while nobody else drives.
    pub(crate) fn start_beside(
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<Self, Error> {
        Ok(Self::of(lane(0)?.runtime.spawn(future)))
    }

    fn of(handle: JoinHandle<T>) -> Self {
        Self { process: process::id(), handle, detached: false }
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
        // That of a parent goes on there, and its runtime may be locked here.
        if !self.detached && self.process == process::id() {
            self.handle.abort();
        }
    }
}

/// The lane that this thread is in, or the first.
pub(crate) fn handle() -> Result<Handle, Error> {
    match event_loop::handle() {
        Some(handle) => Ok(handle),
        None => Ok(lane(CURRENT.get().unwrap_or(0))?.runtime.handle().clone()),
    }
}

/// The lane of this process that a number falls into.
///
/// Fails with `internal` if its thread cannot be started.
pub(crate) fn lane(number: usize) -> Result<Arc<Lane>, Error> {
    let process = process::id();
    let current = LANES.load();
    if let Some(tagged) = &*current
        && tagged.process == process
    {
        return tagged.lane(number);
    }
    let count = thread::available_parallelism().map_or(1, usize::from).min(MOST_LANES);
    let lanes = (0..count).map(|_| own::OnceLock::new()).collect();
    let made = Arc::new(Tagged { process, lanes });
    let before = LANES.compare_and_swap(&*current, Some(made.clone()));
    match &*before {
        // Another thread was faster, in this very process.
        Some(theirs) if theirs.process == process => theirs.lane(number),
        inherited => {
            if let Some(inherited) = inherited {
                std::mem::forget(inherited.clone());
            }
            made.lane(number)
        }
    }
}

impl Tagged {
    fn lane(&self, number: usize) -> Result<Arc<Lane>, Error> {
        let place = number % self.lanes.len();
        if let Some(lane) = self.lanes[place].get() {
            return Ok(lane.clone());
        }
        let started = Lane::start(place, self.process)?;
        // One that another thread has started in between is left to its keeper, with nothing to do.
        Ok(self.lanes[place].get_or_init(|| started).clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Driven, afterwards, start};

    #[test]
    fn what_comes_afterwards_lets_pass_what_is_ready() {
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
    fn outside_of_a_lane_nothing_is_waited_for() {
        let (tell, told) = mpsc::channel();
        afterwards(move || tell.send(()).unwrap());
        assert_eq!(told.try_recv(), Ok(()));
    }
}
