//! The response of a consumer inside an error.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// The consumer's response, as far as an error keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The first bytes of the body, at most 64 KiB.
    pub excerpt: Vec<u8>,
}

impl ErrorResponse {
    pub(crate) fn to_json(&self) -> Value {
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "status": self.status,
            "headers": headers,
            "excerpt_base64": BASE64_STANDARD.encode(&self.excerpt),
        })
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let headers = value.get("headers")?.as_object()?;
        Some(Self {
            status: u16::try_from(value.get("status")?.as_u64()?).ok()?,
            headers: headers
                .iter()
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()?,
            excerpt: BASE64_STANDARD.decode(value.get("excerpt_base64")?.as_str()?).ok()?,
        })
    }
}
