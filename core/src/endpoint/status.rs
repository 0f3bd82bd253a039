//! What an endpoint's deliveries have shown.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::admission::CircuitState;
use crate::clock::{unix_millis, unix_seconds};

/// What the deliveries of this process have shown of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// The pin of the key that the consumer presented last.
    pub pin_seen: Option<String>,
    /// The configured pins that have matched no delivery so far.
    pub pins_never_seen: Vec<String>,
    /// When the certificate that the consumer presented last expires.
    pub peer_not_after: Option<SystemTime>,
    /// The identity that the consumer accepted last, as the pin of its certificate (`cert-sha256/…`).
    pub identity_accepted: Option<String>,
    /// Whether deliveries are admitted.
    pub circuit: CircuitState,
    /// Until when the circuit is open, if it is.
    pub circuit_open_until: Option<SystemTime>,
}

impl EndpointStatus {
    /// The status as JSON, the same in all languages. Instants are Unix milliseconds.
    pub fn to_json(&self) -> Value {
        let millis = |at| unix_seconds(at).saturating_mul(1000);
        json!({
            "pin_seen": self.pin_seen,
            "pins_never_seen": self.pins_never_seen,
            "peer_not_after_ms": self.peer_not_after.map(millis),
            "identity_accepted": self.identity_accepted,
            "circuit": self.circuit.name(),
            "circuit_open_until_ms": self.circuit_open_until.map(unix_millis),
        })
    }
}
