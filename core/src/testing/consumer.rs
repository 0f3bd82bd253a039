//! The handle of a receiver, by which a test reads its requests and sets its behavior.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::misbehavior::Misbehavior;
use super::receiver::Receiver;
use super::script::{Answer, Received, Script};
use super::{Authority, Error, Issued};

/// A consumer of webhooks on 127.0.0.1 that requires a client certificate of its lab's CA.
///
/// It speaks HTTP/1.1 with keep-alive over TLS 1.2 and 1.3, without resumption. Clones share one
/// consumer. It serves until its lab is dropped; the recorded requests stay readable after that.
#[derive(Clone)]
pub struct Consumer {
    pub(super) receiver: Arc<Receiver>,
}

impl Consumer {
    pub(super) fn start(name: &str, authority: Authority, lab: &Handle) -> Result<Self, Error> {
        Ok(Self { receiver: Receiver::start(name, authority, lab)? })
    }

    /// Returns its name in the lab, which is also the tenant in its certificate.
    pub fn name(&self) -> &str {
        self.receiver.name()
    }

    /// Returns `https://127.0.0.1:<port>/webhooks/<name>`. The consumer records requests for every path.
    pub fn url(&self) -> String {
        format!("https://{}/webhooks/{}", self.receiver.address(), self.name())
    }

    /// Returns the pin (`sha256/…`) of the certificate that it presents to new connections.
    pub fn pin(&self) -> String {
        self.receiver.shown().issued.pin.clone()
    }

    /// Returns the pin before the last [`Consumer::renew`] with a new key, if there was one.
    pub fn previous_pin(&self) -> Option<String> {
        self.receiver.shown().previous_pin.clone()
    }

    /// Returns all requests received so far, in the order of their last bytes.
    pub fn received(&self) -> Vec<Received> {
        self.receiver.received().clone()
    }

    /// Waits until `count` requests are recorded. Returns `false` if `within` passes first.
    ///
    /// Requests to which [`Misbehavior::Stall`] or [`Misbehavior::ResetAfterBody`] applies are recorded
    /// too, so a test can wait until a delivery hangs.
    pub fn wait(&self, count: usize, within: Duration) -> bool {
        self.receiver.wait(count, within)
    }

    /// Sets the answer to the next requests, after those that earlier calls cover.
    ///
    /// * `times`: the number of requests. 0 means all requests until the next call of this method, which
    ///   then takes effect at once.
    ///
    /// Requests that no call covers get [`Answer::default`].
    pub fn respond(&self, answer: Answer, times: u32) {
        self.receiver.script().answers.push(answer, times);
    }

    /// Makes the consumer misbehave, after the misbehaviors of earlier calls.
    ///
    /// * `how`: the misbehavior. One of the handshake affects new connections, and closes idle ones so
    ///   that the next delivery makes a handshake. One of requests affects requests.
    /// * `times`: the number of connections or requests. 0 means all, until the next call with a
    ///   misbehavior of the same moment or until [`Consumer::behave`].
    pub fn misbehave(&self, how: Misbehavior, times: u32) {
        self.receiver.misbehave(how, times);
    }

    /// Removes all pending answers and misbehaviors.
    pub fn behave(&self) {
        *self.receiver.script() = Script::default();
    }

    /// Renews its certificate, presents it from the next connection on, and closes idle connections.
    ///
    /// Returns when the clients have closed their side too, so that the next delivery makes a handshake.
    /// Waits at most one second for clients that do not react.
    ///
    /// * `new_key`: whether to make a new key, and thus a new pin.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if no certificate could be made; the former one stays in use.
    pub fn renew(&self, new_key: bool) -> Result<(), Error> {
        self.receiver.renew(new_key)
    }

    /// Returns the certificate that it presents to new connections, with its key; for example to revoke
    /// it.
    pub fn issued(&self) -> Issued {
        self.receiver.shown().issued.clone()
    }

    /// Presents this certificate from the next connection on, and closes idle connections.
    pub fn show(&self, issued: Issued) {
        self.receiver.show(issued);
    }

    /// Presents a certificate of another CA from the next connection on, with the same key. Returns
    /// when [`Consumer::renew`] would.
    ///
    /// # Errors
    ///
    /// Fails as [`Consumer::renew`] does.
    pub fn certify(&self, authority: &Authority) -> Result<(), Error> {
        self.receiver.certify(authority)
    }

    /// Accepts client certificates of another CA too, from the next connection on.
    pub fn accept(&self, authority: &Authority) {
        self.receiver.accept_also(authority);
    }

    /// Accepts only client certificates of this CA from the next connection on, and closes idle
    /// connections.
    pub fn accept_only(&self, authority: &Authority) {
        self.receiver.accept_only(authority);
    }

    /// Returns the number of accepted TCP connections.
    pub fn connections(&self) -> u64 {
        self.receiver.connections()
    }

    /// Returns the number of completed TLS handshakes. A refused client certificate does not count.
    pub fn handshakes(&self) -> u64 {
        self.receiver.handshakes()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("url", &self.url()).finish_non_exhaustive()
    }
}
