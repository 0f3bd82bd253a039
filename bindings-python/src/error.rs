//! Conversion of the core's errors to exceptions. The exception classes are defined in Python, so
//! that type checkers see them.

use std::error::Error as _;

use pyo3::prelude::*;
use pyo3::types::PyType;
use serde_json::Value;
use webhook_mtls::Error;
use webhook_mtls::bindings::process::Once;
use webhook_mtls::error::Family;

use crate::{arguments, boundary, json};

/// A failure to raise in Python: an error of the core, or an exception of Python.
pub enum BindingError {
    /// Raised as a `WebhookMtlsError`.
    Core(Error),
    /// Raised unchanged.
    Python(PyErr),
}

impl From<Error> for BindingError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for BindingError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<BindingError> for PyErr {
    fn from(fault: BindingError) -> Self {
        match fault {
            BindingError::Python(error) => error,
            BindingError::Core(error) => Python::attach(|py| {
                exception(py, &error).map_or_else(|broken| broken, PyErr::from_value)
            }),
        }
    }
}

/// Makes the exception of an error.
pub fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static CONFIG: Once<Py<PyType>> = Once::new();
    static DELIVERY: Once<Py<PyType>> = Once::new();
    static PEER: Once<Py<PyType>> = Once::new();
    let (class, name) = match error.family() {
        Family::Config => (&CONFIG, "ConfigError"),
        Family::Delivery => (&DELIVERY, "DeliveryError"),
        Family::Peer => (&PEER, "PeerRefused"),
    };
    let import = || {
        let class = py.import("webhook_mtls._errors")?.getattr(name)?;
        PyResult::Ok(class.cast_into::<PyType>()?.unbind())
    };
    let fields = json::to_python(py, &error.to_json())?;
    let exception = class.get_or_try_init(import)?.bind(py).call1((fields,))?;
    // What a function of the program raised, such as a signer.
    if let Some(cause) = error.source().and_then(|source| source.downcast_ref::<PyErr>()) {
        exception.setattr("__cause__", cause.value(py))?;
    }
    Ok(exception)
}

/// Reads an error from the fields of an exception.
pub fn read(name: &str, fields: &Bound<'_, PyAny>) -> Result<Error, BindingError> {
    json::from_python(fields)
        .as_ref()
        .and_then(Error::from_json)
        .ok_or_else(|| arguments::wrong_type(name, "the fields of a WebhookMtlsError", fields))
}

/// Returns the part of an error that may be shown to the consumer, from the fields of the error.
#[pyfunction(name = "_public")]
pub fn public<'py>(fields: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, BindingError> {
    boundary::guard(|| Ok(json::to_python(fields.py(), &read("fields", fields)?.public())?))
}

/// Returns the log record of an error, from the fields of the error.
#[pyfunction(name = "_log_record_of")]
pub fn log_record_of<'py>(fields: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, BindingError> {
    boundary::guard(|| {
        let record = read("fields", fields)?.log_record();
        Ok(json::to_python(fields.py(), &record.to_json())?)
    })
}

/// Returns the core's tables of kinds, enums and options.
#[pyfunction(name = "_tables")]
pub fn tables(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let tables: Value = webhook_mtls::bindings::tables::all();
    json::to_python(py, &tables)
}
