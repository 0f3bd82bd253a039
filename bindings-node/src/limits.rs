//! Size limits of arguments.

use napi_derive::napi;
use webhook_mtls::bindings::limits::Limit;

use crate::convert::error_json;

/// Returns the error's JSON if an argument of `length` bytes is too long.
///
/// * `sort`: `body`, `material`, `chain`, `error`, `status` or `text`; each has its own limit.
#[napi]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
pub fn too_long(sort: String, argument: String, length: f64) -> Option<String> {
    error_json(|| limit(&sort, &argument).check(length as usize))
}

/// Returns the error's JSON if a list has too many entries or bytes.
#[napi]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "lengths")]
pub fn too_many(sort: String, argument: String, entries: f64, bytes: f64) -> Option<String> {
    error_json(|| limit(&sort, &argument).check_list(entries as usize, bytes as usize))
}

fn limit<'a>(sort: &str, argument: &'a str) -> Limit<'a> {
    match sort {
        "body" => Limit::body(),
        "material" => Limit::material(argument),
        "crls" => Limit::crls(),
        "chain" => Limit::chain(),
        "error" => Limit::error(),
        _ => Limit::text(argument),
    }
}
