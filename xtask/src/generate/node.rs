//! What the Node binding repeats of the core's tables: unions, and the properties of options.

use std::fmt::Write as _;

use crate::command::{Failure, Result};
use crate::generate::rows::{OptionRow, Tables, pascal};
use crate::terminal::wrapped;

const WIDTH: usize = 100;

/// The kinds of this version.
pub(crate) fn kinds(tables: &Tables) -> Vec<String> {
    let mut lines = comment("The kinds of failure of this version.", 0);
    lines.extend(union("KnownKind", &tables.kinds));
    lines
}

/// Enums as unions of their names. `pin=PinSlot` gives a name of its own.
pub(crate) fn unions(tables: &Tables, names: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in names.split(' ') {
        let (name, alias) = name
            .split_once('=')
            .map_or((name, pascal(name)), |(name, alias)| (name, alias.to_owned()));
        let words = tables.words(name)?;
        let mut doc = words.doc.clone();
        let values = words.values.iter();
        for value in values.clone() {
            write!(doc, "\n- `{}`: {}", value.name, value.doc).expect("a String grows");
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(comment(&doc, 0));
        lines.extend(union(&alias, &values.map(|value| value.name.clone()).collect::<Vec<_>>()));
    }
    Ok(lines)
}

/// The properties of a noun's options.
pub(crate) fn properties(tables: &Tables, noun: &str, indent: usize) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for row in tables.of(noun)? {
        lines.extend(comment(&sentence(tables, &row), indent));
        let (name, kind) = (row.camel_case(), annotation(&row)?);
        // With exactOptionalPropertyTypes, a caller may pass undefined only if the type says so.
        lines.push(if row.is_required() {
            format!("{name}: {kind}")
        } else {
            format!("{name}?: {kind} | undefined")
        });
    }
    Ok(lines)
}

/// The meaning of an option with names as JavaScript spells them, its unit and its default.
fn sentence(tables: &Tables, row: &OptionRow) -> String {
    let respell = |word: &str| {
        let name = word.trim_matches(|c: char| !c.is_alphanumeric());
        let known = tables.options.iter().find(|row| row.name == name && name.contains('_'));
        known.map_or(word.to_owned(), |row| word.replace(name, &row.camel_case()))
    };
    let doc = row.doc.split(' ').map(respell).collect::<Vec<_>>().join(" ");
    match (row.default.as_str(), row.is_duration()) {
        ("none" | "required", false) => doc,
        ("none" | "required", true) => format!("{doc} In milliseconds."),
        (default, true) => format!("{doc} In milliseconds; by default {default}."),
        (default, false) if row.is_quoted() => format!("{doc} By default `{default}`."),
        (default, false) => format!("{doc} By default {default}."),
    }
}

fn annotation(row: &OptionRow) -> Result<String> {
    let text = match (row.kind.as_str(), row.words.as_str()) {
        ("duration" | "integer" | "number", _) => "number",
        ("flag", _) => "boolean",
        ("texts", _) => "Iterable<string>",
        ("pairs", "") => "Readonly<Record<string, string>>",
        ("pairs", "retry") => "StatusRetry",
        ("text", "") => "string",
        ("text" | "role", words) => return Ok(pascal(words)),
        ("pins", _) => "Pins | null",
        ("egress" | "identity" | "trust" | "tenant_rule" | "authorization", _) => {
            return Ok(pascal(&row.kind));
        }
        ("signing", _) => "Signing",
        ("json", _) => "Readonly<Record<string, unknown>>",
        ("secrets", _) => "Iterable<string> | Readonly<Record<string, Iterable<string>>>",
        ("keys", _) => "JwtKeys | Readonly<Record<string, JwtKeys>>",
        (kind, words) => {
            return Err(Failure::new(format!("TypeScript has no type for {kind} {words}")));
        }
    };
    Ok(text.to_owned())
}

fn union(name: &str, values: &[String]) -> Vec<String> {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    let line = format!("export type {name} = {}", quoted.join(" | "));
    if line.len() <= WIDTH {
        return vec![line];
    }
    let first = format!("export type {name} =");
    [first].into_iter().chain(quoted.iter().map(|value| format!("  | {value}"))).collect()
}

fn comment(text: &str, indent: usize) -> Vec<String> {
    let line = format!("/** {text} */");
    if indent + line.len() <= WIDTH && !text.contains('\n') {
        return vec![line];
    }
    let mut lines = vec!["/**".to_owned()];
    for paragraph in text.lines() {
        for (at, part) in wrapped(paragraph, WIDTH - indent - 5).iter().enumerate() {
            let deeper = if at > 0 && paragraph.starts_with("- ") { "  " } else { "" };
            lines.push(format!(" * {deeper}{part}"));
        }
    }
    lines.push(" */".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::{comment, properties, union};
    use crate::generate::rows::Tables;
    use serde_json::json;

    #[test]
    fn a_property_has_its_type_and_a_sentence_with_the_default() {
        let row = |name: &str, kind: &str, default: &str, doc: &str| {
            json!({"of": "probe", "name": name, "kind": kind, "words": "", "default": default,
                "doc": doc})
        };
        let options = [
            row("idle_time", "duration", "5000", "The limit."),
            row("pins", "pins", "required", "The keys, as in idle_time."),
        ];
        let enums = [
            json!({"name": "a", "doc": "A.", "values": [{"name": "b", "number": 1, "doc": "B."}]}),
        ];
        let json = json!({"options": options, "enums": enums, "kinds": [{"name": "odd"}]});
        assert_eq!(
            properties(&Tables::read(json).unwrap(), "probe", 2).unwrap(),
            [
                "/** The limit. In milliseconds; by default 5000. */",
                "idleTimeMs?: number | undefined",
                "/** The keys, as in idleTimeMs. */",
                "pins: Pins | null",
            ]
        );
    }

    #[test]
    fn long_comments_and_unions_have_several_lines() {
        assert_eq!(comment("a", 0), ["/** a */"]);
        assert_eq!(comment(&"word ".repeat(30), 2).len(), 4);
        let names = vec!["a_long_name".to_owned(); 9];
        assert_eq!(union("A", &names).len(), 10);
    }
}
