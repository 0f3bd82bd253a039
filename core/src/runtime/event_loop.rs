//! An event loop of a host language, such as Node's, that drives the deliveries started on its thread.
//!
//! Such a thread may not block, but its loop reports when a descriptor is readable. The deliveries run
//! on this thread, in turns: no other thread takes part, and none is woken. Their tasks are in a set
//! of their own beside the lane. A turn must end when none of them can make progress, and tokio ends
//! `block_on` with a poll of the sockets: a task of the lane's queue that this poll woke would stay
//! there, unnoticed.

use std::cell::{Cell, RefCell};
use std::fs;
use std::future::{Future, poll_fn};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};
use tokio::task::{AbortHandle, JoinHandle, LocalSet, coop, spawn_local};

use super::drive::is_inside;
use super::lane::Lane;
use crate::error::Error;
use crate::process::{self, Lock};

/// Lanes of event loops that have ended. Each loop has a lane of its own: in a shared lane the keeper
/// may have to drive for others, and each response would wake both threads.
static FREE_LANES: Lock<Vec<Arc<Lane>>> = Lock::new(Vec::new());

/// The longest turn. After it no further task is polled; the remaining ones run in the next turn.
const LONGEST_TURN: Duration = Duration::from_millis(5);

thread_local! {
    static ATTACHED: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
    static IN_TURN: Cell<bool> = const { Cell::new(false) };
    /// Whether a task needs the lane's own queue, or another poll of the sockets.
    static LOOK_AGAIN: Cell<bool> = const { Cell::new(false) };
    /// The end of this turn. `None` before the turn has polled a task.
    static TURN_ENDS: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Tasks that were woken after that end, in order.
    static DEFERRED: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// The event loop of this thread, while it drives the deliveries that are started here. Only its own
/// thread may use it. Dropping it ends the deliveries in flight.
pub struct EventLoop {
    inner: Rc<Inner>,
}

struct Inner {
    lane: Arc<Lane>,
    tasks: RefCell<LocalSet>,
    loop_waker: Arc<LoopWaker>,
    waker: Waker,
    descriptor: RawFd,
    /// The number of deliveries in flight.
    busy: Rc<Cell<usize>>,
    /// Whether the lane counts this thread among its callers.
    calling: Cell<bool>,
}

impl EventLoop {
    /// Attaches the loop of the calling thread.
    ///
    /// * `wake_loop`: called on any thread when there is work that the descriptor does not show. It
    ///   must cause a call of [`EventLoop::turn`] soon.
    ///
    /// Returns `None` if the system does not reveal the descriptor to watch; keepers drive then. They
    /// also drive in a process that is forked later, which must forget its copy of this and not drop
    /// it.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if the runtime cannot be started.
    pub fn attach(wake_loop: impl Fn() + Send + Sync + 'static) -> Result<Option<Self>, Error> {
        let lane = own_lane()?;
        let Some(descriptor) = descriptor_of(&lane.runtime) else {
            FREE_LANES.lock().push(lane);
            return Ok(None);
        };
        let loop_waker = Arc::new(LoopWaker {
            wake_loop: Box::new(wake_loop),
            woken: AtomicBool::new(false),
            in_turn: AtomicBool::new(false),
        });
        let inner = Rc::new(Inner {
            lane,
            tasks: RefCell::new(LocalSet::new()),
            waker: Waker::from(loop_waker.clone()),
            loop_waker,
            descriptor,
            busy: Rc::default(),
            calling: Cell::new(false),
        });
        ATTACHED.replace(Some(inner.clone()));
        Ok(Some(Self { inner }))
    }

    /// Returns the descriptor to watch. Call [`EventLoop::turn`] when it is readable.
    pub fn descriptor(&self) -> RawFd {
        self.inner.descriptor
    }

    /// Runs the tasks that can make progress, without blocking. For deadlines, call it every few
    /// milliseconds as well while deliveries are in flight.
    pub fn turn(&self) {
        self.inner.turn(true, || ());
    }

    /// Returns whether deliveries are in flight.
    pub fn is_busy(&self) -> bool {
        self.inner.busy.get() > 0
    }

    /// Leaves the lane to its keeper until the next delivery starts.
    pub fn rest(&self) {
        self.inner.rest();
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        ATTACHED.with_borrow_mut(|attached| {
            attached.take_if(|attached| Rc::ptr_eq(attached, &self.inner));
        });
        self.inner.rest();
        // Outside of a turn nothing borrows it.
        drop(self.inner.tasks.take());
        FREE_LANES.lock().push(self.inner.lane.clone());
    }
}

/// Returns a free lane of this process, or a new one.
fn own_lane() -> Result<Arc<Lane>, Error> {
    let left = {
        let mut left = FREE_LANES.lock();
        let mine = left.iter().rposition(|lane| lane.process == process::id());
        mine.map(|at| left.swap_remove(at))
    };
    match left {
        Some(lane) => Ok(lane),
        // `lane(number)` never returns a lane with this index.
        None => Lane::start(usize::MAX, process::id()),
    }
}

/// Whether the loop of this thread takes a turn at this moment.
pub(super) fn is_in_turn() -> bool {
    IN_TURN.get()
}

/// The loop of this thread, which can drive a delivery that starts now.
pub(crate) struct AttachedLoop(Rc<Inner>);

impl AttachedLoop {
    /// Returns the loop of this thread if it can drive a delivery that starts now.
    pub(super) fn of_this_thread() -> Option<Self> {
        let attached = ATTACHED.with_borrow(Clone::clone);
        // Inside another runtime the loop cannot take a turn, and in a forked child it is the parent's.
        let can = |inner: &Rc<Inner>| {
            IN_TURN.get() || (!is_inside() && inner.lane.process == process::id())
        };
        attached.filter(can).map(Self)
    }

    /// Starts a delivery on this thread, and runs it until it must wait.
    pub(super) fn start<F>(self, mut future: Pin<Box<F>>) -> AbortHandle
    where
        F: Future<Output = ()> + 'static,
    {
        let count = DeliveryCount::new(&self.0.busy);
        let task = poll_fn(move |context| {
            let _ = &count;
            polled(future.as_mut(), context)
        });
        if IN_TURN.get() {
            return spawn_local(task).abort_handle();
        }
        self.0.call();
        self.0.turn(false, || spawn_local(task).abort_handle())
    }
}

/// Starts a task beside those of this turn. Returns the future as the error outside of a turn.
pub(super) fn spawn_here<F>(mut future: Pin<Box<F>>) -> Result<JoinHandle<F::Output>, Pin<Box<F>>>
where
    F: Future<Output: 'static> + 'static,
{
    if !IN_TURN.get() {
        return Err(future);
    }
    Ok(spawn_local(poll_fn(move |context| polled(future.as_mut(), context))))
}

/// Polls a task, or defers it to the next turn. Otherwise a task that wakes itself would be polled
/// again and again: the set polls up to 61 tasks before it can be stopped.
///
/// tokio wakes a task that has used up its cooperative budget when it polls the sockets.
fn polled<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    let now = Instant::now();
    match TURN_ENDS.get() {
        None => TURN_ENDS.set(Some(now + LONGEST_TURN)),
        Some(ends) if ends > now => {}
        Some(_) => {
            DEFERRED.with_borrow_mut(|left| left.push(context.waker().clone()));
            return Poll::Pending;
        }
    }
    let polled = future.poll(context);
    if !coop::has_budget_remaining() {
        LOOK_AGAIN.set(true);
    }
    polled
}

/// Returns the runtime of the lane if this is in a turn, which then runs the lane's own queue as well.
pub(super) fn handle() -> Option<Handle> {
    IN_TURN.get().then(|| {
        LOOK_AGAIN.set(true);
        Handle::current()
    })
}

impl Inner {
    /// Runs `first` and then the tasks that can make progress.
    ///
    /// * `look`: whether to poll the sockets and the timers as well.
    fn turn<T>(&self, mut look: bool, first: impl FnOnce() -> T) -> T {
        self.loop_waker.in_turn.store(true, SeqCst);
        IN_TURN.set(true);
        TURN_ENDS.set(None);
        DEFERRED.take().into_iter().for_each(Waker::wake);
        let mut first = Some(first);
        let mut output = None;
        self.lane.runtime.block_on(poll_fn(|context| {
            if let Some(first) = first.take() {
                let tasks = self.tasks.borrow();
                let _inside = tasks.enter();
                output = Some(first());
                // The set assumes that it is being polled, and does not wake its waker.
                self.loop_waker.woken.store(true, SeqCst);
            }
            self.run();
            if look || LOOK_AGAIN.take() {
                look = false;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        IN_TURN.set(false);
        // `in_turn` is cleared before `woken` is read: a thread that wakes a task now either wakes the
        // loop, or its wake-up is seen here.
        self.loop_waker.in_turn.store(false, SeqCst);
        if self.loop_waker.woken.load(SeqCst) || DEFERRED.with_borrow(|left| !left.is_empty()) {
            (self.loop_waker.wake_loop)();
        }
        output.unwrap_or_else(|| unreachable!("the first poll has run it"))
    }

    fn run(&self) {
        let mut context = Context::from_waker(&self.waker);
        while self.loop_waker.woken.swap(false, SeqCst) {
            let _ = Pin::new(&mut *self.tasks.borrow_mut()).poll(&mut context);
        }
    }

    fn call(&self) {
        if !self.calling.replace(true) {
            self.lane.callers.fetch_add(1, SeqCst);
            self.lane.release_keeper();
        }
        self.lane.start_ticker();
    }

    fn rest(&self) {
        if self.calling.replace(false) {
            self.lane.caller_left();
        }
    }
}

/// Wakes a loop for its tasks, from any thread.
struct LoopWaker {
    wake_loop: Box<dyn Fn() + Send + Sync>,
    woken: AtomicBool,
    in_turn: AtomicBool,
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = self.woken.swap(true, SeqCst);
        if !before && !self.in_turn.load(SeqCst) {
            (self.wake_loop)();
        }
    }
}

/// Counts a delivery in flight until it is dropped.
struct DeliveryCount(Rc<Cell<usize>>);

impl DeliveryCount {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for DeliveryCount {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Returns the descriptor of the lane's epoll instance. tokio does not expose it. So this registers a
/// socket with tokio, and searches `/proc/self/fdinfo` for the descriptor that watches it.
fn descriptor_of(runtime: &Runtime) -> Option<RawFd> {
    let (socket, _other) = UnixStream::pair().ok()?;
    socket.set_nonblocking(true).ok()?;
    let _inside = runtime.enter();
    let socket = tokio::net::UnixStream::from_std(socket).ok()?;
    let number = socket.as_raw_fd();
    let named = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    let inode = named.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
    fs::read_dir("/proc/self/fdinfo").ok()?.find_map(|entry| {
        let entry = entry.ok()?;
        let facts = fs::read_to_string(entry.path()).ok()?;
        let found = facts.lines().any(|line| watches(line, number, inode));
        found.then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// Returns whether a line of `/proc/self/fdinfo` (proc(5)) names this watched descriptor. The number
/// alone may belong to an older file that was closed here and is still open elsewhere.
fn watches(line: &str, number: RawFd, inode: u64) -> bool {
    let mut words = line.split_ascii_whitespace();
    let is_number = |word: &str| word.parse() == Ok(number);
    let is_inode = |word: &str| {
        word.strip_prefix("ino:").is_some_and(|hex| u64::from_str_radix(hex, 16) == Ok(inode))
    };
    words.next() == Some("tfd:") && words.next().is_some_and(is_number) && words.any(is_inode)
}

#[cfg(test)]
mod tests {
    use super::watches;

    #[test]
    fn a_socket_is_identified_by_its_number_and_its_inode() {
        let line = "tfd:       20 events: 8000201d data:     7f00  pos:0 ino:1a2b sdev:9";
        assert!(watches(line, 20, 0x1a2b));
        assert!(!watches(line, 2, 0x1a2b), "another number");
        assert!(!watches(line, 20, 0x1a2c), "another file, closed since");
        assert!(!watches("pos:\t20", 20, 0));
    }
}
