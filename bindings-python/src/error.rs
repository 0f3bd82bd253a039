//! The core's errors as Python's exceptions, which are defined in Python, where type checkers see
//! them.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use serde_json::Value;
use webhook_mtls::process::Once;
use webhook_mtls::{Error, Family, Kind, testing};

use crate::{arguments, border, json};

/// A failure on its way to Python: the core's, or Python's own.
pub enum Fault {
    /// To be raised as a `WebhookMtlsError`.
    Core(Error),
    /// To be raised as it is.
    Python(PyErr),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Python(error) => error,
            Fault::Core(error) => Python::attach(|py| {
                exception(py, &error).map_or_else(|broken| broken, PyErr::from_value)
            }),
        }
    }
}

/// The exception that stands for an error.
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
    class.get_or_try_init(import)?.bind(py).call1((json::to_python(py, &error.to_json())?,))
}

/// The error that an exception's fields describe.
pub fn read(name: &str, fields: &Bound<'_, PyAny>) -> Result<Error, Fault> {
    json::from_python(fields)
        .as_ref()
        .and_then(Error::from_json)
        .ok_or_else(|| arguments::wrong_type(name, "the fields of a WebhookMtlsError", fields))
}

/// The part of an error that may be shown to the consumer, from the error's fields.
#[pyfunction(name = "_public")]
pub fn public<'py>(fields: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, Fault> {
    border::guard(|| Ok(json::to_python(fields.py(), &read("fields", fields)?.public())?))
}

/// A well-formed exception of a kind, with fields that differ from the table's defaults.
#[pyfunction(name = "_make_error")]
pub fn make_error<'py>(
    kind: &Bound<'py, PyAny>,
    fields: &Bound<'py, PyDict>,
) -> Result<Bound<'py, PyAny>, Fault> {
    border::guard(|| {
        let known = arguments::text("kind", kind)?;
        let known = Kind::from_name(&known).ok_or_else(|| {
            Error::wrong_type("kind", "the name of an error kind", "another text")
        })?;
        let mut described = testing::error(known).to_json();
        for (name, value) in fields {
            let name = arguments::text("field", &name)?;
            let known = described.get_mut(&name).filter(|_| name != "kind" && name != "number");
            let value = json::from_python(&value);
            match (known, value) {
                (Some(known), Some(value)) => *known = value,
                _ => return Err(Error::unknown_name(&name, "a field of an error").into()),
            }
        }
        let made = Error::from_json(&described)
            .ok_or_else(|| Error::wrong_type("fields", "the words of an error", "others"))?;
        Ok(exception(kind.py(), &made)?)
    })
}

/// The core's tables of kinds, words and options.
#[pyfunction(name = "_tables")]
pub fn tables(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let tables: Value = webhook_mtls::options::tables();
    json::to_python(py, &tables)
}
