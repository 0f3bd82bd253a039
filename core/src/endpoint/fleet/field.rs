//! The fields of a document that came through a store.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::check_id;

/// A part of a document, with its path for messages.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) path: &'static str,
    pub(super) value: &'a Value,
}

/// Each method fails with an error that names the path and the expected type.
impl<'a> Field<'a> {
    /// * `path`: from the document; its last part is the name of the field.
    pub(super) fn field(&self, path: &'static str) -> Result<Field<'a>, String> {
        let fields = self.object()?;
        let name = path.rsplit('.').next().unwrap_or(path);
        let value = fields.get(name).ok_or_else(|| format!("no field {path}"))?;
        Ok(Field { path, value })
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, String> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    pub(super) fn list(&self) -> Result<&'a Vec<Value>, String> {
        self.value.as_array().ok_or_else(|| self.expected("a list"))
    }

    pub(super) fn text(self) -> Result<String, String> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.expected("a text"))
    }

    /// Reads the name of a process.
    pub(super) fn id(self) -> Result<String, String> {
        let text = self.text()?;
        check_id("process", &text).map_err(|_| "a process whose name is no id".to_owned())?;
        Ok(text)
    }

    /// Reads a list of names.
    ///
    /// * `known`: the names that may be in it.
    pub(super) fn names(self, known: impl Fn(&str) -> bool) -> Result<BTreeSet<String>, String> {
        let name = |value: &Value| Some(value.as_str().filter(|name| known(name))?.to_owned());
        let names: Option<_> = self.list()?.iter().map(name).collect();
        names.ok_or_else(|| self.expected("a list of known names"))
    }

    pub(super) fn integer(self) -> Result<i64, String> {
        self.value.as_i64().ok_or_else(|| self.expected("a whole number"))
    }

    pub(super) fn fraction(self) -> Result<f64, String> {
        let number = self.value.as_f64().filter(|number| (0.0..=1.0).contains(number));
        number.ok_or_else(|| self.expected("a number from 0 to 1"))
    }

    pub(super) fn word<T>(
        self,
        words: impl Iterator<Item = (&'static str, T)>,
    ) -> Result<T, String> {
        let mut known = Vec::new();
        for (word, meaning) in words {
            if self.value == word {
                return Ok(meaning);
            }
            known.push(word);
        }
        Err(self.expected(&format!("one of {}", known.join(", "))))
    }

    pub(super) fn or_null<T>(
        self,
        read: fn(Self) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if self.value.is_null() { Ok(None) } else { read(self).map(Some) }
    }

    pub(super) fn expected(&self, what: &str) -> String {
        format!("{} that is not {what}", self.path)
    }
}
