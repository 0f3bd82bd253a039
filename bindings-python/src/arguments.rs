//! Conversion of Python values to the core's types. A value that cannot be converted is
//! `option_invalid`, never a bare `TypeError`. An error names the type of the value, never the
//! value.

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
use webhook_mtls::bindings::limits::{self, Limit, Tally};

use crate::error::BindingError;
use crate::json;

/// Makes the error of an argument that has the wrong type.
pub fn wrong_type(name: &str, expected: &str, value: &Bound<'_, PyAny>) -> BindingError {
    Error::wrong_type(name, expected, &type_name(value)).into()
}

/// Returns the name of a value's type.
fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string())
}

/// Fails if a keyword is unknown.
///
/// * `known`: the keywords of the function, for the message.
pub fn reject_unknown(
    unknown: Option<&Bound<'_, PyDict>>,
    known: &str,
) -> Result<(), BindingError> {
    match unknown.and_then(|unknown| unknown.keys().into_iter().next()) {
        None => Ok(()),
        Some(name) => {
            let name = text("keyword", &name)?;
            Err(Error::unknown_name(&name, &format!("one of {known}")).into())
        }
    }
}

/// Returns the Rust object behind an instance of one of our classes.
pub fn noun<'a, T>(
    name: &str,
    expected: &str,
    value: &'a Bound<'_, PyAny>,
) -> Result<&'a T, BindingError>
where
    T: PyClass<Frozen = True> + Sync,
{
    value.cast::<T>().map(Bound::get).map_err(|_| wrong_type(name, expected, value))
}

/// Reads a str.
pub fn text(name: &str, value: &Bound<'_, PyAny>) -> Result<String, BindingError> {
    let text = value.cast::<PyString>().map_err(|_| wrong_type(name, "a str", value))?;
    let limit = Limit::text(name);
    // The number of characters is known at once, and is at most the number of bytes.
    limit.check(text.len()?)?;
    // A str with lone surrogates, as in a file name that is not UTF-8, has no UTF-8 form.
    let text =
        text.to_str().map_err(|_| Error::wrong_type(name, "valid Unicode", "lone surrogates"))?;
    limit.check(text.len())?;
    Ok(text.to_owned())
}

/// Reads an iterable of str. Rejects a single str, because it would be read as its characters.
pub fn texts(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<String>, BindingError> {
    let expected = "a sequence of str";
    if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
        return Err(wrong_type(name, expected, value));
    }
    let mut tally = Tally::new(Limit::text(name));
    let mut texts = Vec::new();
    for (at, value) in value.try_iter().map_err(|_| wrong_type(name, expected, value))?.enumerate()
    {
        let value = value?;
        if !value.is_instance_of::<PyString>() {
            return Err(Error::wrong_item(name, at + 1, "a str", &type_name(&value)).into());
        }
        let text = text(name, &value)?;
        tally.add(text.len())?;
        texts.push(text);
    }
    Ok(texts)
}

/// Reads a mapping of str to str.
pub fn pairs(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<(String, String)>, BindingError> {
    let mapping =
        value.cast::<PyMapping>().map_err(|_| wrong_type(name, "a dict of str to str", value))?;
    let limit = Limit::text(name);
    limit.check_list(mapping.len()?, 0)?;
    let mut tally = Tally::new(limit);
    let mut pairs = Vec::new();
    // Item by item: a list of all items would copy a mapping of any length.
    for item in mapping.call_method0("items")?.try_iter()? {
        let item = item?.cast_into::<PyTuple>().map_err(PyErr::from)?;
        let (key, value) = (text(name, &item.get_item(0)?)?, item.get_item(1)?);
        if !value.is_instance_of::<PyString>() {
            return Err(Error::wrong_value(name, &key, "a str", &type_name(&value)).into());
        }
        let pair = (key, text(name, &value)?);
        tally.add(pair.0.len() + pair.1.len())?;
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Reads a dict of JSON values as JSON text.
pub fn json_text(name: &str, value: &Bound<'_, PyAny>) -> Result<String, BindingError> {
    let fault = || wrong_type(name, "a dict of JSON values", value);
    let json = if value.is_instance_of::<PyDict>() { json::from_python(value) } else { None };
    Ok(json.ok_or_else(fault)?.to_string())
}

/// Reads a merged status as JSON text: the dict of `merge`, or its text from a store.
pub fn merged_status(name: &str, value: &Bound<'_, PyAny>) -> Result<String, BindingError> {
    if value.is_instance_of::<PyString>() {
        return text(name, value);
    }
    let fault = || wrong_type(name, "the dict of a merged status, or its JSON text", value);
    let is_dict = value.is_instance_of::<PyDict>();
    let json = if is_dict { json::from_python_within(value, limits::LIST) } else { None };
    Ok(json.ok_or_else(fault)?.to_string())
}

/// The names and values of headers, in order.
pub type HeaderPairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads the headers of a request: a mapping, or an iterable of pairs, in which a name may occur more
/// than once. Names and values are str or bytes.
pub fn header_pairs(name: &str, value: &Bound<'_, PyAny>) -> Result<HeaderPairs, BindingError> {
    let expected = "a mapping, or a sequence of pairs of str or bytes";
    let fault = || wrong_type(name, expected, value);
    let items = match value.cast::<PyMapping>() {
        Ok(mapping) => mapping.call_method0("items")?,
        Err(_) => value.clone(),
    };
    let mut tally = Tally::new(Limit::text(name));
    let mut pairs = Vec::new();
    for pair in items.try_iter().map_err(|_| fault())? {
        let pair = pair?;
        let (header, value) = pair
            .extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()
            .map_err(|_| wrong_type(name, expected, &pair))?;
        let pair = (header_part(name, &header)?, header_part(name, &value)?);
        tally.add(pair.0.len() + pair.1.len())?;
        pairs.push(pair);
    }
    Ok(pairs)
}

fn header_part(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<u8>, BindingError> {
    if let Ok(text) = value.cast::<PyString>() {
        Limit::text(name).check(text.len()?)?;
        // WSGI decodes headers as Latin-1. Only ASCII is valid in those that are checked.
        return Ok(text.to_string_lossy().as_bytes().to_vec());
    }
    bytes(name, value, Limit::text(name))
}

/// Copies a bytes-like object. The caller may change its buffer once the call has returned.
///
/// * `limit`: the greatest length, checked before the copy.
pub fn bytes(
    name: &str,
    value: &Bound<'_, PyAny>,
    limit: Limit<'_>,
) -> Result<Vec<u8>, BindingError> {
    let buffer = buffer(name, value)?;
    let mut bytes = limit.room(buffer.item_count())?;
    bytes.resize(buffer.item_count(), 0);
    buffer.copy_to_slice(value.py(), &mut bytes)?;
    Ok(bytes)
}

/// Copies PEM, DER or PKCS#12.
pub fn material(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<u8>, BindingError> {
    bytes(name, value, Limit::material(name))
}

/// Returns whether a value is bytes-like, of any length.
pub fn is_bytes(value: &Bound<'_, PyAny>) -> bool {
    PyBuffer::<u8>::get(value).is_ok()
}

/// Copies an iterable of bytes-like objects. Rejects a single one, because it would be read as its
/// integers.
pub fn bytes_list(
    name: &str,
    value: &Bound<'_, PyAny>,
    limit: Limit<'_>,
) -> Result<Vec<Vec<u8>>, BindingError> {
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

/// Reads a payload. A `bytes` object is immutable, so it is referenced instead of copied, and the
/// deliveries of a fan-out share it.
pub fn body(value: &Bound<'_, PyAny>) -> Result<Bytes, BindingError> {
    match value.cast::<PyBytes>() {
        Ok(fixed) => {
            Limit::body().check(fixed.as_bytes().len())?;
            Ok(Bytes::from_owner(PyBackedBytes::from(fixed.clone())))
        }
        Err(_) => bytes("body", value, Limit::body()).map(Bytes::from),
    }
}

fn buffer(name: &str, value: &Bound<'_, PyAny>) -> Result<PyBuffer<u8>, BindingError> {
    PyBuffer::<u8>::get(value).map_err(|error| {
        let expected = "bytes, bytearray or memoryview";
        // Only a released memoryview raises ValueError here.
        if error.is_instance_of::<PyValueError>(value.py()) {
            Error::wrong_type(name, expected, "a released memoryview").into()
        } else {
            wrong_type(name, expected, value)
        }
    })
}

/// Reads a path: a str or an os.PathLike.
pub fn path(name: &str, value: &Bound<'_, PyAny>) -> Result<PathBuf, BindingError> {
    let fault = || wrong_type(name, "a str or os.PathLike", value);
    let text = if value.is_instance_of::<PyString>() {
        value.clone()
    } else {
        value.call_method0("__fspath__").map_err(|_| fault())?
    };
    Limit::text(name).check(text.cast::<PyString>().map_err(|_| fault())?.len()?)?;
    text.extract().map_err(|_| fault())
}

/// Reads a duration, seconds or a timedelta, as milliseconds. The core checks its range.
pub fn millis(name: &str, value: &Bound<'_, PyAny>) -> Result<f64, BindingError> {
    if let Ok(delta) = value.cast::<PyDelta>() {
        let seconds = f64::from(delta.get_days()) * 86_400.0 + f64::from(delta.get_seconds());
        return Ok(seconds * 1e3 + f64::from(delta.get_microseconds()) / 1e3);
    }
    number(value)
        .map(|seconds| seconds * 1e3)
        .ok_or_else(|| wrong_type(name, "seconds as a number, or a timedelta", value))
}

/// Reads an int or a float. Rejects a bool: `timeout=True` would be one second.
pub fn number(value: &Bound<'_, PyAny>) -> Option<f64> {
    let is_number = value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>();
    if !is_number || value.is_instance_of::<PyBool>() {
        return None;
    }
    // An int beyond the range of a float is read as infinity, which the core rejects.
    Some(value.extract().unwrap_or(f64::INFINITY))
}

/// Reads a bool. Rejects other values, even if they are true in a condition.
pub fn flag(name: &str, value: &Bound<'_, PyAny>) -> Result<bool, BindingError> {
    Ok(value.cast::<PyBool>().map_err(|_| wrong_type(name, "a bool", value))?.is_true())
}

/// Reads a duration that is not an option of the core, and checks that it is finite and not
/// negative.
pub fn duration(name: &str, value: &Bound<'_, PyAny>) -> Result<Duration, BindingError> {
    Duration::try_from_secs_f64(millis(name, value)? / 1e3)
        .map_err(|_| Error::wrong_type(name, "a duration of 0 or more", "another number").into())
}

/// Reads an int that is not negative.
pub fn count(name: &str, value: &Bound<'_, PyAny>) -> Result<u32, BindingError> {
    let whole = value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>();
    let count = if whole { value.extract().ok() } else { None };
    count.ok_or_else(|| wrong_type(name, "an int that is not negative", value))
}

/// Reads an aware datetime. Rejects a naive one, because its meaning depends on the machine's time
/// zone.
pub fn instant(name: &str, value: &Bound<'_, PyAny>) -> Result<SystemTime, BindingError> {
    let expected = "an aware datetime";
    if !value.is_instance_of::<PyDateTime>() {
        return Err(wrong_type(name, expected, value));
    }
    if value.call_method0("utcoffset")?.is_none() {
        return Err(Error::wrong_type(name, expected, "a naive datetime").into());
    }
    let seconds: f64 = value.call_method0("timestamp")?.extract()?;
    let distance = Duration::try_from_secs_f64(seconds.abs()).unwrap_or(Duration::MAX);
    let instant = if seconds < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    instant.ok_or_else(|| wrong_type(name, "a datetime in the range of the system clock", value))
}

/// Makes an aware datetime in UTC.
pub fn datetime(py: Python<'_>, instant: SystemTime) -> PyResult<Bound<'_, PyAny>> {
    let seconds = match instant.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    };
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    // Not `fromtimestamp`, which is limited to the range of the C library's time_t.
    let epoch = module.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
    epoch.add(PyDelta::new(py, 0, 0, 0, true)?.getattr("__class__")?.call1((0, seconds))?)
}
