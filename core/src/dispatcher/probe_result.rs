//! What a probe returns: a consumer as its handshake shows it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::{Timings, fraction};
use crate::material::pin::PinSlot;
use crate::tls::TlsFacts;
use crate::verify::PeerIdentity;

/// A handshake that was completed without a payload: the consumer passed every check that a delivery
/// makes, asked for our certificate, and did not refuse it there. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Probe {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) consumer: String,
    pub(crate) url: String,
    pub(crate) peer: PeerIdentity,
    pub(crate) tls: TlsFacts,
    pub(crate) address: SocketAddr,
    pub(crate) timings: Timings,
    pub(crate) elapsed: Duration,
}

impl Probe {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The consumer id of the endpoint.
    pub fn consumer(&self) -> &str {
        &self.inner.consumer
    }

    /// The consumer as its certificate shows it, with the certificate's dates.
    pub fn peer(&self) -> &PeerIdentity {
        &self.inner.peer
    }

    /// Which of the endpoint's pins matched; `None` where it has none.
    pub fn pin(&self) -> Option<PinSlot> {
        self.inner.peer.pin_slot()
    }

    /// What the handshake negotiated.
    pub fn tls(&self) -> &TlsFacts {
        &self.inner.tls
    }

    /// The address that was connected to.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// How long it took in all.
    pub fn elapsed(&self) -> Duration {
        self.inner.elapsed
    }

    /// The whole result in the form that every language shows. Durations are milliseconds.
    pub fn to_json(&self) -> Value {
        let inner = &*self.inner;
        json!({
            "consumer": inner.consumer,
            "url": inner.url,
            "address": inner.address.to_string(),
            "pin": self.pin().map(PinSlot::name),
            "peer": inner.peer.to_json(),
            "tls": inner.tls.to_json(),
            "elapsed_ms": fraction(inner.elapsed),
            "timings": {
                "resolve_ms": fraction(inner.timings.resolve),
                "connect_ms": fraction(inner.timings.connect),
                "handshake_ms": fraction(inner.timings.handshake),
            },
        })
    }
}
