//! Copies and pickles of values. A value is rebuilt by the constructor that made it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple, PyType};
use serde_json::Value;
use webhook_mtls::bindings::{Argument, Recipe};

use crate::json;

/// The value of `__reduce__`: a function and its arguments.
pub type Reduced<'py> = PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)>;

/// Returns the value of `__reduce__`: `_values.rebuild` and its arguments.
///
/// * `secret`: what to do instead, for a value whose pickle would contain a secret.
pub fn reduce<'py>(
    class: &Bound<'py, PyType>,
    recipe: Option<Recipe>,
    secret: &str,
) -> Reduced<'py> {
    let py = class.py();
    let recipe = recipe.ok_or_else(|| PyTypeError::new_err(secret.to_owned()))?;
    let keywords = PyDict::new(py);
    for (name, argument) in recipe.arguments {
        keywords.set_item(name, python(py, argument)?)?;
    }
    let constructor = Some(recipe.constructor).filter(|name| *name != "new");
    let arguments = (class, constructor, keywords).into_pyobject(py)?;
    Ok((py.import("webhook_mtls._values")?.getattr("rebuild")?, arguments))
}

/// Returns the call that makes the value, as Python writes it.
///
/// * `recipe`: of a value without secrets.
pub fn shown(py: Python<'_>, class: &str, recipe: Option<Recipe>) -> PyResult<String> {
    let recipe = recipe.ok_or_else(|| PyTypeError::new_err("the value has no recipe"))?;
    let mut arguments = Vec::new();
    for (name, argument) in recipe.arguments {
        arguments.push(format!("{name}={}", python(py, argument)?.repr()?));
    }
    let constructor = match recipe.constructor {
        "new" => String::new(),
        name => format!(".{name}"),
    };
    Ok(format!("{class}{constructor}({})", arguments.join(", ")))
}

/// A value of the core, or the JSON form of one that was unpickled.
pub enum Made<T> {
    /// The object itself.
    Live(T),
    /// The JSON form, from which it is rebuilt.
    Rebuilt(Value),
}

impl<T> Made<T> {
    /// Reads the JSON form of a value that was unpickled.
    pub fn rebuilt(fields: &Bound<'_, PyAny>) -> PyResult<Self> {
        let fields = json::from_python(fields).filter(Value::is_object);
        let fault = || PyTypeError::new_err("a pickled value is made of the dict of to_dict()");
        Ok(Self::Rebuilt(fields.ok_or_else(fault)?))
    }

    /// Reads a fact from the value, or from its JSON form.
    pub fn get<'a, F>(
        &'a self,
        live: impl FnOnce(&'a T) -> F,
        rebuilt: impl FnOnce(&'a Value) -> F,
    ) -> F {
        match self {
            Self::Live(value) => live(value),
            Self::Rebuilt(fields) => rebuilt(fields),
        }
    }
}

/// Returns the value of `__reduce__` for a value that its JSON form rebuilds.
pub fn reduce_fields<'py>(class: &Bound<'py, PyType>, fields: &Value) -> Reduced<'py> {
    let py = class.py();
    let keywords = PyDict::new(py);
    keywords.set_item("fields", json::to_python(py, fields)?)?;
    let arguments = (class, "_rebuilt", keywords).into_pyobject(py)?;
    Ok((py.import("webhook_mtls._values")?.getattr("rebuild")?, arguments))
}

/// Makes the error of a value that cannot be pickled.
pub fn not_pickled(why: &str) -> PyErr {
    PyTypeError::new_err(why.to_owned())
}

/// Hashes a JSON form.
pub fn hash(fields: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    fields.to_string().hash(&mut hasher);
    hasher.finish()
}

fn python(py: Python<'_>, argument: Argument) -> PyResult<Bound<'_, PyAny>> {
    Ok(match argument {
        Argument::Text(text) => text.into_pyobject(py)?.into_any(),
        Argument::Texts(texts) => PyList::new(py, texts)?.into_any(),
        // A str and not a pathlib.Path: a repr shows it as it was written.
        Argument::Path(path) => path.into_os_string().into_pyobject(py)?.into_any(),
        Argument::Bytes(bytes) => PyBytes::new(py, &bytes).into_any(),
        Argument::BytesList(list) => {
            PyList::new(py, list.iter().map(|bytes| PyBytes::new(py, bytes)))?.into_any()
        }
        Argument::Integer(number) => number.into_pyobject(py)?.into_any(),
        Argument::Duration(duration) => duration.as_secs_f64().into_pyobject(py)?.into_any(),
    })
}
