//! Every table and enum of the crate as JSON. `cargo xtask generate` writes the copies of the other
//! languages from it. Tests compare the copies that are written by hand.

#[cfg(test)]
mod option_table_tests;

use serde_json::{Value, json};

use crate::admission::CircuitState;
use crate::diagnosis::{Addressee, Check, CheckStatus, DiagnosisRequest, Group};
use crate::error::{Blame, Family, Retry, Scope, Sent, Stage};
use crate::forwarded::{Dialect, ProxyServer};
use crate::limits;
use crate::log::{FIELDS, LogLevel};
use crate::material::expiry::Expiring;
use crate::material::pin::PinSlot;
use crate::material::signature_scheme::SignatureScheme;
use crate::metrics::{self, Combine, MetricType, MetricsFormat, Owner};
pub use crate::net::Preset;
use crate::options;
use crate::retry::Action;
use crate::tls::MinTls;
use crate::verify::policy::{CrlPolicy, Role};
use crate::verify::{Evidence, Note};

/// A value of an enum: its name, number and meaning.
type Entry = (&'static str, i32, &'static str);

/// Returns the tables of kinds, options and events, and all enums: the names of each under `words`, and
/// their numbers and meanings under `enums`.
pub fn all() -> Value {
    let mut tables = options::tables();
    let mut enums = Vec::new();
    // One function makes all: inlined in each enum, it would be a hundredth of a native module.
    let mut add = |name: &str, doc: &str, values: &mut dyn Iterator<Item = Entry>| {
        let (mut words, mut described) = (Vec::new(), Vec::new());
        for (name, number, doc) in values {
            words.push(name);
            described.push(json!({ "name": name, "number": number, "doc": sentence(doc) }));
        }
        tables["words"][name] = words.into();
        enums.push(json!({ "name": name, "doc": sentence(doc), "values": described }));
    };
    macro_rules! add {
        ($($name:literal $type:ty;)*) => {$(
            let mut values =
                <$type>::ALL.iter().map(|value| (value.name(), *value as i32, value.doc()));
            add($name, <$type>::DOC, &mut values);
        )*};
    }
    add!(
        "stage" Stage;
        "blame" Blame;
        "scope" Scope;
        "sent" Sent;
        "retry" Retry;
        "action" Action;
        "pin" PinSlot;
        "role" Role;
        "evidence" Evidence;
        "dialect" Dialect;
        "proxy_server" ProxyServer;
        "note" Note;
        "min_tls" MinTls;
        "crl_policy" CrlPolicy;
        "circuit_state" CircuitState;
        "preset" Preset;
        "expiring" Expiring;
        "log_level" LogLevel;
        "metrics_format" MetricsFormat;
        "metric_type" MetricType;
        "metric_owner" Owner;
        "combine" Combine;
        "diagnosis_request" DiagnosisRequest;
        "check_status" CheckStatus;
        "check_group" Group;
        "addressee" Addressee;
        "family" Family;
        "signature_scheme" SignatureScheme;
    );
    tables["enums"] = enums.into();
    tables["checks"] = Check::ALL
        .iter()
        .map(|check| {
            json!({
                "name": check.name(),
                "number": *check as i32,
                "group": check.group().name(),
                "group_title": check.group().title(),
                "title": check.title(),
                "meaning": check.meaning(),
            })
        })
        .collect();
    tables["metrics"] = metrics::table();
    // In bytes, except `entries` and `list`, which are counts.
    tables["limits"] = json!({
        "body": limits::BODY,
        "material": limits::MATERIAL,
        "crls": limits::CRLS,
        "chain": limits::MATERIAL,
        "error": limits::ERROR,
        "text": limits::TEXT,
        "status": limits::LIST,
        "entries": limits::ENTRIES,
        "list": limits::LIST,
    });
    tables["log_fields"] = FIELDS
        .iter()
        .map(|row| json!({ "name": row.name, "type": row.value_type, "doc": row.doc }))
        .collect();
    tables
}

/// Joins the lines of a doc comment.
fn sentence(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
