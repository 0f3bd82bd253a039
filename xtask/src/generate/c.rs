//! What C repeats of the core's tables: the constants of the header, the sentences of its setters,
//! and the tables of the C tests.

use std::fmt::Write as _;

use crate::command::{Failure, Result};
use crate::generate::rows::{OptionRow, Tables, field, list, number};
use crate::terminal::wrapped;

const WIDTH: usize = 100;

/// The enums that C has as numbers.
const ENUMS: [&str; 14] = [
    "stage",
    "blame",
    "scope",
    "sent",
    "retry",
    "action",
    "pin",
    "role",
    "circuit_state",
    "log_level",
    "metrics_format",
    "diagnosis_request",
    "addressee",
    "signature_scheme",
];

/// Returns one `#define` for each kind and each value of an enum, with its meaning above it.
pub(crate) fn constants(tables: &Tables) -> Result<String> {
    let mut text = String::from("/* Success. */\n#define WMTLS_OK 0\n");
    for kind in list(&tables.json, &["kinds"])? {
        let name = field(kind, "name")?.to_uppercase();
        define(&mut text, field(kind, "title")?, &name, number(kind)?);
    }
    for name in ENUMS {
        for value in &tables.words(name)?.values {
            let name = format!("{name}_{}", value.name).to_uppercase();
            define(&mut text, &value.doc, &name, value.number);
        }
    }
    Ok(text)
}

/// Returns the macros of the version.
pub(crate) fn version_macros(version: &str) -> String {
    let parts: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    let [major, minor, patch] = parts[..] else {
        return String::new();
    };
    let number = (major * 1000 + minor) * 1000 + patch;
    format!(
        "/* The version of this header. wmtls_version() returns the version of the library. */\n\
         #define WMTLS_VERSION \"{version}\"\n\
         #define WMTLS_VERSION_MAJOR {major}\n\
         #define WMTLS_VERSION_MINOR {minor}\n\
         #define WMTLS_VERSION_PATCH {patch}\n\n\
         /* For comparisons: 0.1.0 is 1000, and 1.2.3 is 1002003. */\n\
         #define WMTLS_VERSION_NUMBER {number}\n"
    )
}

fn define(text: &mut String, meaning: &str, name: &str, number: u64) {
    let meaning = wrapped(&format!("/* {meaning} */"), WIDTH - 3).join("\n   ");
    writeln!(text, "\n{meaning}\n#define WMTLS_{name} {number}").expect("a String grows");
}

/// The first sentences of a setter: `dispatcher.timeout`.
pub(crate) fn setter(tables: &Tables, option: &str) -> Result<Vec<String>> {
    let found = option
        .split_once('.')
        .and_then(|(of, name)| tables.options.iter().find(|row| row.of == of && row.name == name));
    let row = found.ok_or_else(|| Failure::new(format!("the tables have no option {option}")))?;
    let mut doc = row.doc.clone();
    doc[..1].make_ascii_lowercase();
    let text = format!("Sets {doc}{}", default(row));
    Ok(wrapped(&text, WIDTH - 4).iter().map(|line| format!("/// {line}")).collect())
}

fn default(row: &OptionRow) -> String {
    match row.default.as_str() {
        "none" | "required" => String::new(),
        default if row.is_duration() && default.parse::<u64>().is_ok() => {
            format!(" By default {default} milliseconds.")
        }
        default if row.is_quoted() => format!(" By default \"{default}\"."),
        default => format!(" By default {default}."),
    }
}

/// The kinds for `tests/c`, with their constants.
pub(crate) fn kind_table(tables: &Tables) -> Vec<String> {
    let mut lines = vec![
        "static const struct {".to_owned(),
        "    const char *name;".to_owned(),
        "    wmtls_status number;".to_owned(),
        "} KINDS[] = {".to_owned(),
    ];
    for kind in &tables.kinds {
        lines.push(format!("    {{\"{kind}\", WMTLS_{}}},", kind.to_uppercase()));
    }
    lines.push("};".to_owned());
    lines
}

/// The enums that have a name function for `tests/c`.
pub(crate) fn word_tables(tables: &Tables) -> Result<Vec<String>> {
    let mut lines = vec![
        "static const struct {".to_owned(),
        "    const char *(*name_of)(int32_t);".to_owned(),
        "    const char *name;".to_owned(),
        "    int32_t constant;".to_owned(),
        "    int32_t number;".to_owned(),
        "} WORDS[] = {".to_owned(),
    ];
    for name in ENUMS.into_iter().filter(|name| *name != "role") {
        for value in &tables.words(name)?.values {
            let constant = format!("WMTLS_{name}_{}", value.name).to_uppercase();
            let row = format!("\"{}\", {constant}, {}", value.name, value.number);
            lines.push(format!("    {{wmtls_{name}_name, {row}}},"));
        }
    }
    lines.push("};".to_owned());
    Ok(lines)
}

/// The options that C sets by name, for `tests/c`.
pub(crate) fn option_table(tables: &Tables) -> Vec<String> {
    let mut lines = vec![
        "static const struct {".to_owned(),
        "    const char *of;".to_owned(),
        "    const char *name;".to_owned(),
        "    const char *kind;".to_owned(),
        "    const char *word;".to_owned(),
        "} OPTIONS[] = {".to_owned(),
    ];
    for row in &tables.options {
        let words = tables.enums.iter().find(|words| words.name == row.words);
        let word = words.map_or("", |words| words.values[0].name.as_str());
        lines.push(format!(
            "    {{\"{}\", \"{}\", \"{}\", \"{word}\"}},",
            row.of, row.name, row.kind
        ));
    }
    lines.push("};".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::{constants, setter, version_macros};
    use crate::generate::rows::Tables;
    use serde_json::{Value, json};

    fn tables(kinds: Value) -> crate::command::Result<Tables> {
        let value = json!({"name": "one", "number": 1, "doc": "First."});
        let enums: Vec<Value> = super::ENUMS
            .iter()
            .map(|name| json!({"name": name, "doc": "D.", "values": [value.clone()]}))
            .collect();
        let option = json!({"of": "probe", "name": "timeout", "kind": "duration", "words": "",
            "default": "2500", "doc": "The time limit."});
        Tables::read(json!({"kinds": kinds, "enums": enums, "options": [option]}))
    }

    #[test]
    fn each_kind_and_each_value_becomes_a_constant_with_its_number() {
        let kinds = json!([{"name": "url_invalid", "number": 102, "title": "The URL is bad."}]);
        let text = constants(&tables(kinds).unwrap()).unwrap();
        assert!(text.starts_with(
            "/* Success. */\n#define WMTLS_OK 0\n\
             \n/* The URL is bad. */\n#define WMTLS_URL_INVALID 102\n\
             \n/* First. */\n#define WMTLS_STAGE_ONE 1\n"
        ));
    }

    #[test]
    fn the_version_has_a_number_that_grows_with_it() {
        let text = version_macros("1.2.3");
        assert!(text.contains("#define WMTLS_VERSION \"1.2.3\"\n"), "{text}");
        assert!(text.ends_with("#define WMTLS_VERSION_NUMBER 1002003\n"), "{text}");
    }

    #[test]
    fn tables_without_kinds_are_refused() {
        assert!(tables(json!([])).is_err());
        assert!(constants(&tables(json!([{"name": "canceled"}])).unwrap()).is_err());
    }

    #[test]
    fn a_setter_has_the_sentence_of_its_row() {
        let kinds = json!([{"name": "canceled"}]);
        let tables = tables(kinds).unwrap();
        assert_eq!(
            setter(&tables, "probe.timeout").unwrap(),
            ["/// Sets the time limit. By default 2500 milliseconds."]
        );
        assert!(setter(&tables, "probe.tmeout").is_err());
    }
}
