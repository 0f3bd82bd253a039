//! The result of a successful delivery.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::operation::Operation;
use crate::connection::{HandshakeFacts, Response};
use crate::error::{ConnectionParts, HttpResponse, Timings, fraction};
use crate::log::LogRecord;
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
struct Inner {
    consumer: Arc<str>,
    id: Option<String>,
    attempts: u32,
    elapsed: Duration,
    proxy: Option<String>,
    timings: Timings,
    answered: Answered,
}

/// The answer of a consumer to the successful attempt.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Response,
    pub(super) hold_honored: Option<bool>,
    pub(super) reused: bool,
    pub(super) address: SocketAddr,
    pub(super) handshake: Arc<HandshakeFacts>,
}

impl Receipt {
    /// Makes the receipt of a delivery that was answered.
    pub(super) fn of(operation: &Operation, answered: Answered) -> Self {
        let progress = &operation.progress;
        let inner = Inner {
            consumer: operation.endpoint.consumer_arc(),
            id: operation.id.clone(),
            attempts: progress.attempts(),
            elapsed: progress.finished_after(),
            proxy: operation.dispatcher.options.route.through(),
            timings: progress.timings(),
            answered,
        };
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
        self.inner.answered.answer.status()
    }

    /// Returns the identity in the consumer's certificate.
    pub fn peer(&self) -> &PeerIdentity {
        &self.inner.answered.handshake.peer
    }

    /// Returns which of the endpoint's pins matched, or `None` if it has no pins.
    pub fn pin(&self) -> Option<PinSlot> {
        self.peer().pin_slot()
    }

    /// Returns the number of attempts. Another one follows only if the payload never left, or if the
    /// consumer refused our certificate before it responded.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// Returns the total duration of the delivery.
    pub fn elapsed(&self) -> Duration {
        self.inner.elapsed
    }

    /// Returns the TLS version, the cipher suite and the other results of the handshake.
    pub fn tls(&self) -> &TlsFacts {
        &self.inner.answered.handshake.tls
    }

    /// Returns whether the delivery used an idle connection.
    pub fn is_reused(&self) -> bool {
        self.inner.answered.reused
    }

    /// Returns whether the consumer answered the head with 100 Continue before the payload was sent.
    /// `None` if the payload was not held. A payload is held by `hold_payload`, or for an identity
    /// under which the consumer has not answered yet.
    pub fn hold_honored(&self) -> Option<bool> {
        self.inner.answered.hold_honored
    }

    /// Returns the response's headers and the first bytes of its body.
    pub fn response(&self) -> &HttpResponse {
        self.inner.answered.answer.response()
    }

    /// Returns the number of response bytes that the receipt holds.
    #[doc(hidden)]
    pub fn answer_len(&self) -> usize {
        self.inner.answered.answer.len()
    }

    /// Returns the receipt as a log record, which is below 1 KiB.
    pub fn log_record(&self) -> LogRecord {
        LogRecord::of_receipt(&self.to_json())
    }

    /// Returns the whole receipt as the JSON that all languages share. Durations are in milliseconds.
    pub fn to_json(&self) -> Value {
        let inner = &*self.inner;
        let Answered { reused, address, .. } = inner.answered;
        let connection = ConnectionParts { reused, address, proxy: inner.proxy.clone() };
        json!({
            "consumer": self.consumer(),
            "id": inner.id,
            "status": self.status(),
            "pin": self.pin().map(PinSlot::name),
            "attempts": inner.attempts,
            "elapsed_ms": fraction(inner.elapsed),
            "peer": self.peer().to_json(),
            "tls": self.tls().to_json(),
            "connection": connection.to_json(),
            "hold_honored": self.hold_honored(),
            "timings": inner.timings.to_json(),
            "response": self.response().to_json(),
        })
    }
}
