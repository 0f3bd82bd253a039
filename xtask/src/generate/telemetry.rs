//! Generates the reference pages `docs/log.md` and `docs/metrics.md` from the tables of core.

use std::fmt::Write as _;

use serde_json::Value;

use crate::command::Result;
use crate::generate::reference::{MARK, WIDTH};
use crate::generate::rows::{field, list};
use crate::terminal::wrapped;

const ABOUT_LOG: &str = "\
# Log records

A delivery, a probe, a verification and an event have one form in a log: a level, a message and
fields, with the same names in all languages. A record is below 1 KiB as JSON, whatever a consumer, a
certificate or a caller has put into it: long texts are cut and end with `…`. It has no path, query,
header, body or key. A field that is not known is absent.

| | a record |
| --- | --- |
| Rust | `log_record()` of a receipt, a probe, an error or an event; `log_to(sink)` of the options of a \
dispatcher or a verifier |
| Rust, feature `tracing` | an event of the target `webhook_mtls`, in a span of the delivery with `event`, \
`consumer` and `id`; the fields of an event of ours are JSON in `of_event` |
| C | `wmtls_receipt_log_json`, `wmtls_error_log_json`; `wmtls_options_log`, `wmtls_verifier_options_log` |
| Python | `to_dict(full=False)` of a receipt, a probe or an error |
| Node | `toObject({ full: false })` of a receipt, a probe or an error |

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

const ABOUT_METRICS: &str = "\
# Metrics

A dispatcher and a verifier count what they do, always and per process: a forked child starts at zero.
A delivery on an idle connection adds to atomic numbers and takes no lock.

| | a snapshot | text |
| --- | --- | --- |
| Rust | `dispatcher.metrics()`, `verifier.metrics()` | `metrics.text(format)` |
| C | `wmtls_dispatcher_metrics`, `wmtls_verifier_metrics`, `wmtls_metrics_json` | `wmtls_metrics_text` |
| Python | `dispatcher.metrics()`, `verifier.metrics()` | `metrics_text(format)` |
| Node | `dispatcher.metrics()`, `verifier.metrics()` | `metricsText({ format })` |

The text is that of Prometheus 0.0.4 (`prometheus`) or of OpenMetrics 1.0 (`openmetrics`). One text can
show several dispatchers and verifiers of a process: `merged` in Rust, `wmtls_metrics_add` in C, `others` in
Python and Node.

A label never has a path, a query, a header, a body or bytes of a key. Its values are words of the tables
of this library, or at most 64, beyond which they are counted as `other`. The consumer id is a label only
for as many endpoints as the option `metrics_endpoints` says, and for consumers that refuse our new
certificate.

Histograms have the buckets of OpenTelemetry: 5, 10, 25, 50, 75, 100, 250, 500 and 750 ms, 1, 2.5, 5, 7.5
and 10 s.
";

/// Returns the page `docs/metrics.md`.
pub(crate) fn metrics(tables: &Value) -> Result<String> {
    let mut page = format!("{MARK}{ABOUT_METRICS}");
    let sections = [
        ("Deliveries and connections", "dispatcher", "A dispatcher has these metrics."),
        ("Verifications", "verifier", "A verifier has these metrics."),
        ("Certificates and events", "both", "A dispatcher and a verifier have these metrics."),
        (
            "Process",
            "process",
            "Every dispatcher and verifier of a process shows the same values of these metrics.",
        ),
    ];
    for (title, of, about) in sections {
        line(&mut page, &format!("\n## {title}\n\n{about}"));
        for row in list(tables, &["metrics"])?.iter().filter(|row| row["of"] == of) {
            metric(&mut page, row)?;
        }
    }
    Ok(page)
}

fn metric(page: &mut String, row: &Value) -> Result {
    let (name, of, doc) = (field(row, "name")?, field(row, "type")?, field(row, "doc")?);
    line(page, &format!("\n### {name}\n"));
    for part in wrapped(doc, WIDTH) {
        line(page, &part);
    }
    let unit = match field(row, "unit")? {
        "" => String::new(),
        unit => format!(", in {unit}"),
    };
    let labels = row["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let labels: Vec<String> = labels.map(|label| format!("`{label}`")).collect();
    let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
    line(page, &format!("\n- {of}{unit}; labels: {labels}"));
    line(page, &format!("- over processes: {}", field(row, "combine")?));
    Ok(())
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("writing to a String succeeds");
}
