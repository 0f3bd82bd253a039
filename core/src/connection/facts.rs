//! The facts of a connection that the outcome of a delivery shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, HandshakeJson};
use crate::tls::{PartialHandshake, TlsFacts};
use crate::verify::PeerIdentity;

/// The connection of an attempt, as far as it was opened. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionFacts {
    /// The attempt took an idle connection.
    pub(crate) reused: bool,
    pub(crate) address: SocketAddr,
    /// `None` until the handshake is completed.
    pub(crate) handshake: Option<Arc<HandshakeFacts>>,
    /// `None` once the handshake is completed.
    pub(super) partial: Option<Arc<PartialHandshake>>,
}

impl ConnectionFacts {
    /// The facts of a new connection whose handshake begins.
    pub(super) fn of_partial(address: SocketAddr, partial: Arc<PartialHandshake>) -> Self {
        Self { reused: false, address, handshake: None, partial: Some(partial) }
    }

    /// Records that the handshake is completed.
    pub(super) fn complete(&mut self, handshake: &Arc<HandshakeFacts>) {
        (self.handshake, self.partial) = (Some(handshake.clone()), None);
    }

    /// Whether the handshake was completed, and the TLS version if it is known.
    pub(crate) fn version(&self) -> (bool, &'static str) {
        match &self.handshake {
            Some(completed) => (true, completed.tls.version),
            None => (false, self.failed_handshake().map_or("", |tls| tls.version)),
        }
    }

    /// How long the signature of a signer took, and whether the signer has answered or failed. `None`
    /// without a signer, or before one is needed.
    pub(crate) fn signature(&self) -> Option<(Duration, bool)> {
        match &self.handshake {
            Some(completed) => Some((completed.tls.signature?, true)),
            None => self.partial.as_ref()?.signature(),
        }
    }

    /// The error of a deadline that passed while the handshake waited for a signer.
    pub(super) fn signer_timeout(&self, part: &str, millis: u64) -> Option<Error> {
        self.partial.as_ref()?.signer_timeout(part, millis)
    }

    /// The facts of a handshake that was not completed. `None` if the peer's ServerHello did not arrive.
    pub(super) fn failed_handshake(&self) -> Option<TlsFacts> {
        self.partial.as_ref()?.facts()
    }

    /// The handshake, completed or not, for an error. `None` if the peer's ServerHello did not arrive.
    pub(crate) fn for_error(&self) -> Option<Arc<dyn HandshakeJson>> {
        match &self.handshake {
            Some(completed) => Some(completed.clone()),
            None => Some(Arc::new(FailedHandshake(self.failed_handshake()?))),
        }
    }
}

/// A handshake that was not completed.
#[derive(Debug)]
struct FailedHandshake(TlsFacts);

impl HandshakeJson for FailedHandshake {
    fn tls_json(&self) -> Value {
        self.0.to_json()
    }

    fn peer_json(&self) -> Value {
        Value::Null
    }
}

/// A completed handshake.
#[derive(Debug)]
pub(crate) struct HandshakeFacts {
    pub(crate) peer: PeerIdentity,
    pub(crate) tls: TlsFacts,
}

/// Reads the first messages of a peer as a socket does, in pieces of `piece` bytes. Returns the version,
/// the cipher suite and the group that they choose, as far as they do.
#[cfg(any(test, feature = "testing"))]
pub fn read_first_messages(bytes: &[u8], piece: usize) -> Option<[&'static str; 3]> {
    let partial = Arc::<PartialHandshake>::default();
    let mut messages = crate::tls::FirstMessages::new(partial.clone());
    let mut records = super::records::RecordBoundaries::default();
    for piece in bytes.chunks(piece) {
        if !messages.are_read() {
            messages.note(piece);
            records.follow_bodies(piece, |content_type, body| messages.read(content_type, body));
        }
    }
    partial.facts().map(|tls| [tls.version, tls.cipher_suite, tls.key_exchange])
}

impl HandshakeJson for HandshakeFacts {
    fn tls_json(&self) -> Value {
        self.tls.to_json()
    }

    fn peer_json(&self) -> Value {
        self.peer.to_json()
    }
}
