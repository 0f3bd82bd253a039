//! The result of a successful delivery.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::{Response, Timings, fraction};
use crate::error::HttpResponse;
use crate::material::pin::PinSlot;
use crate::tls::TlsFacts;
use crate::verify::PeerIdentity;

/// A delivery that the consumer answered with a final 2xx head. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use webhook_mtls::DeliverOptions;
/// # use webhook_mtls::testing::Lab;
/// # use webhook_mtls::{EndpointOptions, Pins};
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let pins = Pins::new([acme.pin()])?;
/// # let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(Some(pins)))?;
/// # let outcome = dispatcher.deliver_blocking(&endpoint, "{}", DeliverOptions::new(), None);
/// # let receipt = outcome.expect("nothing interrupts it")?;
/// use webhook_mtls::material::PinSlot;
///
/// assert_eq!(receipt.consumer(), "acme");
/// assert_eq!(receipt.pin(), Some(PinSlot::Current));
/// assert_eq!(receipt.peer().tenant(), Some("spiffe://lab.test/tenant/acme"));
/// println!("{} in {:?}", receipt.status(), receipt.elapsed());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
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

    /// Returns the consumer id of the endpoint.
    pub fn consumer(&self) -> &str {
        &self.inner.consumer
    }

    /// Returns the event's id, if one was set.
    pub fn id(&self) -> Option<&str> {
        self.inner.id.as_deref()
    }

    /// Returns the HTTP status, 200 to 299.
    pub fn status(&self) -> u16 {
        self.inner.status
    }

    /// Returns the identity in the consumer's certificate.
    pub fn peer(&self) -> &PeerIdentity {
        &self.inner.peer
    }

    /// Returns which of the endpoint's pins matched, or `None` if it has no pins.
    pub fn pin(&self) -> Option<PinSlot> {
        self.inner.peer.pin_slot()
    }

    /// Returns the number of attempts. Another attempt follows only one that sent nothing.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// Returns the total duration of the delivery.
    pub fn elapsed(&self) -> Duration {
        self.inner.elapsed
    }

    /// Returns the TLS version, the cipher suite and the other results of the handshake.
    pub fn tls(&self) -> &TlsFacts {
        &self.inner.tls
    }

    /// Returns whether the delivery used an idle connection.
    pub fn is_reused(&self) -> bool {
        self.inner.reused
    }

    /// Returns whether the consumer answered the head with 100 Continue before the payload was sent.
    /// `None` if the payload was not held. A payload is held by `hold_payload`, or for an identity
    /// under which the consumer has not answered yet.
    pub fn hold_honored(&self) -> Option<bool> {
        self.inner.hold_honored
    }

    /// Returns the response's headers and the first bytes of its body.
    pub fn response(&self) -> &HttpResponse {
        self.inner.answer.response()
    }

    /// Returns the number of response bytes that the receipt holds.
    #[doc(hidden)]
    pub fn answer_len(&self) -> usize {
        self.inner.answer.len()
    }

    /// Returns the whole receipt as the JSON that all languages share. Durations are in milliseconds.
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
