//! The requests that a receiver records, and the script of its answers and misbehaviors.

use std::collections::VecDeque;

use super::misbehavior::Misbehavior;

/// A complete request that a consumer received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The header `webhook-id`, if there was one.
    pub id: Option<String>,
    /// The method, such as `POST`.
    pub method: String,
    /// The request target, such as `/webhooks/acme`.
    pub path: String,
    /// All headers in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without chunked framing.
    pub body: Vec<u8>,
    /// The tenant in the client certificate (SAN URI `spiffe://lab.test/tenant/<tenant>`); `None`
    /// if it has none, or if the consumer asked for no certificate.
    pub tenant: Option<String>,
    /// The server name that the client sent in its handshake (SNI, RFC 6066 section 3); `None` if it sent
    /// none, as for a URL with an IP address.
    pub server_name: Option<String>,
}

/// The answer of a consumer to one request.
///
/// ```
/// # use webhook_mtls::testing::Answer;
/// let busy = Answer { retry_after: Some(30), ..Answer::status(503) };
/// assert!(busy.body.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header `retry-after`, in seconds.
    pub retry_after: Option<u32>,
    /// Further headers, sent unchanged. A `content-length` or `transfer-encoding` among them replaces the
    /// true length. `connection: close` closes the connection after the answer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Makes an answer with a status, no further headers and no body.
    pub fn status(status: u16) -> Self {
        Self { status, retry_after: None, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.0.eq_ignore_ascii_case(name));
        found.map(|header| header.1.as_str())
    }
}

impl Default for Answer {
    /// Returns 200 with the JSON `{"ok":true}`.
    fn default() -> Self {
        Self {
            headers: vec![("content-type".into(), "application/json".into())],
            body: br#"{"ok":true}"#.to_vec(),
            ..Self::status(200)
        }
    }
}

/// The pending answers and misbehaviors of a receiver.
#[derive(Default)]
pub(super) struct Script {
    pub(super) answers: Queue<Answer>,
    pub(super) handshakes: Queue<Misbehavior>,
    pub(super) requests: Queue<Misbehavior>,
}

/// Values with the number of times to use each; 0 means without limit.
pub(super) struct Queue<T>(VecDeque<(T, u32)>);

impl<T: Clone> Queue<T> {
    pub(super) fn push(&mut self, value: T, times: u32) {
        if self.0.back().is_some_and(|last| last.1 == 0) {
            self.0.pop_back();
        }
        self.0.push_back((value, times));
    }

    pub(super) fn next(&mut self) -> Option<T> {
        let (value, times) = self.0.front_mut()?;
        let value = value.clone();
        match times {
            0 => {}
            1 => drop(self.0.pop_front()),
            more => *more -= 1,
        }
        Some(value)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}
