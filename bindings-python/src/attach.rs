//! Attaches a thread that Python did not start, never while the process forks.
//!
//! To attach such a thread, CPython makes a thread state under a lock of its own and without the
//! interpreter's lock. A child that is forked at that moment inherits the lock held, and CPython 3.11
//! acquires it in `PyOS_AfterFork_Child` before it makes the lock anew: the child hangs in
//! `os.fork`. So `os.fork` waits until no thread of ours is attaching.
//!
//! CPython before 3.14 ends a thread that returns to a finalizing interpreter: it unwinds the stack of
//! the thread. Frames of Rust cannot be unwound so, and the process aborts. So the exit of the
//! process waits for attached threads, and a thread that returns later stops in [`call`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use std::{mem, thread};

use pyo3::ffi::{PyObject, PyObject_CallObject};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

/// The number of threads that are attaching.
static ATTACHING: AtomicUsize = AtomicUsize::new(0);

/// The number of forks under way. While there is one, no thread begins to attach.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// The number of threads that are in [`attached`] or [`attached_until_exit`].
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// Whether the `atexit` function has run.
static EXITING: AtomicBool = AtomicBool::new(false);

const PAUSE: Duration = Duration::from_micros(200);

/// How long the exit waits for attached threads.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Runs `work` on this thread with the interpreter attached. Does nothing once the interpreter
/// finalizes. [`prepare`] must have been called before.
pub fn attached(work: impl FnOnce(Python<'_>)) {
    counted(|| attach(work));
}

/// Runs `work` as [`attached`] does. Does nothing once the process exits: `work` is not waited for
/// then.
pub fn attached_until_exit(work: impl FnOnce(Python<'_>)) {
    counted(|| {
        if !EXITING.load(SeqCst) {
            attach(work);
        }
    });
}

/// Calls a function of the program, on a thread in [`attached`]. Does not return if the interpreter
/// finalizes before the function ends.
pub fn call<'py>(
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    type Object = *mut PyObject;
    let call = PyObject_CallObject as unsafe extern "C" fn(Object, Object) -> Object;
    // SAFETY: the same function. Frames of an unwinding `extern "C"` function would abort.
    let call: unsafe extern "C-unwind" fn(Object, Object) -> Object =
        unsafe { mem::transmute(call) };
    let stopped = Stopped;
    // SAFETY: both are live objects, and this thread has the interpreter's lock.
    let answer = unsafe { call(function.as_ptr(), arguments.as_ptr()) };
    mem::forget(stopped);
    // SAFETY: it is a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(function.py(), answer) }
}

/// Registers the functions that run when the process forks and when it exits.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    if PREPARED.swap(true, SeqCst) {
        return Ok(());
    }
    hold_at_fork(py)?;
    stop_at_exit(py)
}

fn counted(run: impl FnOnce()) {
    ACTIVE.fetch_add(1, SeqCst);
    run();
    // Work that forks ends in the child as well, where none is counted.
    let _ = ACTIVE.fetch_update(SeqCst, SeqCst, |active| active.checked_sub(1));
}

fn attach(work: impl FnOnce(Python<'_>)) {
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

/// Stops the thread for ever when it is dropped, as CPython 3.14 does.
struct Stopped;

impl Drop for Stopped {
    fn drop(&mut self) {
        loop {
            thread::park();
        }
    }
}

/// Registers functions that keep threads from attaching while `os.fork` runs.
fn hold_at_fork(py: Python<'_>) -> PyResult<()> {
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
    let in_child = PyCFunction::new_closure(py, None, None, |_, _| {
        // The child has one thread: no other one forks, attaches or is attached.
        for count in [&FORKS, &ATTACHING, &ACTIVE] {
            count.store(0, SeqCst);
        }
    })?;
    let hooks = PyDict::new(py);
    hooks.set_item("before", before)?;
    hooks.set_item("after_in_parent", in_parent)?;
    hooks.set_item("after_in_child", in_child)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}

/// Registers an `atexit` function that waits for attached threads.
fn stop_at_exit(py: Python<'_>) -> PyResult<()> {
    let leave = PyCFunction::new_closure(py, None, None, |arguments, _| {
        EXITING.store(true, SeqCst);
        arguments.py().detach(|| {
            let start = Instant::now();
            while ACTIVE.load(SeqCst) > 0 && start.elapsed() < EXIT_WAIT {
                thread::sleep(PAUSE);
            }
        });
    })?;
    py.import("atexit")?.call_method1("register", (leave,))?;
    Ok(())
}
