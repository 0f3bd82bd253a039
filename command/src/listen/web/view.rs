//! One client as the page gets it: bounded, and without letters that would act on the reader's screen.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::screen::escaped;

/// The most characters of a text, and of a request's body.
const TEXT: usize = 2000;
const BODY: usize = 4000;
/// The most members of an array, such as the headers or the names of a certificate.
const MEMBERS: usize = 64;
/// The most certificates.
const CERTIFICATES: usize = 16;

/// Returns a client for the page.
///
/// * `report`: the JSON of the client's report.
pub(super) fn client(mut report: Value, number: u64, time_ms: u64) -> Value {
    let sent = report["certificates"].as_array().map_or(0, Vec::len);
    if let Some(certificates) = report["certificates"].as_array_mut() {
        certificates.truncate(CERTIFICATES);
    }
    let body = report.pointer_mut("/request/body_base64").map(Value::take);
    let body = body.as_ref().and_then(Value::as_str);
    let body = body.and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default();
    let length = report.pointer("/request/length").and_then(Value::as_u64).unwrap_or(0);
    let mut shown = bounded(report);
    shown["number"] = number.into();
    shown["time_ms"] = time_ms.into();
    shown["certificates_sent"] = sent.into();
    if let Some(request) = shown["request"].as_object_mut() {
        let (text, is_whole) = excerpt(&body);
        let is_cut = !is_whole || u64::try_from(body.len()).is_ok_and(|kept| kept < length);
        request.remove("body_base64");
        request.insert("body".to_owned(), text.into());
        request.insert("body_cut".to_owned(), is_cut.into());
    }
    shown
}

/// Returns the start of a body as text, and whether it is all of it. Line ends and tabs stay.
fn excerpt(body: &[u8]) -> (String, bool) {
    let text = String::from_utf8_lossy(body);
    let start: String = text.chars().take(BODY).collect();
    let lines =
        start.lines().map(|line| line.split('\t').map(escaped).collect::<Vec<_>>().join("\t"));
    (lines.collect::<Vec<_>>().join("\n"), start.len() == text.len())
}

/// Returns the value with texts and arrays of bounded length. Texts are escaped as on a terminal.
pub(super) fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(TEXT) {
            Some((end, _)) => format!("{}…", escaped(&text[..end])).into(),
            None => escaped(&text).into(),
        },
        Value::Array(members) => {
            let more = members.len().saturating_sub(MEMBERS);
            let mut kept: Vec<Value> = members.into_iter().take(MEMBERS).map(bounded).collect();
            if more > 0 {
                let note = format!("and {more} more");
                // Headers are pairs.
                let is_pairs = kept.first().is_some_and(Value::is_array);
                kept.push(if is_pairs { json!(["…", note]) } else { note.into() });
            }
            kept.into()
        }
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, bounded(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(body: &[u8], length: usize) -> Value {
        json!({
            "certificates": vec![json!({ "type": "certificate" }); 40],
            "request": {
                "headers": vec![json!(["a", "b"]); 100],
                "path": "x".repeat(30_000),
                "body_base64": BASE64_STANDARD.encode(body),
                "length": length,
            },
        })
    }

    #[test]
    fn texts_headers_certificates_and_bodies_are_bounded() {
        let shown = client(report(&b"x".repeat(60_000), 1_000_000), 3, 5);
        assert_eq!(shown["certificates"].as_array().unwrap().len(), CERTIFICATES);
        assert_eq!(shown["certificates_sent"], 40);
        let request = &shown["request"];
        assert_eq!(request["path"].as_str().unwrap().chars().count(), TEXT + 1);
        let headers = request["headers"].as_array().unwrap();
        assert_eq!(headers.last(), Some(&json!(["…", "and 36 more"])));
        assert_eq!(request["body"].as_str().unwrap().len(), BODY);
        assert_eq!(request["body_cut"], true);
        assert_eq!(request.get("body_base64"), None);
        assert_eq!((&shown["number"], &shown["time_ms"]), (&json!(3), &json!(5)));
    }

    #[test]
    fn a_short_body_is_whole_and_one_that_was_not_kept_is_cut() {
        let body = |body, length| client(report(body, length), 1, 1)["request"].clone();
        assert_eq!(body(b"{\"a\": 1}", 8)["body_cut"], false);
        assert_eq!(body(b"{\"a\": 1}", 9)["body_cut"], true);
        assert_eq!(body(b"one\r\n\ttwo\x1b[2J", 13)["body"], "one\n\ttwo\\u{1b}[2J");
    }

    #[test]
    fn a_client_without_a_request_has_none() {
        let shown = client(json!({ "request": null, "certificates": [] }), 1, 1);
        assert_eq!(shown["request"], Value::Null);
    }

    #[test]
    fn names_cannot_reorder_the_page() {
        assert_eq!(bounded(json!(["CN=\u{202e}evil"])), json!(["CN=\\u{202e}evil"]));
    }
}
