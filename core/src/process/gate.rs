//! The fork gate: `fork` waits until no thread is in a critical section, and no thread enters one
//! until the fork is over. So a child never inherits a lock that is held, or data that is half
//! changed.
//!
//! A critical section calls nobody: no callback, no interpreter, nothing that waits for a peer or a
//! file. So the wait is short, and the forking thread may hold any lock of its own meanwhile.
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

/// How deep this process lies below the one that loaded the library, from 1; 0 before the handlers
/// are registered.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// How many forks are under way.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// How many threads are in a critical section, spread over cache lines so that threads that lock
/// different things share none.
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
    /// How many it is in, one in another.
    depth: u32,
    shard: usize,
}

const UNASSIGNED: usize = usize::MAX;

/// Tells this process from those it was forked from. Unlike the process id, it is never reused along
/// a line of descent, and it costs no system call.
pub(crate) fn generation() -> u32 {
    match GENERATION.load(Acquire) {
        0 => register(),
        known => known,
    }
}

/// A critical section of this thread: until it is dropped, `fork` waits.
pub(crate) struct Section {
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Section {
    /// Enters a critical section. Waits while another thread forks, unless this thread is in one.
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

fn enter_first(shard: usize) -> usize {
    generation();
    let shard = if shard == UNASSIGNED { assigned() } else { shard };
    let count = inside(shard);
    loop {
        // In this order, and the other way round in `prepare`: one of the two sees the other.
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

/// Has the handlers called by every `fork` from now on. Two threads may register them twice: the
/// handlers can be called twice, and nobody waits for a thread that a fork may take away.
#[cold]
fn register() -> u32 {
    #[expect(unsafe_code, reason = "nobody offers it as a safe function")]
    // SAFETY: the handlers are functions without captured state, and live as long as the library.
    // They do not unwind.
    let status = unsafe { nix::libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    // It fails for want of memory alone; then it is tried again at the next use.
    if status == 0 {
        let _ = GENERATION.compare_exchange(0, 1, Release, Relaxed);
    }
    GENERATION.load(Acquire).max(1)
}

extern "C" fn prepare() {
    FORKS.fetch_add(1, SeqCst);
    let here = HERE.get();
    for (shard, count) in INSIDE.iter().enumerate() {
        // A signal handler that forks amid a critical section of its own thread does not wait for
        // itself: that thread goes on in the child.
        let own = usize::from(here.depth > 0 && here.shard == shard);
        wait_until(|| count.0.load(SeqCst) <= own);
    }
}

extern "C" fn parent() {
    FORKS.fetch_sub(1, SeqCst);
}

/// Runs in the child, whose only thread this is.
extern "C" fn child() {
    let here = HERE.get();
    for (shard, count) in INSIDE.iter().enumerate() {
        // A thread of the parent may just have looked whether it may enter.
        let own = usize::from(here.depth > 0 && here.shard == shard);
        count.0.store(own, SeqCst);
    }
    GENERATION.fetch_add(1, SeqCst);
    FORKS.store(0, SeqCst);
}

/// Waits for what takes microseconds, or as long as the kernel copies a page table.
fn wait_until(reached: impl Fn() -> bool) {
    const LOOKS: u32 = 64;
    let mut looks = 0;
    while !reached() {
        if looks < LOOKS {
            looks += 1;
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_micros(50));
        }
    }
}
