//! Core's tables: kinds, enums, options and limits.

use napi_derive::napi;
use serde_json::json;
use webhook_mtls::bindings::{limits, tables};

/// Returns the tables as JSON.
#[napi]
pub fn tables() -> String {
    let mut tables = tables::all();
    #[cfg(feature = "testing")]
    {
        use webhook_mtls::testing::Misbehavior;
        tables["words"]["misbehavior"] =
            Misbehavior::ALL.iter().map(|how| serde_json::Value::from(how.name())).collect();
    }
    tables["limits"] = json!({
        "body": limits::BODY,
        "material": limits::MATERIAL,
        "crls": limits::CRLS,
        "chain": limits::MATERIAL,
        "error": limits::ERROR,
        "text": limits::TEXT,
        "entries": limits::ENTRIES,
        "list": limits::LIST,
    });
    tables.to_string()
}
