//! Conversion between JSON values and Python objects.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Value};
use webhook_mtls::bindings::limits;
use webhook_mtls::dispatcher::LogRecord;

/// The greatest depth. It exceeds the depth of every error, and limits the recursion on untrusted
/// input.
const MAX_DEPTH: usize = 32;

/// Returns the JSON of a receipt, a probe or an error as a dict: the whole, or its log record.
pub fn full_or_log_record<'py>(
    py: Python<'py>,
    json: &Value,
    full: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let record = if full { None } else { LogRecord::of_json(json) };
    to_python(py, record.map(|record| record.to_json()).as_ref().unwrap_or(json))
}

/// Converts a JSON value to a dict, list, str, number, bool or None.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => whole.into_pyobject(py)?.into_any(),
            (None, Some(whole)) => whole.into_pyobject(py)?.into_any(),
            (None, None) => PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(to_python(py, value)?)?;
            }
            list.into_any()
        }
        Value::Object(fields) => {
            let dict = PyDict::new(py);
            for (name, value) in fields {
                dict.set_item(name, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

/// Reads a text of a JSON form of the core; empty if it is another value.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Reads a list of texts.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|value| text(value).to_owned()).collect()
}

/// Reads a whole number.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// Reads milliseconds as seconds.
pub fn seconds(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default() / 1000.0
}

/// Reads an instant in Unix milliseconds.
pub fn instant(value: &Value) -> SystemTime {
    let millis = value.as_i64().unwrap_or_default();
    let distance = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// Converts a Python object to a JSON value. Returns `None` if it has no JSON form, or exceeds the
/// size limit of an error.
pub fn from_python(value: &Bound<'_, PyAny>) -> Option<Value> {
    from_python_within(value, limits::ERROR)
}

/// As [`from_python`], with another limit.
///
/// * `room`: the number of bytes that may be read.
pub fn from_python_within(value: &Bound<'_, PyAny>, room: usize) -> Option<Value> {
    JsonReader { room }.value(value, MAX_DEPTH)
}

/// A reader of untrusted Python objects, with a size limit.
struct JsonReader {
    /// The number of bytes that may still be read.
    room: usize,
}

impl JsonReader {
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.take(1)?;
        if value.is_none() {
            Some(Value::Null)
        } else if let Ok(flag) = value.cast::<PyBool>() {
            Some(Value::Bool(flag.is_true()))
        } else if value.is_instance_of::<PyInt>() {
            let whole = value.extract::<i64>().map(Value::from);
            whole.or_else(|_| value.extract::<u64>().map(Value::from)).ok()
        } else if let Ok(number) = value.cast::<PyFloat>() {
            serde_json::Number::from_f64(number.value()).map(Value::Number)
        } else if value.is_instance_of::<PyString>() {
            self.text(value).map(Value::String)
        } else if let Ok(dict) = value.cast::<PyDict>() {
            let mut fields = Map::new();
            for (name, value) in dict {
                fields.insert(self.text(&name)?, self.value(&value, depth)?);
            }
            Some(Value::Object(fields))
        } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            let values = value.try_iter().ok()?;
            let read = values.map(|value| self.value(&value.ok()?, depth));
            read.collect::<Option<_>>().map(Value::Array)
        } else {
            None
        }
    }

    fn text(&mut self, value: &Bound<'_, PyAny>) -> Option<String> {
        let text = value.cast::<PyString>().ok()?;
        // Check the number of characters first, which Python knows. `to_str` may allocate the UTF-8
        // form.
        self.room.checked_sub(text.len().ok()?)?;
        let text = text.to_str().ok()?;
        self.take(text.len())?;
        Some(text.to_owned())
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.room = self.room.checked_sub(bytes)?;
        Some(())
    }
}
