//! Attaches a thread that Python did not start, never while the process forks.
//!
//! To attach such a thread, CPython makes a thread state under a lock of its own and without the
//! interpreter's lock. A child that is forked at that moment inherits the lock held, and CPython 3.11
//! acquires it in `PyOS_AfterFork_Child` before it makes the lock anew: the child hangs in
//! `os.fork`. So `os.fork` waits until no thread of ours is attaching.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

/// The number of threads that are attaching.
static ATTACHING: AtomicUsize = AtomicUsize::new(0);

/// The number of forks under way. While there is one, no thread begins to attach.
static FORKS: AtomicUsize = AtomicUsize::new(0);

const PAUSE: Duration = Duration::from_micros(200);

/// Runs `work` on this thread with the interpreter attached. Does nothing once the interpreter
/// finalizes.
pub fn attached(work: impl FnOnce(Python<'_>)) {
    loop {
        ATTACHING.fetch_add(1, SeqCst);
        if FORKS.load(SeqCst) == 0 {
            break;
        }
        ATTACHING.fetch_sub(1, SeqCst);
        thread::sleep(PAUSE);
    }
    let attached = Python::try_attach(|py| {
        ATTACHING.fetch_sub(1, SeqCst);
        work(py);
    });
    if attached.is_none() {
        ATTACHING.fetch_sub(1, SeqCst);
    }
}

/// Registers functions that keep threads from attaching while `os.fork` runs. `in_child` runs in each
/// forked child.
pub fn hold_at_fork(py: Python<'_>, in_child: fn()) -> PyResult<()> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if REGISTERED.swap(true, SeqCst) {
        return Ok(());
    }
    let before = PyCFunction::new_closure(py, None, None, |arguments, _| {
        FORKS.fetch_add(1, SeqCst);
        // A thread that is attaching waits for the interpreter's lock.
        arguments.py().detach(|| {
            while ATTACHING.load(SeqCst) > 0 {
                thread::sleep(PAUSE);
            }
        });
    })?;
    let in_parent = PyCFunction::new_closure(py, None, None, |_, _| {
        FORKS.fetch_sub(1, SeqCst);
    })?;
    let in_child = PyCFunction::new_closure(py, None, None, move |_, _| {
        // The child has one thread: no other one forks or attaches.
        FORKS.store(0, SeqCst);
        ATTACHING.store(0, SeqCst);
        in_child();
    })?;
    let hooks = PyDict::new(py);
    hooks.set_item("before", before)?;
    hooks.set_item("after_in_parent", in_parent)?;
    hooks.set_item("after_in_child", in_child)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}
