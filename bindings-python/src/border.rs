//! What happens at the border between Python and the core: panics and signals.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use pyo3::prelude::*;
use webhook_mtls::{Error, runtime};

use crate::error::Fault;

/// Runs what calls the core; a panic becomes an error of kind `internal`.
///
/// Nothing that a panic may have left half done is looked at again: the closures only make values.
pub fn guard<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::caught_panic().into()))
}

/// Waits for a future without holding the interpreter. Ctrl-C drops it, which cuts the delivery.
pub fn wait<F>(py: Python<'_>, future: F) -> Result<F::Output, Fault>
where
    F: Future + Send,
    F::Output: Send,
{
    interruptible(py, |interrupt| runtime::drive(future, interrupt))
}

/// Blocks without holding the interpreter. Where a signal handler raises, `work` is told to stop.
pub fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut dyn FnMut() -> bool) -> Option<T> + Send,
) -> Result<T, Fault> {
    let mut raised = None;
    let output = py.detach(|| {
        work(&mut || {
            match Python::try_attach(|py| py.check_signals().err()) {
                Some(signal) => raised = signal,
                None => stay_away(),
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

/// What a daemon thread does once the interpreter has gone: there is nothing to return to, and to
/// try would end the process with a fault while it is leaving in peace.
fn stay_away() -> ! {
    loop {
        thread::park();
    }
}

/// Panics behind the border, so that a test can see what becomes of it.
#[pyfunction(name = "_panic")]
pub fn panic() -> Result<(), Fault> {
    guard(|| panic!("asked for by a test"))
}
