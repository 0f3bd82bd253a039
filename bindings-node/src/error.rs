//! Errors: those that the TypeScript layer needs, and their JSON form.

use napi_derive::napi;
use webhook_mtls::Error;
use webhook_mtls::bindings::language::{Language, set_language};

use crate::convert::{CallResult, guarded};
use crate::signer::Thrown;

/// Spells the names in errors as in JavaScript. Called once, when the addon is loaded.
#[napi]
pub fn spell_for_node() {
    set_language(Language::Node);
}

/// Returns the error's JSON for a value of the wrong type.
#[napi]
pub fn wrong_type(option: String, expected: String, seen: String) -> String {
    Error::wrong_type(&option, &expected, &seen).to_json().to_string()
}

/// Returns the error's JSON for an item of a list that has the wrong type.
#[napi]
pub fn wrong_item(option: String, position: u32, expected: String, seen: String) -> String {
    Error::wrong_item(&option, position as usize, &expected, &seen).to_json().to_string()
}

/// Returns the error's JSON for the value of a key that has the wrong type.
#[napi]
pub fn wrong_value(option: String, name: String, expected: String, seen: String) -> String {
    Error::wrong_value(&option, &name, &expected, &seen).to_json().to_string()
}

/// Returns the error's JSON for an unknown name, as the caller wrote it.
#[napi]
pub fn unknown_name(name: String, expected: String) -> String {
    Error::unknown_name(&name, &expected).to_json().to_string()
}

/// Parses an error's JSON and returns it in canonical form. Fails if it describes no error.
#[napi]
pub fn error_from_json(text: String) -> CallResult<String> {
    guarded(|| Ok(parse_error(&text)?.to_json().to_string()))
}

/// Returns the part of an error that may be shown to the consumer.
#[napi]
pub fn error_public(text: String) -> CallResult<String> {
    guarded(|| Ok(parse_error(&text)?.public().to_string()))
}

/// Returns the JSON of an error, with the number of the call of a signer that caused it.
pub(crate) fn error_text(error: &Error) -> String {
    let mut json = error.to_json();
    let source = std::error::Error::source(error);
    if let Some(Thrown(call)) = source.and_then(|source| source.downcast_ref()) {
        json["signer_call"] = (*call).into();
    }
    json.to_string()
}

pub(crate) fn parse_error(text: &str) -> Result<Error, Error> {
    serde_json::from_str(text)
        .ok()
        .as_ref()
        .and_then(Error::from_json)
        .ok_or_else(|| Error::wrong_type("error", "the JSON form of an error", "something else"))
}
