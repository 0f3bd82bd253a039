//! Core's tables: kinds, enums, options and limits.

use napi_derive::napi;
use serde_json::{Value, json};
use webhook_mtls::bindings::{limits, options};
use webhook_mtls::material::PinSlot;
use webhook_mtls::retry::Action;
use webhook_mtls::testing::Misbehavior;
use webhook_mtls::verify::{CrlPolicy, Evidence, Note};
use webhook_mtls::{MinTls, Role};

/// Returns the tables as JSON, with the enums that only the bindings need.
#[napi]
pub fn tables() -> String {
    let mut tables = options::tables();
    macro_rules! names {
        ($($key:literal $type:ident),*) => {
            $(tables["words"][$key] =
                $type::ALL.iter().map(|word| Value::from(word.name())).collect();)*
        };
    }
    names!(
        "action" Action, "crl_policy" CrlPolicy, "evidence" Evidence, "min_tls" MinTls, "note" Note,
        "misbehavior" Misbehavior, "pin" PinSlot, "role" Role
    );
    tables["limits"] = json!({
        "body": limits::BODY,
        "material": limits::MATERIAL,
        "chain": limits::MATERIAL,
        "error": limits::ERROR,
        "text": limits::TEXT,
        "entries": limits::ENTRIES,
        "list": limits::LIST,
    });
    tables.to_string()
}
