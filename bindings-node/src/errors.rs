//! Errors: those that are made for the TypeScript layer, and what core knows about those it has.

use napi_derive::napi;
use serde_json::{Value, json};
use webhook_mtls::limits::{self, Limit};
use webhook_mtls::testing::Misbehaviour;
use webhook_mtls::{
    Action, CrlPolicy, Error, Evidence, MinTls, Note, PinSlot, RetryPolicy, Role, options,
};

use crate::border::{Handle, Outcome, fault, guarded};
use crate::settings::{Settings, set_all};

/// The error's JSON for a value that is not of the option's type.
#[napi]
pub fn wrong_type(option: String, expected: String, seen: String) -> String {
    Error::wrong_type(&option, &expected, &seen).to_json().to_string()
}

/// The error's JSON for a name that there is not, as the caller wrote it.
#[napi]
pub fn unknown_name(name: String, expected: String) -> String {
    Error::unknown_name(&name, &expected).to_json().to_string()
}

/// The error's JSON for an argument of so many bytes, if they are too many.
///
/// * `sort`: `body`, `material`, `chain`, `error` or `text`, which have limits of their own.
#[napi]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
pub fn too_long(sort: String, argument: String, length: f64) -> Option<String> {
    fault(|| limit(&sort, &argument).check(length as usize))
}

/// The error's JSON for a list of so many entries and bytes, if they are too many.
#[napi]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths")]
pub fn too_many(sort: String, argument: String, entries: f64, bytes: f64) -> Option<String> {
    fault(|| limit(&sort, &argument).check_list(entries as usize, bytes as usize))
}

fn limit<'a>(sort: &str, argument: &'a str) -> Limit<'a> {
    match sort {
        "body" => Limit::body(),
        "material" => Limit::material(argument),
        "chain" => Limit::chain(),
        "error" => Limit::error(),
        _ => Limit::text(argument),
    }
}

/// The same JSON as it was read, if it describes an error.
#[napi]
pub fn error_from_json(text: String) -> Outcome<String> {
    guarded(|| Ok(read(&text)?.to_json().to_string()))
}

/// The part of an error that may be shown to the consumer.
#[napi]
pub fn error_public(text: String) -> Outcome<String> {
    guarded(|| Ok(read(&text)?.public().to_string()))
}

#[napi]
pub fn retry_policy(settings: Option<Settings>) -> Outcome<Handle<RetryPolicy>> {
    guarded(|| {
        let mut policy = RetryPolicy::default();
        set_all(settings, |name, value| policy.set(name, value))?;
        Ok(Handle(policy))
    })
}

#[napi]
pub fn retry_decide(policy: Handle<RetryPolicy>, error: String, attempt: u32) -> Outcome<String> {
    guarded(|| {
        let decision = policy.0.decide(&read(&error)?, attempt);
        let json = json!({
            "action": decision.action.name(),
            "delay_ms": u64::try_from(decision.delay.as_millis()).unwrap_or(u64::MAX),
            "counts": decision.counts,
            "reason": decision.reason,
        });
        Ok(json.to_string())
    })
}

/// Core's kinds, words and options as JSON, with the words that only the faces need.
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
        "misbehaviour" Misbehaviour, "pin" PinSlot, "role" Role
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

fn read(text: &str) -> Result<Error, Error> {
    serde_json::from_str(text)
        .ok()
        .as_ref()
        .and_then(Error::from_json)
        .ok_or_else(|| Error::wrong_type("error", "the JSON form of an error", "something else"))
}
