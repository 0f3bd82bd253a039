//! Generates `docs/diagnosis.md`: a section for each check, which the field `help` of a check leads to.

use serde_json::Value;

use super::reference::{MARK, line, paragraph};
use crate::command::Result;
use crate::generate::rows::{field, list, number};

const ABOUT: &str = "\
# Diagnosis

`diagnose(endpoint)` checks everything that a delivery to the endpoint needs, and says what is wrong,
whose fault it is and whom to tell. It opens a connection as a delivery does and goes on where a
delivery stops: a consumer with three faults gets a report with three. It sends no payload. It presents
our certificate only to a consumer that a delivery would accept. If such a consumer accepts us, a second
connection without a certificate shows whether it requires one.

The remedy of an error of a delivery or a probe ends with the command line that diagnoses the same
endpoint, which its context has as `diagnose`. The line has the paths of our files, the pins, the names and the
way. It has no secret, and of the URL only scheme, host and port, because a path may be a secret. A name in
capitals, such as `OUR-KEY.pem`, stands for material that did not come from a file.

| | call |
| --- | --- |
| Python | `dispatcher.diagnose(endpoint)`, and `await` it on an `AsyncDispatcher` |
| Node | `await dispatcher.diagnose(endpoint)` |
| C | `wmtls_dispatcher_diagnose(dispatcher, endpoint, timeout_ms, request, &report, &err)`, or `wmtls_submit_diagnosis(…)` without blocking |
| Rust | `dispatcher.diagnose(&endpoint, DiagnosisOptions::new()).await` |
| command line | `webhook-mtls diagnose URL --cert FILE --key FILE --ca FILE` |

The [options](options.md#diagnosis-for-one-diagnosis) are a time limit for the whole, and a request
without a payload (HEAD or OPTIONS) for servers like nginx, which judge our certificate only when a
request arrives.

## The report

| part | what it says |
| --- | --- |
| `ok` | whether no check failed |
| `checks` | every check below: its status, what was seen, and what to do |
| `findings` | every fault, with the kind, the blame and the remedy of the [error](errors.md) that a delivery fails with |
| `verdict` | the fault that a delivery meets first, who must act (`nobody`, `us`, `consumer`, `network`, `proxy`), and what to do |
| `message_to_consumer` | a text to send to the operator of the consumer, or nothing if it need not act. It has no address, path, host name or rule of ours |

The text form is for a person. The JSON form is equal in all languages; its
[schema](diagnosis.schema.json) is a file.

A check has one of these statuses:

| status | meaning |
| --- | --- |
";

/// Returns the page.
pub(super) fn page(tables: &Value) -> Result<String> {
    let mut page = format!("{MARK}{ABOUT}");
    for of in list(tables, &["enums"])?.iter().filter(|of| of["name"] == "check_status") {
        for value in list(of, &["values"])? {
            line(&mut page, &format!("| `{}` | {} |", field(value, "name")?, field(value, "doc")?));
        }
    }
    page.push('\n');
    paragraph(
        &mut page,
        "A diagnosis takes no turn of the endpoint, passes no circuit, and changes neither. It takes \
         one of the connections of the dispatcher (`max_connections`).",
    );
    let mut group = "";
    for check in list(tables, &["checks"])? {
        if field(check, "group")? != group {
            group = field(check, "group")?;
            line(&mut page, &format!("\n## {}", field(check, "group_title")?));
        }
        line(&mut page, &format!("\n### {}\n", field(check, "name")?));
        line(&mut page, &format!("{}: {}.\n", number(check)?, field(check, "title")?));
        paragraph(&mut page, field(check, "meaning")?);
    }
    Ok(page)
}
