//! An event loop of a host language, such as Node's, that drives what is started on its thread.
//!
//! Such a thread may not block, but its loop says when a descriptor can be read. What it starts
//! runs on it, in turns: no other thread takes part, and none is woken. The tasks are kept beside the
//! lane, in a set of their own. A turn has to end when none of them can go on, and tokio ends
//! `block_on` with a look at the sockets: what that woke would stay in the lane's queue, unseen.

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

use super::Lane;
use crate::error::Error;
use crate::process::{self, Lock};

/// Lanes of loops that are gone. A loop has one for itself: in another the keeper may have to drive
/// for others, and both would be woken for every answer.
static LEFT: Lock<Vec<Arc<Lane>>> = Lock::new(Vec::new());

/// No task is polled in a turn that has lasted as long: what is left runs in the next turn.
const LONGEST_TURN: Duration = Duration::from_millis(5);

thread_local! {
    static ATTACHED: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
    static TURNING: Cell<bool> = const { Cell::new(false) };
    /// Whether something waits for the lane's own queue, or for its look at the sockets.
    static MORE: Cell<bool> = const { Cell::new(false) };
    /// When the turn is over; unknown before it has polled a task.
    static ENDS: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Tasks that were to be polled after that, in order.
    static LEFT_OVER: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// The loop of this thread, while it drives what is started here. It is for its thread alone; when
/// it is dropped, what is under way ends.
pub struct EventLoop {
    inner: Rc<Inner>,
}

struct Inner {
    lane: Arc<Lane>,
    tasks: RefCell<LocalSet>,
    bell: Arc<Bell>,
    waker: Waker,
    descriptor: RawFd,
    /// How many deliveries are under way.
    busy: Rc<Cell<usize>>,
    /// Whether the lane counts this thread among those that drive it.
    calling: Cell<bool>,
}

impl EventLoop {
    /// Attaches the loop of the calling thread. `ring` is called on any thread when there is
    /// something to do that the descriptor does not show; it has [`EventLoop::turn`] called soon.
    ///
    /// `None` where the system does not say which descriptor to watch: then keepers drive. So they
    /// do in a process that is forked later, whose copy of this is to be forgotten, not dropped.
    ///
    /// Fails with `internal` if the runtime cannot be started.
    pub fn attach(ring: impl Fn() + Send + Sync + 'static) -> Result<Option<Self>, Error> {
        let lane = lane_of_its_own()?;
        let Some(descriptor) = descriptor_of(&lane.runtime) else {
            LEFT.lock().push(lane);
            return Ok(None);
        };
        let bell = Arc::new(Bell {
            ring: Box::new(ring),
            woken: AtomicBool::new(false),
            turning: AtomicBool::new(false),
        });
        let inner = Rc::new(Inner {
            lane,
            tasks: RefCell::new(LocalSet::new()),
            waker: Waker::from(bell.clone()),
            bell,
            descriptor,
            busy: Rc::default(),
            calling: Cell::new(false),
        });
        ATTACHED.replace(Some(inner.clone()));
        Ok(Some(Self { inner }))
    }

    /// The descriptor to watch: when it can be read, [`EventLoop::turn`] is to be called.
    pub fn descriptor(&self) -> RawFd {
        self.inner.descriptor
    }

    /// Does what can be done without waiting. To be called every few milliseconds as well while
    /// something is under way, for deadlines.
    pub fn turn(&self) {
        self.inner.turn(true, || ());
    }

    /// Whether deliveries are under way.
    pub fn is_busy(&self) -> bool {
        self.inner.busy.get() > 0
    }

    /// Leaves the lane to its keeper until the next delivery is started.
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
        // Outside of a turn there is nobody to borrow it.
        drop(self.inner.tasks.take());
        LEFT.lock().push(self.inner.lane.clone());
    }
}

/// One of this process that was left, or a new one.
fn lane_of_its_own() -> Result<Arc<Lane>, Error> {
    let left = {
        let mut left = LEFT.lock();
        let mine = left.iter().rposition(|lane| lane.process == process::id());
        mine.map(|at| left.swap_remove(at))
    };
    match left {
        Some(lane) => Ok(lane),
        // No number leads to it.
        None => Lane::start(usize::MAX, process::id()),
    }
}

/// Starts a delivery on this thread, if its loop drives, and takes it as far as it goes; gives the
/// future back if it does not.
pub(super) fn start<F>(mut future: Pin<Box<F>>) -> Result<AbortHandle, Pin<Box<F>>>
where
    F: Future<Output = ()> + 'static,
{
    let attached = ATTACHED.with_borrow(Clone::clone);
    // Inside of somebody else's runtime it cannot take a turn, and in a fork it is the parent's.
    let can = |inner: &Rc<Inner>| {
        TURNING.get() || (!super::is_inside() && inner.lane.process == process::id())
    };
    let Some(inner) = attached.filter(can) else {
        return Err(future);
    };
    let under_way = UnderWay::new(&inner.busy);
    let task = poll_fn(move |context| {
        let _ = &under_way;
        polled(future.as_mut(), context)
    });
    if TURNING.get() {
        return Ok(spawn_local(task).abort_handle());
    }
    inner.call();
    Ok(inner.turn(false, || spawn_local(task).abort_handle()))
}

/// Starts a task beside those of this turn; gives the future back outside of a turn.
pub(super) fn spawn_here<F>(mut future: Pin<Box<F>>) -> Result<JoinHandle<F::Output>, Pin<Box<F>>>
where
    F: Future<Output: 'static> + 'static,
{
    if !TURNING.get() {
        return Err(future);
    }
    Ok(spawn_local(poll_fn(move |context| polled(future.as_mut(), context))))
}

/// Polls a task, or leaves it to the next turn. A task that wakes itself would else be polled again and
/// again: the set of tasks polls up to 61 before it can be stopped.
///
/// tokio wakes a task that has used up its share when it looks at the sockets.
fn polled<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
    let now = Instant::now();
    match ENDS.get() {
        None => ENDS.set(Some(now + LONGEST_TURN)),
        Some(ends) if ends > now => {}
        Some(_) => {
            LEFT_OVER.with_borrow_mut(|left| left.push(context.waker().clone()));
            return Poll::Pending;
        }
    }
    let polled = future.poll(context);
    if !coop::has_budget_remaining() {
        MORE.set(true);
    }
    polled
}

/// In a turn, the runtime of its lane, whose own queue is then looked at as well.
pub(super) fn handle() -> Option<Handle> {
    TURNING.get().then(|| {
        MORE.set(true);
        Handle::current()
    })
}

impl Inner {
    /// Runs `first` and then whatever task can go on.
    ///
    /// * `look`: looks at the sockets and the timers in between.
    fn turn<T>(&self, mut look: bool, first: impl FnOnce() -> T) -> T {
        self.bell.turning.store(true, SeqCst);
        TURNING.set(true);
        ENDS.set(None);
        LEFT_OVER.take().into_iter().for_each(Waker::wake);
        let mut first = Some(first);
        let mut output = None;
        self.lane.runtime.block_on(poll_fn(|context| {
            if let Some(first) = first.take() {
                let tasks = self.tasks.borrow();
                let _inside = tasks.enter();
                output = Some(first());
                // The set takes for granted that it is being run.
                self.bell.woken.store(true, SeqCst);
            }
            self.run();
            if look || MORE.take() {
                look = false;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        TURNING.set(false);
        // In this order: who wakes a task now rings, or is seen.
        self.bell.turning.store(false, SeqCst);
        if self.bell.woken.load(SeqCst) || LEFT_OVER.with_borrow(|left| !left.is_empty()) {
            (self.bell.ring)();
        }
        output.unwrap_or_else(|| unreachable!("the first poll has run it"))
    }

    fn run(&self) {
        let mut context = Context::from_waker(&self.waker);
        while self.bell.woken.swap(false, SeqCst) {
            let _ = Pin::new(&mut *self.tasks.borrow_mut()).poll(&mut context);
        }
    }

    fn call(&self) {
        if !self.calling.replace(true) {
            self.lane.callers.fetch_add(1, SeqCst);
            self.lane.send_keeper_off();
        }
        self.lane.tick();
    }

    fn rest(&self) {
        if self.calling.replace(false) {
            self.lane.left();
        }
    }
}

/// Wakes the tasks of a loop, from any thread.
struct Bell {
    ring: Box<dyn Fn() + Send + Sync>,
    woken: AtomicBool,
    turning: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = self.woken.swap(true, SeqCst);
        if !before && !self.turning.load(SeqCst) {
            (self.ring)();
        }
    }
}

struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The descriptor of the lane's epoll instance. tokio does not tell it: so a socket is registered
/// with tokio, and whoever watches that socket is found in what Linux says of our descriptors.
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

/// Whether a line of `/proc/self/fdinfo` (proc(5)) says that a descriptor is watched. The number
/// alone may be an older file's, which was closed and lives on elsewhere.
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
    fn a_socket_is_known_by_its_number_and_its_inode() {
        let line = "tfd:       20 events: 8000201d data:     7f00  pos:0 ino:1a2b sdev:9";
        assert!(watches(line, 20, 0x1a2b));
        assert!(!watches(line, 2, 0x1a2b), "another number");
        assert!(!watches(line, 20, 0x1a2c), "another file, since closed");
        assert!(!watches("pos:\t20", 20, 0));
    }
}
