//! Exceptions for tests of error handling.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::{Error, Kind, testing};
use webhook_mtls_python::arguments::text;
use webhook_mtls_python::boundary::guard;
use webhook_mtls_python::error::{BindingError, exception};
use webhook_mtls_python::json;

/// Makes an exception of a kind, with fields that replace the defaults of the table.
#[pyfunction(name = "_make_error")]
pub fn make_error<'py>(
    kind: &Bound<'py, PyAny>,
    fields: &Bound<'py, PyDict>,
) -> Result<Bound<'py, PyAny>, BindingError> {
    guard(|| {
        let known = text("kind", kind)?;
        let known = Kind::from_name(&known).ok_or_else(|| {
            Error::wrong_type("kind", "the name of an error kind", "another text")
        })?;
        let mut described = testing::error(known).to_json();
        for (name, value) in fields {
            let name = text("field", &name)?;
            let known = described.get_mut(&name).filter(|_| name != "kind" && name != "number");
            let value = json::from_python(&value);
            match (known, value) {
                (Some(known), Some(value)) => *known = value,
                _ => return Err(Error::unknown_name(&name, "a field of an error").into()),
            }
        }
        let made = Error::from_json(&described).ok_or_else(|| {
            Error::wrong_type("fields", "valid values of an error's fields", "other values")
        })?;
        Ok(exception(kind.py(), &made)?)
    })
}
