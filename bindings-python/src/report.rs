//! `Report`: the result of a diagnosis.

use pyo3::prelude::*;
use webhook_mtls::diagnosis;

use crate::json;
use crate::recipe;

/// The result of a diagnosis. Made by `Dispatcher.diagnose`.
///
/// `str` of it is the text for a person: one line for each check, 80 columns, no color.
#[pyclass(frozen, name = "Report", weakref, module = "webhook_mtls")]
pub struct ReportResult(pub diagnosis::Report);

impl ReportResult {
    fn part<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json()[name])
    }
}

#[pymethods]
impl ReportResult {
    /// Whether no check failed.
    #[getter]
    fn ok(&self) -> bool {
        self.0.ok()
    }

    /// The consumer id of the endpoint.
    #[getter]
    fn consumer(&self) -> &str {
        self.0.consumer()
    }

    /// Every check, in the order of their numbers: dicts with `id`, `status`, `summary` and others.
    #[getter]
    fn checks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, "checks")
    }

    /// Every fault: dicts with `check`, `kind`, `blame`, `message`, `remedy` and others.
    #[getter]
    fn findings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, "findings")
    }

    /// The verdict: a dict with `kind`, `blame`, `message`, `remedy` and `tell`.
    #[getter]
    fn verdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part(py, "verdict")
    }

    /// A text for the operator of the consumer; None if it need not act.
    ///
    /// It has no address, path, host or rule of ours.
    #[getter]
    fn message_to_consumer(&self) -> Option<&str> {
        self.0.message_to_consumer()
    }

    /// The duration of the diagnosis, in seconds.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Returns the whole report as a dict, in the same form in every language. Durations are
    /// milliseconds.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().0.to_json() == self.0.to_json())
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.0.to_json())
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("Report(consumer={:?}, ok={})", self.0.consumer(), self.0.ok())
    }
}
