//! Generates the reference page `docs/log.md` from the tables of core.

use std::fmt::Write as _;

use serde_json::Value;

use crate::command::Result;
use crate::generate::reference::MARK;
use crate::generate::rows::{field, list};

const ABOUT_LOG: &str = "\
# Log records

A delivery, a probe, a verification and an event have one form in a log: a level, a message and
fields, with the same names in all languages. A record is below 1 KiB as JSON, whatever a consumer, a
certificate or a caller has put into it: long texts are cut and end with `…`. It has no path, query,
header, body or key. A field that is not known is absent.

| | a record |
| --- | --- |
| Rust | `log_record()` of a receipt, a probe, an error or an event |

| level | when |
| --- | --- |
";

/// Returns the page `docs/log.md`.
pub(crate) fn log(tables: &Value) -> Result<String> {
    let mut page = format!("{MARK}{ABOUT_LOG}");
    let levels = list(tables, &["enums"])?.iter().find(|of| of["name"] == "log_level");
    for level in levels.and_then(|level| level["values"].as_array()).into_iter().flatten() {
        line(&mut page, &format!("| `{}` | {} |", field(level, "name")?, field(level, "doc")?));
    }
    page.push_str("\n| field | type | meaning |\n| --- | --- | --- |\n");
    for row in list(tables, &["log_fields"])? {
        let (name, of, doc) = (field(row, "name")?, field(row, "type")?, field(row, "doc")?);
        line(&mut page, &format!("| `{name}` | {of} | {doc} |"));
    }
    page.push_str(
        "\nThe record of an event also has the fields of the event ([events](events.md)).\n",
    );
    Ok(page)
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a String succeeds");
}
