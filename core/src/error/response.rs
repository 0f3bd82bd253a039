//! The response of a consumer, in a receipt or an error.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// The final response of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The header lines in the order in which they arrived; names in lower case. A name may occur more
    /// than once.
    pub headers: Vec<(String, String)>,
    /// The first bytes of the body: 1 KiB, or as many as `response_excerpt` says.
    pub excerpt: Vec<u8>,
    /// Whether the body was longer than the excerpt, or broke off.
    pub truncated: bool,
}

impl HttpResponse {
    /// Returns the JSON that receipts and errors share. `headers` has the values of equal names joined
    /// with a comma (RFC 9110 section 5.3), and `header_lines` each line.
    pub(crate) fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name) {
                Some(Value::String(before)) => {
                    before.push_str(", ");
                    before.push_str(value);
                }
                _ => drop(headers.insert(name.clone(), json!(value))),
            }
        }
        json!({
            "status": self.status,
            "headers": headers,
            "header_lines": self.headers,
            "excerpt_base64": BASE64_STANDARD.encode(&self.excerpt),
            "truncated": self.truncated,
        })
    }

    /// Reads what [`to_json`](Self::to_json) made, or the form without `header_lines` and `truncated`
    /// that former versions made.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let line = |line: &Value| match line.as_array()?.as_slice() {
            [name, value] => Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())),
            _ => None,
        };
        let field =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let headers = match value.get("header_lines") {
            Some(lines) => lines.as_array()?.iter().map(line).collect::<Option<_>>()?,
            None => value.get("headers")?.as_object()?.iter().map(field).collect::<Option<_>>()?,
        };
        Some(Self {
            status: u16::try_from(value.get("status")?.as_u64()?).ok()?,
            headers,
            excerpt: BASE64_STANDARD.decode(value.get("excerpt_base64")?.as_str()?).ok()?,
            truncated: value.get("truncated").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response() -> HttpResponse {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        HttpResponse {
            status: 503,
            headers: vec![
                line("set-cookie", "a=1"),
                line("retry-after", "7"),
                line("set-cookie", "b=2"),
            ],
            excerpt: b"busy".to_vec(),
            truncated: true,
        }
    }

    #[test]
    fn equal_names_are_joined_and_each_line_is_kept() {
        let shown = response().to_json();
        assert_eq!(shown["headers"], json!({ "set-cookie": "a=1, b=2", "retry-after": "7" }));
        assert_eq!(shown["header_lines"][2], json!(["set-cookie", "b=2"]));
        assert_eq!(HttpResponse::from_json(&shown), Some(response()));
    }

    #[test]
    fn the_form_of_former_versions_is_read() {
        let former = json!({ "status": 503, "headers": { "a": "1" }, "excerpt_base64": "" });
        let read = HttpResponse::from_json(&former).unwrap();
        assert_eq!((read.headers, read.truncated), (vec![("a".into(), "1".into())], false));
    }
}
