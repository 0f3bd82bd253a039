//! How asyncio learns that a delivery has ended: a descriptor that its loop watches.
//!
//! The runtime's threads never touch the interpreter. They put outcomes into a queue and wake the
//! loop by the descriptor, so nothing of ours can meet an interpreter that is shutting down.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
use webhook_mtls::process::{Lock, Locked};
use webhook_mtls::{Error, runtime};

use crate::error::{Fault, exception};
use crate::event::events;
use crate::probe::Probe;
use crate::receipt::Receipt;

/// Outcomes on their way to one event loop.
#[pyclass(frozen, module = "webhook_mtls._native")]
#[derive(Clone)]
pub struct Completions(Arc<Shared>);

/// What ended well.
pub enum Done {
    /// A delivery.
    Delivered(webhook_mtls::Receipt),
    /// A probe.
    Probed(webhook_mtls::Probe),
    /// A reload.
    Reloaded(Vec<webhook_mtls::Event>),
    /// The closing of a dispatcher.
    Closed,
    /// A run of many has outcomes.
    Stirred,
}

type Outcome = Result<Done, Error>;

struct Shared {
    signal: Signal,
    queue: Lock<Vec<(u64, Outcome)>>,
}

#[pymethods]
impl Completions {
    /// Takes a pair of sockets if there is no eventfd, or none is wanted.
    #[new]
    #[pyo3(signature = (*, eventfd = true))]
    fn new(eventfd: bool) -> Result<Self, Fault> {
        let signal = Signal::new(eventfd).map_err(PyErr::from)?;
        Ok(Self(Arc::new(Shared { signal, queue: Lock::default() })))
    }

    /// The descriptor that is readable while something waits to be drained.
    fn fileno(&self) -> i32 {
        self.0.signal.read.as_raw_fd()
    }

    /// What has arrived: tickets, each with a result or None and an exception or None.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Vec<Settled<'py>>> {
        // In this order: what comes in between wakes the loop once more, for nothing at worst.
        self.0.signal.clear();
        let arrived = std::mem::take(&mut *self.0.queue());
        arrived.into_iter().map(|(ticket, outcome)| settled(py, ticket, outcome)).collect()
    }
}

impl Completions {
    /// The place of one outcome to come.
    pub fn slot(&self, ticket: u64) -> Slot {
        Slot { shared: self.0.clone(), ticket, filled: false }
    }
}

type Settled<'py> = (u64, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

fn settled(py: Python<'_>, ticket: u64, outcome: Outcome) -> PyResult<Settled<'_>> {
    Ok(match outcome {
        Ok(Done::Delivered(receipt)) => {
            (ticket, Some(Bound::new(py, Receipt(receipt))?.into_any()), None)
        }
        Ok(Done::Probed(probe)) => (ticket, Some(Bound::new(py, Probe(probe))?.into_any()), None),
        Ok(Done::Reloaded(told)) => (ticket, Some(events(told).into_bound_py_any(py)?), None),
        Ok(Done::Closed | Done::Stirred) => (ticket, None, None),
        Err(error) => (ticket, None, Some(exception(py, &error)?)),
    })
}

/// The place of one outcome. Dropped without one, because a panic took the task that was to fill
/// it, it is filled with `internal`: whoever awaits it must not wait for ever.
pub struct Slot {
    shared: Arc<Shared>,
    ticket: u64,
    filled: bool,
}

impl Slot {
    /// Puts the outcome in, and wakes the loop.
    pub fn fill(mut self, outcome: Outcome) {
        self.filled = true;
        self.shared.push(self.ticket, outcome);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.filled {
            self.shared.push(self.ticket, Err(Error::caught_panic()));
        }
    }
}

impl Shared {
    fn push(self: &Arc<Self>, ticket: u64, outcome: Outcome) {
        let mut queue = self.queue();
        queue.push((ticket, outcome));
        let first = queue.len() == 1;
        drop(queue);
        // The first one wakes, when others that are about to end have ended; the loop takes all along.
        if first {
            let shared = self.clone();
            runtime::afterwards(move || shared.signal.set());
        }
    }

    fn queue(&self) -> Locked<'_, Vec<(u64, Outcome)>> {
        self.queue.lock()
    }
}

/// An eventfd, or a pair of sockets where there is none.
struct Signal {
    read: File,
    /// `None` where reading and writing are the same descriptor.
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
        // It fails only where it would block, and then it is set already.
        let _ = self.write.as_ref().unwrap_or(&self.read).write(&1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        let mut seen = [0; 64];
        while self.write.is_some() && matches!((&self.read).read(&mut seen), Ok(64)) {}
        if self.write.is_none() {
            let _ = (&self.read).read(&mut seen);
        }
    }
}

#[cfg(target_os = "linux")]
fn eventfd() -> Option<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: takes no pointer; what it returns is owned by nobody else.
    unsafe {
        let descriptor = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        (descriptor >= 0).then(|| File::from_raw_fd(descriptor))
    }
}

#[cfg(not(target_os = "linux"))]
fn eventfd() -> Option<File> {
    None
}

/// Ends a delivery that asyncio has started.
#[pyclass(frozen, module = "webhook_mtls._native")]
pub struct CancelToken(pub webhook_mtls::CancelToken);

#[pymethods]
impl CancelToken {
    /// Cancels; nothing happens if the delivery has ended.
    fn cancel(&self) {
        self.0.cancel();
    }
}
