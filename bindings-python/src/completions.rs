//! Completions for asyncio: a queue of outcomes, and a descriptor that the event loop watches.
//!
//! The runtime's threads never enter the interpreter. They push outcomes to the queue and signal
//! the descriptor, so none of our threads can run into an interpreter that is finalizing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use webhook_mtls::Error;
use webhook_mtls::bindings::process::{Lock, Locked};
use webhook_mtls::bindings::runtime;

use crate::error::{BindingError, exception};
use crate::event::events;
use crate::probe::ProbeResult;
use crate::receipt::Receipt;
use crate::recipe::Made;
use crate::report::ReportResult;
use crate::telemetry::Telemetry;

/// The outcomes for one event loop that it has not taken yet.
#[pyclass(frozen, weakref, module = "webhook_mtls._native")]
#[derive(Clone)]
pub struct Completions(Arc<Shared>);

/// A successful outcome.
pub enum Done {
    /// A delivery.
    Delivered(webhook_mtls::Receipt),
    /// A probe.
    Probed(webhook_mtls::Probe),
    /// A diagnosis.
    Diagnosed(webhook_mtls::diagnosis::Report),
    /// A reload.
    Reloaded(Vec<webhook_mtls::Event>),
    /// The closing of a dispatcher.
    Closed,
    /// A run of `deliver_many` has outcomes to take.
    OutcomesReady,
}

type Outcome = Result<Done, Error>;

/// A ticket, its outcome, and the instruments that are told of a delivery.
type Queued = (u64, Outcome, Option<Telemetry>);

struct Shared {
    signal: Signal,
    queue: Lock<Vec<Queued>>,
}

#[pymethods]
impl Completions {
    /// Uses a socket pair if the platform has no eventfd, or if `eventfd` is false.
    #[new]
    #[pyo3(signature = (*, eventfd = true))]
    fn new(eventfd: bool) -> Result<Self, BindingError> {
        let signal = Signal::new(eventfd).map_err(PyErr::from)?;
        Ok(Self(Arc::new(Shared { signal, queue: Lock::default() })))
    }

    /// Returns the descriptor that is readable while outcomes wait.
    fn fileno(&self) -> i32 {
        self.0.signal.read.as_raw_fd()
    }

    /// Takes all outcomes: each a ticket, a result or None, and an exception or None.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Vec<Settled<'py>>> {
        // Clear first: an outcome that arrives in between then wakes the loop once more, at worst
        // for nothing.
        self.0.signal.clear();
        let arrived = std::mem::take(&mut *self.0.queue());
        for telemetry in arrived.iter().filter_map(|(_, _, telemetry)| telemetry.as_ref()) {
            telemetry.flush(py);
        }
        arrived.into_iter().map(|(ticket, outcome, _)| settled(py, ticket, outcome)).collect()
    }
}

impl Completions {
    /// Makes the slot of one outcome.
    pub fn slot(&self, ticket: u64) -> CompletionSlot {
        CompletionSlot { shared: self.0.clone(), ticket, telemetry: None, filled: false }
    }
}

type Settled<'py> = (u64, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

fn settled(py: Python<'_>, ticket: u64, outcome: Outcome) -> PyResult<Settled<'_>> {
    Ok(match outcome {
        Ok(Done::Delivered(receipt)) => {
            (ticket, Some(Bound::new(py, Receipt(Made::Live(receipt)))?.into_any()), None)
        }
        Ok(Done::Probed(probe)) => {
            (ticket, Some(Bound::new(py, ProbeResult(probe))?.into_any()), None)
        }
        Ok(Done::Diagnosed(report)) => {
            (ticket, Some(Bound::new(py, ReportResult(report))?.into_any()), None)
        }
        Ok(Done::Reloaded(reported)) => {
            (ticket, Some(events(reported).into_bound_py_any(py)?), None)
        }
        Ok(Done::Closed | Done::OutcomesReady) => (ticket, None, None),
        Err(error) => (ticket, None, Some(exception(py, &error)?)),
    })
}

/// A slot for one outcome. If it is dropped empty, because the task panicked, it is filled with
/// `internal`, so that no awaiting coroutine waits forever.
pub struct CompletionSlot {
    shared: Arc<Shared>,
    ticket: u64,
    telemetry: Option<Telemetry>,
    filled: bool,
}

impl CompletionSlot {
    /// Tells the instruments of the delivery before its outcome is handed over.
    pub fn traced_by(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = telemetry.is_used().then(|| telemetry.clone());
        self
    }

    /// Stores the outcome and wakes the loop.
    pub fn fill(mut self, outcome: Outcome) {
        self.filled = true;
        self.shared.push((self.ticket, outcome, self.telemetry.take()));
    }
}

impl Drop for CompletionSlot {
    fn drop(&mut self) {
        if !self.filled {
            self.shared.push((self.ticket, Err(Error::caught_panic()), self.telemetry.take()));
        }
    }
}

impl Shared {
    fn push(self: &Arc<Self>, queued: Queued) {
        let mut queue = self.queue();
        queue.push(queued);
        let first = queue.len() == 1;
        drop(queue);
        // Only the first outcome signals, after other deliveries of this turn have ended. The loop
        // then takes all of them at once.
        if first {
            let shared = self.clone();
            runtime::afterwards(move || shared.signal.set());
        }
    }

    fn queue(&self) -> Locked<'_, Vec<Queued>> {
        self.queue.lock()
    }
}

/// An eventfd, or a socket pair if there is no eventfd.
struct Signal {
    read: File,
    /// `None` if one descriptor is used for reading and writing.
    write: Option<File>,
}

impl Signal {
    fn new(single: bool) -> io::Result<Self> {
        if let Some(read) = if single { eventfd() } else { None } {
            return Ok(Self { read, write: None });
        }
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let file = |socket| File::from(OwnedFd::from(socket));
        Ok(Self { read: file(read), write: Some(file(write)) })
    }

    fn set(&self) {
        // A write fails only if it would block, and then the signal is already set.
        let _ = self.write.as_ref().unwrap_or(&self.read).write(&1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        let mut buffer = [0; 64];
        while self.write.is_some() && matches!((&self.read).read(&mut buffer), Ok(64)) {}
        if self.write.is_none() {
            let _ = (&self.read).read(&mut buffer);
        }
    }
}

#[cfg(target_os = "linux")]
fn eventfd() -> Option<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: the call takes no pointer.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    // SAFETY: this code is the only owner of the new descriptor.
    (descriptor >= 0).then(|| unsafe { File::from_raw_fd(descriptor) })
}

#[cfg(not(target_os = "linux"))]
fn eventfd() -> Option<File> {
    None
}

/// Cancels a delivery of an `AsyncDispatcher`.
#[pyclass(frozen, weakref, module = "webhook_mtls._native")]
pub struct CancelToken(pub webhook_mtls::CancelToken);

#[pymethods]
impl CancelToken {
    /// Cancels the delivery. Does nothing if it has ended.
    fn cancel(&self) {
        self.0.cancel();
    }
}
