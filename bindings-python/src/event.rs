//! `Event` and `Expiry`, and the calls of event callbacks.

use pyo3::prelude::*;

use crate::arguments::{self, wrong_type};
use crate::attach;
use crate::error::BindingError;
use crate::json;
use crate::recipe;

/// A change or warning for the operator. docs/events.md lists all events.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Event(pub webhook_mtls::Event);

#[pymethods]
impl Event {
    /// The name of the event, such as `rotated`.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name().name()
    }

    /// The consumer id; None if the event does not concern a single consumer.
    #[getter]
    fn consumer(&self) -> Option<&str> {
        self.0.consumer()
    }

    /// The facts of the event. Times are Unix milliseconds.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.fields().clone().into())
    }

    /// Returns the event as a dict, in the same form in every language.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    /// Returns the log record of the event: level, message and fields.
    #[pyo3(name = "_log_record")]
    fn log_record<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.log_record().to_json())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0.to_json() == self.0.to_json())
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Event({})", self.0.to_json())
    }
}

/// A certificate or CRL, and how much of its lifetime is left.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Expiry(webhook_mtls::material::Expiry);

#[pymethods]
impl Expiry {
    /// The type of the entry: `identity`, `anchor`, `intermediate`, `crl` or `consumer`.
    #[getter]
    fn what(&self) -> &'static str {
        self.0.what.name()
    }

    /// The subject of a certificate, the issuer of a CRL, or the consumer id.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The last instant of validity, an aware datetime.
    #[getter]
    fn not_after<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arguments::datetime(py, self.0.not_after)
    }

    /// The fraction of the lifetime that is left: 1 at its first instant, 0 once it has expired.
    #[getter]
    fn fraction_left(&self) -> f64 {
        self.0.fraction_left
    }

    /// Returns the entry as a dict, in the same form in every language.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0.to_json() == self.0.to_json())
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("Expiry({})", self.0.to_json())
    }
}

/// Wraps events for Python.
pub fn events(events: Vec<webhook_mtls::Event>) -> Vec<Event> {
    events.into_iter().map(Event).collect()
}

/// Wraps a list of expiries for Python.
pub fn expiries(
    expiries: Result<Vec<webhook_mtls::material::Expiry>, webhook_mtls::Error>,
) -> Result<Vec<Expiry>, BindingError> {
    Ok(expiries?.into_iter().map(Expiry).collect())
}

/// Wraps a Python callback for the core. An exception of the callback goes to `sys.unraisablehook`,
/// and does not stop later events.
pub fn listener(
    callback: &Bound<'_, PyAny>,
) -> Result<impl Fn(&webhook_mtls::Event) + Send + Sync + 'static, BindingError> {
    if !callback.is_callable() {
        return Err(wrong_type("callback", "callable", callback));
    }
    attach::prepare(callback.py())?;
    let callback = callback.clone().unbind();
    Ok(move |event: &webhook_mtls::Event| {
        attach::attached_until_exit(|py| {
            let callback = callback.bind(py);
            let arguments = (Event(event.clone()),).into_pyobject(py);
            let called = arguments.and_then(|arguments| attach::call(callback, &arguments));
            if let Err(raised) = called {
                raised.write_unraisable(py, Some(callback));
            }
        });
    })
}
