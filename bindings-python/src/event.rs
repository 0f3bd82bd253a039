//! What an operator should hear about: `Event`, and how it reaches a Python callback; `Expiry`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::arguments::{self, wrong_type};
use crate::error::Fault;
use crate::json;

/// Something that an operator should hear about. docs/events.md lists what there is.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct Event(pub webhook_mtls::Event);

#[pymethods]
impl Event {
    /// What happened, such as `rotated`.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name().name()
    }

    /// The consumer it concerns; None if it concerns no single one.
    #[getter]
    fn consumer(&self) -> Option<&str> {
        self.0.consumer()
    }

    /// The facts. Instants are milliseconds since 1970.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.fields().clone().into())
    }

    /// The event in the form that every language shows.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Event({})", self.0.to_json())
    }
}

/// Something that expires, and how much of its lifetime is left.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct Expiry(webhook_mtls::Expiry);

#[pymethods]
impl Expiry {
    /// `identity`, `anchor`, `intermediate`, `crl` or `consumer`.
    #[getter]
    fn what(&self) -> &'static str {
        self.0.what.name()
    }

    /// Its subject, the issuer of a CRL, or the consumer id.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The last instant of its validity, an aware datetime.
    #[getter]
    fn not_after<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arguments::datetime(py, self.0.not_after)
    }

    /// 1 at its first instant, 0 once it has expired.
    #[getter]
    fn fraction_left(&self) -> f64 {
        self.0.fraction_left
    }

    /// The same in the form that every language shows.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Expiry({})", self.0.to_json())
    }
}

/// What a dispatcher or verifier said, as a list.
pub fn events(events: Vec<webhook_mtls::Event>) -> Vec<Event> {
    events.into_iter().map(Event).collect()
}

/// What expires, as a list.
pub fn expiries(
    expiries: Result<Vec<webhook_mtls::Expiry>, webhook_mtls::Error>,
) -> Result<Vec<Expiry>, Fault> {
    Ok(expiries?.into_iter().map(Expiry).collect())
}

/// Whether the interpreter is about to go: from then on no thread of ours may enter it.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// How many threads are in a callback.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// A callback as the core calls it. What it raises is shown as unraisable, and stops nothing.
pub fn listener(
    callback: &Bound<'_, PyAny>,
) -> Result<impl Fn(&webhook_mtls::Event) + Send + Sync + 'static, Fault> {
    if !callback.is_callable() {
        return Err(wrong_type("callback", "callable", callback));
    }
    leave_in_time(callback.py())?;
    let callback = callback.clone().unbind();
    Ok(move |event: &webhook_mtls::Event| {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        if !LEAVING.load(Ordering::SeqCst) {
            Python::try_attach(|py| {
                if let Err(raised) = callback.call1(py, (Event(event.clone()),)) {
                    raised.write_unraisable(py, Some(callback.bind(py)));
                }
            });
        }
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    })
}

/// Has callbacks stopped before the interpreter finalizes: a thread that is caught inside then ends
/// the process with a fault.
fn leave_in_time(py: Python<'_>) -> PyResult<()> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    if ASKED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let leave = PyCFunction::new_closure(py, None, None, |arguments, _| {
        LEAVING.store(true, Ordering::SeqCst);
        arguments.py().detach(|| {
            let asked = Instant::now();
            while INSIDE.load(Ordering::SeqCst) > 0 && asked.elapsed() < Duration::from_secs(1) {
                thread::sleep(Duration::from_millis(1));
            }
        });
    })?;
    py.import("atexit")?.call_method1("register", (leave,))?;
    Ok(())
}
