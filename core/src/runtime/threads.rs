//! Threads for work that may hang. Each is kept and reused.
//!
//! A thread that starts or ends takes locks of the standard library and of the C library, and a
//! forked child inherits these locks in their state at the fork. So threads are reused, and a new one
//! starts inside a critical section of the fork gate.

use std::io;
use std::sync::mpsc;
use std::thread;

use crate::error::{Error, Kind};
use crate::process::{self, Lock, Section, own};

/// How many idle threads are kept.
const MAX_IDLE: usize = 8;

type Work = Box<dyn FnOnce() + Send>;

static IDLE: Lock<Vec<Idle>> = Lock::new(Vec::new());

/// An idle thread that waits for work.
struct Idle {
    process: u32,
    work: own::Sender<Work>,
}

/// Runs work that may block for any time on a thread of its own. The thread blocks all signals.
///
/// Fails with `overloaded` if the system refuses this process another thread.
pub(crate) fn apart(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let mut work: Work = Box::new(work);
    while let Some(idle) = take_idle() {
        match idle.work.send(work) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(refused)) => work = refused,
        }
    }
    let (started, starts) = mpsc::channel();
    let run = move || {
        let _ = started.send(());
        block_signals();
        keep(work);
    };
    let _section = Section::enter();
    let spawned = thread::Builder::new().name("webhook-mtls-io".into()).spawn(run);
    spawned.map_err(|error| no_thread(&error))?;
    // The start of a thread takes microseconds and waits for no other thread.
    let _ = starts.recv();
    Ok(())
}

/// Blocks all signals on this thread: they must reach the threads of the host, whose handlers expect
/// them.
pub(super) fn block_signals() {
    let _ = nix::sys::signal::SigSet::all().thread_block();
}

/// The error for a thread that could not be started.
pub(super) fn no_thread(error: &io::Error) -> Error {
    Error::new(Kind::Overloaded, format!("this process could start no further thread: {error}"))
        .advising("Raise the limit of threads of this process (ulimit -u, or its cgroup).")
}

/// Takes an idle thread of this process. A parent's threads do not exist in a child.
fn take_idle() -> Option<Idle> {
    let process = process::id();
    let mut all = IDLE.lock();
    while let Some(idle) = all.pop() {
        if idle.process == process {
            return Some(idle);
        }
        // Its channel may have been in the middle of a change at the fork.
        std::mem::forget(idle);
    }
    None
}

/// Runs work, then further work, until enough other threads are idle.
fn keep(mut work: Work) {
    loop {
        work();
        let (sender, more) = mpsc::channel();
        {
            let mut all = IDLE.lock();
            if all.len() >= MAX_IDLE {
                return;
            }
            all.push(Idle { process: process::id(), work: sender });
        }
        match more.recv() {
            Ok(next) => work = next,
            Err(_) => return,
        }
    }
}
