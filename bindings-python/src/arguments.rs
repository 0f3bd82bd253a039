//! Python's values as the core's. What cannot be read is `option_invalid`, never a bare `TypeError`,
//! and an error names the type that was given, never the value.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pyo3::PyClass;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::{PyBool, PyBytes, PyDateTime, PyDelta, PyDeltaAccess, PyDict, PyFloat, PyInt};
use pyo3::types::{PyMapping, PyString, PyTuple};
use webhook_mtls::Error;
use webhook_mtls::limits::{Limit, Tally};

use crate::error::Fault;

/// The error about an argument that has the wrong type.
pub fn wrong_type(name: &str, expected: &str, value: &Bound<'_, PyAny>) -> Fault {
    let seen =
        value.get_type().name().map_or_else(|_| "another".to_owned(), |name| name.to_string());
    Error::wrong_type(name, expected, &seen).into()
}

/// Refuses keywords that a function does not have.
///
/// * `known`: those that it has.
pub fn refuse_unknown(unknown: Option<&Bound<'_, PyDict>>, known: &str) -> Result<(), Fault> {
    match unknown.and_then(|unknown| unknown.keys().into_iter().next()) {
        None => Ok(()),
        Some(name) => {
            let name = text("keyword", &name)?;
            Err(Error::unknown_name(&name, &format!("one of {known}")).into())
        }
    }
}

/// An object of one of our own classes.
pub fn noun<'a, T>(name: &str, expected: &str, value: &'a Bound<'_, PyAny>) -> Result<&'a T, Fault>
where
    T: PyClass<Frozen = True> + Sync,
{
    value.cast::<T>().map(Bound::get).map_err(|_| wrong_type(name, expected, value))
}

/// A text.
pub fn text(name: &str, value: &Bound<'_, PyAny>) -> Result<String, Fault> {
    let text = value.cast::<PyString>().map_err(|_| wrong_type(name, "a str", value))?;
    let limit = Limit::text(name);
    // Its letters are counted at once, and are no more than its bytes.
    limit.check(text.len()?)?;
    // The one str that is no text: lone surrogates, as in file names that were not UTF-8.
    let text =
        text.to_str().map_err(|_| Error::wrong_type(name, "valid Unicode", "lone surrogates"))?;
    limit.check(text.len())?;
    Ok(text.to_owned())
}

/// Several texts. One text alone is refused: it would be taken for its letters.
pub fn texts(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<String>, Fault> {
    let expected = "a sequence of str";
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return Err(wrong_type(name, expected, value));
    }
    let mut tally = Tally::new(Limit::text(name));
    let mut texts = Vec::new();
    for value in value.try_iter().map_err(|_| wrong_type(name, expected, value))? {
        let text = text(name, &value?)?;
        tally.add(text.len())?;
        texts.push(text);
    }
    Ok(texts)
}

/// Names with texts.
pub fn pairs(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<(String, String)>, Fault> {
    let mapping = value
        .cast::<PyMapping>()
        .map_err(|_| wrong_type(name, "a mapping of str to str", value))?;
    let limit = Limit::text(name);
    limit.check_list(mapping.len()?, 0)?;
    let mut tally = Tally::new(limit);
    let mut pairs = Vec::new();
    // One after the other: a list of all would be made whole, however long it is.
    for item in mapping.call_method0("items")?.try_iter()? {
        let item = item?.cast_into::<PyTuple>().map_err(PyErr::from)?;
        let pair = (text(name, &item.get_item(0)?)?, text(name, &item.get_item(1)?)?);
        tally.add(pair.0.len() + pair.1.len())?;
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Bytes, copied: the caller may change its buffer as soon as the call returns.
///
/// * `limit`: how many there may be, which is judged before they are copied.
pub fn bytes(name: &str, value: &Bound<'_, PyAny>, limit: Limit<'_>) -> Result<Vec<u8>, Fault> {
    let buffer = buffer(name, value)?;
    let mut bytes = limit.room(buffer.item_count())?;
    bytes.resize(buffer.item_count(), 0);
    buffer.copy_to_slice(value.py(), &mut bytes)?;
    Ok(bytes)
}

/// PEM, DER or PKCS#12, copied.
pub fn material(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<u8>, Fault> {
    bytes(name, value, Limit::material(name))
}

/// Whether a value is bytes-like, whatever its length.
pub fn is_bytes(value: &Bound<'_, PyAny>) -> bool {
    PyBuffer::<u8>::get(value).is_ok()
}

/// Several bytes-like objects. One alone is refused: it would be taken for its numbers.
pub fn many(name: &str, value: &Bound<'_, PyAny>, limit: Limit<'_>) -> Result<Vec<Vec<u8>>, Fault> {
    let expected = "a sequence of bytes";
    if is_bytes(value) {
        return Err(Error::wrong_type(name, expected, "bytes").into());
    }
    let mut tally = Tally::new(limit);
    let mut several = Vec::new();
    for value in value.try_iter().map_err(|_| wrong_type(name, expected, value))? {
        let value = value?;
        tally.add(buffer(name, &value)?.item_count())?;
        several.push(bytes(name, &value, limit)?);
    }
    Ok(several)
}

/// A payload. What cannot change is kept alive instead of copied, so a fan-out shares it.
pub fn body(value: &Bound<'_, PyAny>) -> Result<Bytes, Fault> {
    match value.cast::<PyBytes>() {
        Ok(fixed) => {
            Limit::body().check(fixed.as_bytes().len())?;
            Ok(Bytes::from_owner(PyBackedBytes::from(fixed.clone())))
        }
        Err(_) => bytes("body", value, Limit::body()).map(Bytes::from),
    }
}

fn buffer(name: &str, value: &Bound<'_, PyAny>) -> Result<PyBuffer<u8>, Fault> {
    PyBuffer::<u8>::get(value).map_err(|error| {
        let expected = "bytes, bytearray or memoryview";
        // The one bytes-like object that says so by this class: a memoryview that was released.
        if error.is_instance_of::<PyValueError>(value.py()) {
            Error::wrong_type(name, expected, "a released memoryview").into()
        } else {
            wrong_type(name, expected, value)
        }
    })
}

/// A path of a file.
pub fn path(name: &str, value: &Bound<'_, PyAny>) -> Result<PathBuf, Fault> {
    let fault = || wrong_type(name, "a str or os.PathLike", value);
    let text = if value.is_instance_of::<PyString>() {
        value.clone()
    } else {
        value.call_method0("__fspath__").map_err(|_| fault())?
    };
    Limit::text(name).check(text.cast::<PyString>().map_err(|_| fault())?.len()?)?;
    text.extract().map_err(|_| fault())
}

/// A duration in milliseconds, from seconds or a timedelta. The core judges its size.
pub fn millis(name: &str, value: &Bound<'_, PyAny>) -> Result<f64, Fault> {
    if let Ok(delta) = value.cast::<PyDelta>() {
        let seconds = f64::from(delta.get_days()) * 86_400.0 + f64::from(delta.get_seconds());
        return Ok(seconds * 1e3 + f64::from(delta.get_microseconds()) / 1e3);
    }
    number(value)
        .map(|seconds| seconds * 1e3)
        .ok_or_else(|| wrong_type(name, "seconds as a number, or a timedelta", value))
}

/// A number. A bool is none: `timeout=True` would be a second.
pub fn number(value: &Bound<'_, PyAny>) -> Option<f64> {
    let is_number = value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>();
    if !is_number || value.is_instance_of::<PyBool>() {
        return None;
    }
    // An int beyond any float is as good as infinite, and refused as such.
    Some(value.extract().unwrap_or(f64::INFINITY))
}

/// A bool, and nothing that is merely true.
pub fn flag(name: &str, value: &Bound<'_, PyAny>) -> Result<bool, Fault> {
    Ok(value.cast::<PyBool>().map_err(|_| wrong_type(name, "a bool", value))?.is_true())
}

/// A duration where there is no option for the core to judge.
pub fn duration(name: &str, value: &Bound<'_, PyAny>) -> Result<Duration, Fault> {
    Duration::try_from_secs_f64(millis(name, value)? / 1e3)
        .map_err(|_| Error::wrong_type(name, "finite and not negative", "this").into())
}

/// A number of times, or which time it is.
pub fn count(name: &str, value: &Bound<'_, PyAny>) -> Result<u32, Fault> {
    let whole = value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>();
    let count = if whole { value.extract().ok() } else { None };
    count.ok_or_else(|| wrong_type(name, "an int that is not negative", value))
}

/// An instant. A naive datetime is refused: it names another instant on every machine.
pub fn instant(name: &str, value: &Bound<'_, PyAny>) -> Result<SystemTime, Fault> {
    let expected = "an aware datetime";
    if !value.is_instance_of::<PyDateTime>() {
        return Err(wrong_type(name, expected, value));
    }
    if value.call_method0("utcoffset")?.is_none() {
        return Err(Error::wrong_type(name, expected, "a naive one").into());
    }
    let seconds: f64 = value.call_method0("timestamp")?.extract()?;
    let distance = Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX);
    let instant = if seconds < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    instant.ok_or_else(|| wrong_type(name, "an instant of this era", value))
}

/// An instant as an aware datetime in UTC.
pub fn datetime(py: Python<'_>, instant: SystemTime) -> PyResult<Bound<'_, PyAny>> {
    let seconds = match instant.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    };
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    // Not fromtimestamp, which the C library's time_t bounds.
    let epoch = module.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
    epoch.add(PyDelta::new(py, 0, 0, 0, true)?.getattr("__class__")?.call1((0, seconds))?)
}
