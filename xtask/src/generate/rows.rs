//! The tables of the core, read from their JSON.

use serde_json::Value;

use crate::command::{Failure, Result, Step};
use crate::languages::rust;

/// A row of the table of options.
#[derive(Clone)]
pub(crate) struct OptionRow {
    pub(crate) of: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    /// The enum of its possible values; empty if there is none.
    pub(crate) words: String,
    pub(crate) default: String,
    pub(crate) doc: String,
}

/// An enum: its name, its meaning, and its values.
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) values: Vec<EnumValue>,
}

/// A value of an enum.
pub(crate) struct EnumValue {
    pub(crate) name: String,
    pub(crate) number: u64,
    pub(crate) doc: String,
}

/// The tables that the generators read.
pub(crate) struct Tables {
    pub(crate) json: Value,
    pub(crate) options: Vec<OptionRow>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) kinds: Vec<String>,
}

impl Tables {
    /// Builds the core and asks it.
    pub(crate) fn of_core() -> Result<Tables> {
        let output = Step::new("tables of core", rust::test_program("tables")?).run()?;
        let json = serde_json::from_str(&output.stdout).map_err(|error| {
            Failure::with_output(format!("the tables are not JSON: {error}"), output.all)
        })?;
        Tables::read(json)
    }

    /// Reads the JSON of the tables.
    pub(crate) fn read(json: Value) -> Result<Tables> {
        let options = list(&json, &["options"])?.iter().map(|row| {
            let text = |name| field(row, name).map(str::to_owned);
            Ok(OptionRow {
                of: text("of")?,
                name: text("name")?,
                kind: text("kind")?,
                words: text("words")?,
                default: text("default")?,
                doc: text("doc")?,
            })
        });
        let options = options.collect::<Result<Vec<_>>>()?;
        let enums = list(&json, &["enums"])?.iter().map(|row| {
            let values = list(row, &["values"])?.iter().map(|value| {
                Ok(EnumValue {
                    name: field(value, "name")?.to_owned(),
                    number: number(value)?,
                    doc: field(value, "doc")?.to_owned(),
                })
            });
            Ok(Enum {
                name: field(row, "name")?.to_owned(),
                doc: field(row, "doc")?.to_owned(),
                values: values.collect::<Result<_>>()?,
            })
        });
        let enums = enums.collect::<Result<Vec<_>>>()?;
        let kinds = list(&json, &["kinds"])?.iter();
        let kinds =
            kinds.map(|kind| field(kind, "name").map(str::to_owned)).collect::<Result<_>>()?;
        Ok(Tables { json, options, enums, kinds })
    }

    /// Returns the enum with this name.
    pub(crate) fn words(&self, name: &str) -> Result<&Enum> {
        let found = self.enums.iter().find(|words| words.name == name);
        found.ok_or_else(|| Failure::new(format!("the tables have no enum {name}")))
    }

    /// Returns the options of a noun. `one_shot` has those of a delivery without a dispatcher: a
    /// name that several nouns have means the most specific of them, and the material is required.
    pub(crate) fn of(&self, noun: &str) -> Result<Vec<OptionRow>> {
        let rows = |noun: &str| -> Vec<OptionRow> {
            self.options.iter().filter(|row| row.of == noun).cloned().collect()
        };
        if noun != "one_shot" {
            let found = rows(noun);
            let missing = || Failure::new(format!("the tables have no options of {noun}"));
            return if found.is_empty() { Err(missing()) } else { Ok(found) };
        }
        let mut found: Vec<OptionRow> = Vec::new();
        for mut row in ["deliver", "endpoint", "dispatcher"].into_iter().flat_map(rows) {
            if found.iter().any(|known| known.name == row.name) {
                continue;
            }
            if ["identity", "trust"].contains(&row.name.as_str()) {
                "required".clone_into(&mut row.default);
            }
            found.push(row);
        }
        Ok(found)
    }
}

impl OptionRow {
    pub(crate) fn is_required(&self) -> bool {
        self.default == "required"
    }

    pub(crate) fn is_duration(&self) -> bool {
        self.kind == "duration"
    }

    /// Returns whether the default is a literal text, which pages show in a code font.
    pub(crate) fn is_quoted(&self) -> bool {
        let is_text = ["text", "egress", "role"].contains(&self.kind.as_str());
        is_text && !self.default.contains(' ')
    }

    /// Returns the name in JavaScript. A duration has its unit as a suffix.
    pub(crate) fn camel_case(&self) -> String {
        let mut words = pascal(&self.name);
        words[..1].make_ascii_lowercase();
        if self.is_duration() { words + "Ms" } else { words }
    }
}

/// Converts `pin_mismatch` to `PinMismatch`.
pub(crate) fn pascal(name: &str) -> String {
    let mut text = String::new();
    for word in name.split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        text.push_str(&first.to_uppercase());
        text.push_str(rest);
    }
    text
}

/// Returns a list that must not be empty.
pub(crate) fn list<'a>(tables: &'a Value, path: &[&str]) -> Result<&'a Vec<Value>> {
    path.iter()
        .fold(tables, |value, key| &value[*key])
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| Failure::new(format!("the tables have no {}", path.join("."))))
}

/// Returns a text of a row.
pub(crate) fn field<'a>(row: &'a Value, name: &str) -> Result<&'a str> {
    row[name].as_str().ok_or_else(|| Failure::new(format!("this row has no {name}: {row}")))
}

/// Returns the number of a kind or of the value of an enum.
pub(crate) fn number(row: &Value) -> Result<u64> {
    row["number"].as_u64().ok_or_else(|| Failure::new(format!("this row has no number: {row}")))
}
