//! What a success returns.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::{HttpResponse, Response, Timings, fraction};
use crate::material::pin::PinSlot;
use crate::tls::TlsFacts;
use crate::verify::PeerIdentity;

/// A delivery that the consumer answered with a final 2xx head. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Receipt {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) consumer: Arc<str>,
    pub(crate) id: Option<String>,
    pub(crate) status: u16,
    pub(crate) peer: Arc<PeerIdentity>,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) tls: Arc<TlsFacts>,
    pub(crate) reused: bool,
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Option<String>,
    pub(crate) timings: Timings,
    pub(crate) hold_honored: Option<bool>,
    pub(crate) answer: Response,
}

impl Receipt {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The consumer id of the endpoint.
    pub fn consumer(&self) -> &str {
        &self.inner.consumer
    }

    /// The event's id, where one was given.
    pub fn id(&self) -> Option<&str> {
        self.inner.id.as_deref()
    }

    /// The HTTP status, 200 to 299.
    pub fn status(&self) -> u16 {
        self.inner.status
    }

    /// The consumer as its certificate shows it.
    pub fn peer(&self) -> &PeerIdentity {
        &self.inner.peer
    }

    /// Which of the endpoint's pins matched; `None` where it has none.
    pub fn pin(&self) -> Option<PinSlot> {
        self.inner.peer.pin_slot()
    }

    /// How many attempts it took. Only one of which nothing was sent is followed by another.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// How long the delivery took in all.
    pub fn elapsed(&self) -> Duration {
        self.inner.elapsed
    }

    /// What the handshake negotiated.
    pub fn tls(&self) -> &TlsFacts {
        &self.inner.tls
    }

    /// Whether an idle connection was used.
    pub fn is_reused(&self) -> bool {
        self.inner.reused
    }

    /// Whether the consumer answered the head with 100 Continue before the payload left; `None`
    /// unless the payload was held: by `hold_payload`, or for an identity that the consumer has not
    /// answered to yet.
    pub fn hold_honored(&self) -> Option<bool> {
        self.inner.hold_honored
    }

    /// The answer's headers and the first bytes of its body.
    pub fn response(&self) -> &HttpResponse {
        self.inner.answer.response()
    }

    /// How many bytes of the answer it holds.
    #[doc(hidden)]
    pub fn answer_len(&self) -> usize {
        self.inner.answer.len()
    }

    /// The whole receipt in the form that every language shows. Durations are milliseconds.
    pub fn to_json(&self) -> Value {
        let inner = &*self.inner;
        json!({
            "consumer": self.consumer(),
            "id": inner.id,
            "status": inner.status,
            "pin": self.pin().map(PinSlot::name),
            "attempts": inner.attempts,
            "elapsed_ms": fraction(inner.elapsed),
            "peer": inner.peer.to_json(),
            "tls": inner.tls.to_json(),
            "connection": { "reused": inner.reused, "address": inner.address.to_string(), "proxy": inner.proxy },
            "hold_honored": inner.hold_honored,
            "timings": inner.timings.to_json(),
            "response": self.response().to_json(),
        })
    }
}
