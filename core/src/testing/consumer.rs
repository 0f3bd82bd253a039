//! A receiver as a test holds it: what it got, and what it is to do next.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::misbehavior::Misbehaviour;
use super::receiver::Receiver;
use super::{Authority, Error, Issued};

/// A consumer of webhooks on 127.0.0.1 that demands a client certificate of its lab's CA.
///
/// It speaks HTTP/1.1 with keep-alive over TLS 1.2 and 1.3, without resumption. Clones are the same
/// consumer. It serves until its lab is dropped; what it recorded stays readable after that.
#[derive(Clone)]
pub struct Consumer {
    pub(super) receiver: Arc<Receiver>,
}

impl Consumer {
    pub(super) fn start(name: &str, authority: Authority, lab: &Handle) -> Result<Self, Error> {
        Ok(Self { receiver: Receiver::start(name, authority, lab)? })
    }

    /// The name that the lab knows it by, which is also the tenant in its certificate.
    pub fn name(&self) -> &str {
        self.receiver.name()
    }

    /// `https://127.0.0.1:<port>/webhooks/<name>`. Requests for other paths are recorded alike.
    pub fn url(&self) -> String {
        format!("https://{}/webhooks/{}", self.receiver.address(), self.name())
    }

    /// `sha256/…` of the certificate that the next connection will be shown.
    pub fn pin(&self) -> String {
        self.receiver.shown().issued.pin.clone()
    }

    /// The pin before the last [`Consumer::renew`] with a new key, if there was one.
    pub fn previous_pin(&self) -> Option<String> {
        self.receiver.shown().previous_pin.clone()
    }

    /// Every complete request so far, in the order in which they were complete.
    pub fn received(&self) -> Vec<Received> {
        self.receiver.received().clone()
    }

    /// Waits until `count` requests are recorded. `false` if `within` passes before.
    ///
    /// What [`Misbehaviour::Stall`] and [`Misbehaviour::ResetAfterBody`] keep is recorded too, so a
    /// test can wait for the moment in which a delivery hangs.
    pub fn wait(&self, count: usize, within: Duration) -> bool {
        self.receiver.wait(count, within)
    }

    /// Gives `answer` to the next `times` requests, after those that earlier calls spoke for.
    ///
    /// 0 means until told otherwise: by the next call, which then starts at once. Without any call,
    /// and when all have been given, the answer is [`Answer::default`].
    pub fn respond(&self, answer: Answer, times: u32) {
        self.receiver.script().answers.push(answer, times);
    }

    /// Misbehaves the next `times` times, after the misbehaviours that earlier calls asked for.
    ///
    /// What concerns the handshake counts connections and closes those that are kept alive, so that
    /// the next delivery meets it; what concerns requests counts requests. 0 means until told
    /// otherwise: by the next call of the same sort, or by [`Consumer::behave`].
    pub fn misbehave(&self, how: Misbehaviour, times: u32) {
        self.receiver.misbehave(how, times);
    }

    /// Forgets every answer and misbehaviour that is still to come.
    pub fn behave(&self) {
        *self.receiver.script() = Script::default();
    }

    /// Shows a renewed certificate from the next connection on, with a new key (and so a new pin)
    /// or the same one, and closes the connections that are kept alive.
    ///
    /// Returns when their clients have closed them as well, so that the next delivery makes a
    /// handshake; waits one second at most for clients that do not react. Fails with `internal`
    /// when no certificate could be made; the old one is kept then.
    pub fn renew(&self, new_key: bool) -> Result<(), Error> {
        self.receiver.renew(new_key)
    }

    /// The certificate that the next connection will be shown, with its key: to revoke it, say.
    pub fn issued(&self) -> Issued {
        self.receiver.shown().issued.clone()
    }

    /// Shows this certificate from the next connection on, and closes the connections that are kept
    /// alive.
    pub fn show(&self, issued: Issued) {
        self.receiver.show(issued);
    }

    /// Shows a certificate of that CA from the next connection on, with the key it had. Otherwise as
    /// [`Consumer::renew`].
    pub fn certify(&self, authority: &Authority) -> Result<(), Error> {
        self.receiver.certify(authority)
    }

    /// Accepts client certificates of that CA as well, from the next connection on.
    pub fn accept(&self, authority: &Authority) {
        self.receiver.accept_also(authority);
    }

    /// Accepts client certificates of that CA and of no other, from the next connection on, and closes
    /// the connections that are kept alive.
    pub fn accept_only(&self, authority: &Authority) {
        self.receiver.accept_only(authority);
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> u64 {
        self.receiver.connections()
    }

    /// How many TLS handshakes were completed, client certificate included.
    pub fn handshakes(&self) -> u64 {
        self.receiver.handshakes()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// A request that a consumer got, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The header `webhook-id`, if it came.
    pub id: Option<String>,
    /// The method, such as `POST`.
    pub method: String,
    /// The request target, such as `/webhooks/acme`.
    pub path: String,
    /// All headers in their order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without the framing of a chunked one.
    pub body: Vec<u8>,
    /// The tenant in the client certificate (SAN URI `spiffe://lab.test/tenant/<tenant>`); `None`
    /// if there is none or no certificate was asked for.
    pub tenant: Option<String>,
}

/// What a consumer answers.
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
    /// Further headers, sent as they are. A `content-length` or `transfer-encoding` among them
    /// replaces the true length; `connection: close` is obeyed.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// That status, with nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, retry_after: None, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.0.eq_ignore_ascii_case(name));
        found.map(|header| header.1.as_str())
    }
}

impl Default for Answer {
    /// 200 with the JSON `{"ok":true}`.
    fn default() -> Self {
        Self {
            headers: vec![("content-type".into(), "application/json".into())],
            body: br#"{"ok":true}"#.to_vec(),
            ..Self::status(200)
        }
    }
}

/// What is to come, per thing that can happen.
#[derive(Default)]
pub(super) struct Script {
    pub(super) answers: Queue<Answer>,
    pub(super) handshakes: Queue<Misbehaviour>,
    pub(super) requests: Queue<Misbehaviour>,
}

/// Values with the number of times that each is to be used; 0 is without end.
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
