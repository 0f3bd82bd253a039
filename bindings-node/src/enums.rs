//! Core's tables: kinds, enums, options and limits.

use napi_derive::napi;
use webhook_mtls::bindings::tables;

/// Returns the tables as JSON.
#[napi]
pub fn tables() -> String {
    let tables = tables::all();
    #[cfg(feature = "testing")]
    let tables = with_misbehaviors(tables);
    tables.to_string()
}

#[cfg(feature = "testing")]
fn with_misbehaviors(mut tables: serde_json::Value) -> serde_json::Value {
    use webhook_mtls::testing::Misbehavior;
    tables["words"]["misbehavior"] = Misbehavior::ALL.iter().map(|how| how.name()).collect();
    tables
}
