//! The facts of a connection that the outcome of a delivery shows.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::error::HandshakeJson;
use crate::tls::TlsFacts;
use crate::verify::PeerIdentity;

/// The connection of an attempt, as far as it was opened. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionFacts {
    /// The attempt took an idle connection.
    pub(crate) reused: bool,
    pub(crate) address: SocketAddr,
    /// `None` until the handshake is completed.
    pub(crate) handshake: Option<Arc<HandshakeFacts>>,
}

/// A completed handshake.
#[derive(Debug)]
pub(crate) struct HandshakeFacts {
    pub(crate) peer: PeerIdentity,
    pub(crate) tls: TlsFacts,
}

impl HandshakeJson for HandshakeFacts {
    fn tls_json(&self) -> Value {
        self.tls.to_json()
    }

    fn peer_json(&self) -> Value {
        self.peer.to_json()
    }
}
