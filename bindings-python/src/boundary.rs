//! The boundary between Python and the core: panics, signals and the release of the interpreter.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use pyo3::prelude::*;
use webhook_mtls::Error;
use webhook_mtls::bindings::runtime;

use crate::error::BindingError;

/// Runs a call to the core. A panic becomes an error of kind `internal`.
///
/// It is unwind safe, because the closures only make values. No code reads the state of a closure
/// that panicked.
pub fn guard<T>(work: impl FnOnce() -> Result<T, BindingError>) -> Result<T, BindingError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::caught_panic().into()))
}

/// Waits for a future without holding the interpreter. Ctrl-C drops the future, which cancels the
/// delivery.
pub fn wait<F>(py: Python<'_>, future: F) -> Result<F::Output, BindingError>
where
    F: Future + Send,
    F::Output: Send,
{
    interruptible(py, |interrupt| runtime::drive(future, interrupt))
}

/// Blocks without holding the interpreter. If a signal handler raises, the callback of `work`
/// returns true, and `work` must stop.
pub fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut dyn FnMut() -> bool) -> Option<T> + Send,
) -> Result<T, BindingError> {
    let mut raised = None;
    let output = py.detach(|| {
        work(&mut || {
            match Python::try_attach(|py| py.check_signals().err()) {
                Some(signal) => raised = signal,
                None => park_forever(),
            }
            raised.is_some()
        })
    });
    match (output, raised) {
        (Some(output), _) => Ok(output),
        (None, Some(raised)) => Err(raised.into()),
        (None, None) => Err(runtime::undriven().into()),
    }
}

/// Parks a daemon thread after the interpreter has finalized. The thread cannot return to Python,
/// and an attempt to attach would crash the process during its exit.
fn park_forever() -> ! {
    loop {
        thread::park();
    }
}

/// Panics inside `guard`, so that a test can check the resulting error.
#[pyfunction(name = "_panic")]
pub fn panic() -> Result<(), BindingError> {
    guard(|| panic!("asked for by a test"))
}
