//! The fork gate: `fork` waits until no thread is in a critical section, and no thread enters one
//! until the fork is over. So a child never inherits a held lock or a partly changed value.
//!
//! A critical section runs no callback and no interpreter, and waits for no peer and no file. So the
//! wait is short, and the forking thread may hold any lock of its own meanwhile.
//!
//! The handlers of `pthread_atfork` run for `fork`, not for a bare `_Fork` or `clone`.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};
use std::thread;
use std::time::Duration;

/// The number of forks between the process that loaded the library and this one, plus 1. It is 0
/// before the handlers are registered.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of forks in progress.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// The number of threads in a critical section. It is spread over cache lines, so that threads which
/// take different locks do not share one.
static INSIDE: [Shard; SHARDS] = [const { Shard(AtomicUsize::new(0)) }; SHARDS];
const SHARDS: usize = 16;

#[repr(align(64))]
struct Shard(AtomicUsize);

thread_local! {
    static HERE: Cell<Here> = const { Cell::new(Here { depth: 0, shard: UNASSIGNED }) };
}

/// The critical sections of one thread.
#[derive(Clone, Copy)]
struct Here {
    /// The number of nested sections.
    depth: u32,
    shard: usize,
}

const UNASSIGNED: usize = usize::MAX;

/// Returns a number that differs between this process and all its ancestors. Unlike the process id, it
/// is never reused along a line of descent, and it costs no system call.
pub(crate) fn generation() -> u32 {
    match GENERATION.load(Acquire) {
        0 => register(),
        known => known,
    }
}

/// A critical section of this thread: until it is dropped, `fork` waits.
pub(crate) struct Section {
    /// Not `Send`: a section belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Section {
    /// Enters a critical section. Waits while another thread forks, unless this thread is already in a
    /// section.
    pub(crate) fn enter() -> Self {
        let mut here = HERE.get();
        if here.depth == 0 {
            here.shard = enter_first(here.shard);
        }
        HERE.set(Here { depth: here.depth + 1, ..here });
        Self { _thread: PhantomData }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        let here = HERE.get();
        HERE.set(Here { depth: here.depth - 1, ..here });
        if here.depth == 1 {
            inside(here.shard).fetch_sub(1, Release);
        }
    }
}

/// Leaves the critical sections of this thread while `work` runs, so that a fork does not wait for it.
/// For code of the application, which may block and take locks of its own.
pub(crate) fn outside<T>(work: impl FnOnce() -> T) -> T {
    /// Enters the sections again, also after a panic.
    struct Left(u32);

    impl Drop for Left {
        fn drop(&mut self) {
            if self.0 > 0 {
                let shard = enter_first(HERE.get().shard);
                HERE.set(Here { depth: self.0, shard });
            }
        }
    }

    let here = HERE.get();
    let _left = Left(here.depth);
    if here.depth > 0 {
        HERE.set(Here { depth: 0, ..here });
        inside(here.shard).fetch_sub(1, Release);
    }
    work()
}

fn enter_first(shard: usize) -> usize {
    generation();
    let shard = if shard == UNASSIGNED { assigned() } else { shard };
    let count = inside(shard);
    loop {
        // This increments before it reads, and `prepare` does so too, with the roles exchanged. So at
        // least one of the two sees the other.
        count.fetch_add(1, SeqCst);
        if FORKS.load(SeqCst) == 0 {
            return shard;
        }
        count.fetch_sub(1, SeqCst);
        wait_until(|| FORKS.load(SeqCst) == 0);
    }
}

fn assigned() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Relaxed) % SHARDS
}

fn inside(shard: usize) -> &'static AtomicUsize {
    &INSIDE[shard % SHARDS].0
}

/// Registers the handlers for every later `fork`. Two threads may register them twice, which is
/// harmless; a lock against it would wait for a thread that a fork may remove.
#[cold]
fn register() -> u32 {
    #[expect(unsafe_code, reason = "no crate offers it as a safe function")]
    // SAFETY: the handlers are functions without captured state, and live as long as the library.
    // They do not unwind.
    let status = unsafe { nix::libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    // It fails only for lack of memory. The next use tries again.
    if status == 0 {
        let _ = GENERATION.compare_exchange(0, 1, Release, Relaxed);
    }
    GENERATION.load(Acquire).max(1)
}

extern "C" fn prepare() {
    FORKS.fetch_add(1, SeqCst);
    let here = HERE.get();
    for (shard, count) in INSIDE.iter().enumerate() {
        // A signal handler may fork inside a critical section of its own thread. It must not wait for
        // itself: that thread continues in the child.
        let own = usize::from(here.depth > 0 && here.shard == shard);
        wait_until(|| count.0.load(SeqCst) <= own);
    }
}

extern "C" fn parent() {
    FORKS.fetch_sub(1, SeqCst);
}

/// Runs in the child, on its only thread.
extern "C" fn child() {
    let here = HERE.get();
    for (shard, count) in INSIDE.iter().enumerate() {
        // A thread of the parent may have incremented this while it checked for a fork.
        let own = usize::from(here.depth > 0 && here.shard == shard);
        count.0.store(own, SeqCst);
    }
    GENERATION.fetch_add(1, SeqCst);
    FORKS.store(0, SeqCst);
}

/// Waits until `reached` returns true. That takes microseconds, or as long as the kernel copies a page
/// table.
fn wait_until(reached: impl Fn() -> bool) {
    const YIELDS: u32 = 64;
    let mut yields = 0;
    while !reached() {
        if yields < YIELDS {
            yields += 1;
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_micros(50));
        }
    }
}
