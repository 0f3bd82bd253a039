//! What the Python binding repeats of the core's tables: enums, keyword arguments with their types,
//! text signatures, and the arguments of docstrings.

use crate::command::{Failure, Result};
use crate::generate::rows::{Enum, OptionRow, Tables, pascal};
use crate::terminal::wrapped;

const WIDTH: usize = 100;

/// The names in `_words.py`, as `Literal` types with their meanings.
pub(crate) fn words(tables: &Tables, names: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in names.split(' ') {
        let words = tables.words(name)?;
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(literal(&format!("{} = ", pascal(name)), &names_of(words)));
        lines.extend(quoted(&words.doc));
    }
    Ok(lines)
}

/// The kinds in `_words.py`.
pub(crate) fn kinds(tables: &Tables) -> Vec<String> {
    let mut lines = literal("Kind = ", &tables.kinds);
    lines.push("\"\"\"The kind of failure. Later versions may add kinds.\"\"\"".to_owned());
    lines
}

/// The private aliases of the stub.
pub(crate) fn aliases(tables: &Tables, names: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in names.split(' ') {
        let words = names_of(tables.words(name)?);
        lines.extend(literal(&format!("_{}: TypeAlias = ", pascal(name)), &words));
    }
    Ok(lines)
}

/// The keyword arguments of a noun: with the names of the stub, or spelled out for other files.
pub(crate) fn keywords(
    tables: &Tables,
    subject: &str,
    is_stub: bool,
    indent: usize,
) -> Result<Vec<String>> {
    let (noun, is_brief) = match subject.strip_suffix(" brief") {
        Some(noun) => (noun, true),
        None => (subject, false),
    };
    let mut lines = Vec::new();
    for row in required_first(tables.of(noun)?) {
        if is_stub && !is_brief {
            let text = sentence(&row);
            let parts = wrapped(&text, WIDTH - indent - 2);
            lines.extend(parts.into_iter().map(|line| format!("# {line}")));
        }
        let kind = annotation(&row, is_stub)?;
        lines.push(match (row.is_required(), row.kind.as_str()) {
            // An endpoint has pins, or None.
            (true, "pins") => format!("{}: {kind} | None,", row.name),
            (true, _) => format!("{}: {kind},", row.name),
            (false, _) => format!("{}: {kind} | None = None,", row.name),
        });
    }
    Ok(lines)
}

/// Statements that collect the arguments that are not `None`.
pub(crate) fn collect(tables: &Tables, noun: &str) -> Result<Vec<String>> {
    let rows = tables.of(noun)?;
    let each = rows.iter().flat_map(|row| {
        [format!("if {0} is not None:", row.name), format!("    options[\"{0}\"] = {0}", row.name)]
    });
    Ok(each.collect())
}

/// The text signature of a function. A noun in braces stands for its options.
pub(crate) fn text_signature(tables: &Tables, template: &str) -> Result<Vec<String>> {
    let (before, rest) = template.split_once('{').ok_or_else(|| no_noun(template))?;
    let (noun, after) = rest.split_once('}').ok_or_else(|| no_noun(template))?;
    let arguments: Vec<String> = required_first(tables.of(noun)?)
        .iter()
        .map(|row| if row.is_required() { row.name.clone() } else { format!("{}=None", row.name) })
        .collect();
    Ok(vec![format!("text_signature = \"{before}{}{after}\"", arguments.join(", "))])
}

/// The lines of a docstring's `Args:` that describe the options of a noun.
pub(crate) fn arguments(tables: &Tables, noun: &str, indent: usize) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for row in required_first(tables.of(noun)?) {
        let mut text = sentence(&row);
        text[..1].make_ascii_lowercase();
        let parts = wrapped(&format!("{}: {text}", row.name), WIDTH - indent - 12);
        for (at, line) in parts.into_iter().enumerate() {
            let deeper = if at == 0 { "" } else { "    " };
            lines.push(format!("///     {deeper}{line}"));
        }
    }
    Ok(lines)
}

/// The meaning of an option, its unit and its default.
fn sentence(row: &OptionRow) -> String {
    let doc = &row.doc;
    match (row.default.as_str(), row.is_duration()) {
        ("none" | "required", false) => doc.clone(),
        ("none" | "required", true) => format!("{doc} In seconds, or a timedelta."),
        (default, true) => match default.parse::<f64>() {
            Ok(millis) => {
                format!("{doc} In seconds, or a timedelta; by default {}.", millis / 1000.0)
            }
            Err(_) => format!("{doc} In seconds, or a timedelta; by default {default}."),
        },
        ("false", _) => format!("{doc} By default False."),
        ("true", _) => format!("{doc} By default True."),
        (default, _) if row.is_quoted() => format!("{doc} By default `{default}`."),
        (default, _) => format!("{doc} By default {default}."),
    }
}

/// The type of an option's value.
fn annotation(row: &OptionRow, is_stub: bool) -> Result<String> {
    let text = match (row.kind.as_str(), row.words.as_str()) {
        ("duration", _) if is_stub => "_Seconds",
        ("duration", _) => "float | timedelta",
        ("integer", _) => "int",
        ("number", _) => "float",
        ("flag", _) => "bool",
        ("texts", _) => "Iterable[str]",
        ("pairs", "") => "Mapping[str, str]",
        ("pairs", words) => return Ok(format!("Mapping[str, _{}]", pascal(words))),
        ("text", "") => "str",
        ("text" | "role", words) => return Ok(format!("_{}", pascal(words))),
        ("egress", words) => return Ok(format!("_{} | Egress", pascal(words))),
        ("identity" | "trust" | "pins" | "tenant_rule" | "authorization", _) => {
            return Ok(pascal(&row.kind));
        }
        ("signing", _) if is_stub => "_Signing",
        ("signing", _) => "StandardWebhooks | JwtBearer | Iterable[StandardWebhooks | JwtBearer]",
        ("json", _) => "dict[str, Any]",
        ("secrets", _) => "Iterable[str] | Mapping[str, Iterable[str]]",
        ("keys", _) => "JwtKeys | Mapping[str, JwtKeys]",
        (kind, _) => return Err(Failure::new(format!("Python has no type for {kind}"))),
    };
    Ok(text.to_owned())
}

fn required_first(mut rows: Vec<OptionRow>) -> Vec<OptionRow> {
    rows.sort_by_key(|row| !row.is_required());
    rows
}

fn no_noun(template: &str) -> Failure {
    Failure::new(format!("{template} has no noun in braces"))
}

fn names_of(words: &Enum) -> Vec<String> {
    words.values.iter().map(|value| value.name.clone()).collect()
}

/// Formats a `Literal` as the formatter does: on one line, on one inner line, or a line for each.
fn literal(before: &str, names: &[String]) -> Vec<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let inner = quoted.join(", ");
    let line = format!("{before}Literal[{inner}]");
    if line.len() <= WIDTH {
        return vec![line];
    }
    let mut lines = vec![format!("{before}Literal[")];
    if inner.len() + 4 <= WIDTH {
        lines.push(format!("    {inner}"));
    } else {
        lines.extend(quoted.iter().map(|name| format!("    {name},")));
    }
    lines.push("]".to_owned());
    lines
}

fn quoted(doc: &str) -> Vec<String> {
    let line = format!("\"\"\"{doc}\"\"\"");
    if line.len() <= WIDTH {
        return vec![line];
    }
    let mut lines = wrapped(&format!("\"\"\"{doc}"), WIDTH);
    lines.push("\"\"\"".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::{literal, sentence};
    use crate::generate::rows::OptionRow;

    fn row(kind: &str, default: &str) -> OptionRow {
        let text = str::to_owned;
        let (of, name, words, doc) = (text("probe"), text("a"), text(""), text("The limit."));
        OptionRow { of, name, kind: text(kind), words, default: text(default), doc }
    }

    #[test]
    fn a_sentence_has_the_unit_and_the_default() {
        let shown = |kind, default| sentence(&row(kind, default));
        assert_eq!(
            shown("duration", "2500"),
            "The limit. In seconds, or a timedelta; by default 2.5."
        );
        assert_eq!(shown("duration", "none"), "The limit. In seconds, or a timedelta.");
        assert_eq!(shown("integer", "8"), "The limit. By default 8.");
        assert_eq!(shown("flag", "false"), "The limit. By default False.");
        assert_eq!(shown("text", "the dispatcher's"), "The limit. By default the dispatcher's.");
        assert_eq!(shown("text", "text/plain"), "The limit. By default `text/plain`.");
        assert_eq!(shown("pins", "required"), "The limit.");
    }

    #[test]
    fn a_long_literal_has_a_line_for_each_name() {
        let names = |count| vec!["a_long_name".to_owned(); count];
        assert_eq!(literal("A = ", &names(2)), ["A = Literal[\"a_long_name\", \"a_long_name\"]"]);
        assert_eq!(literal("A = ", &names(6)).len(), 3);
        assert_eq!(literal("A = ", &names(9)).len(), 11);
    }
}
