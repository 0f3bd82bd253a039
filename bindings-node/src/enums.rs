//! Core's tables: kinds, enums, options and limits.

use napi_derive::napi;
use webhook_mtls::bindings::tables;

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
    tables.to_string()
}
