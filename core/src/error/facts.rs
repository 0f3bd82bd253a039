//! What a failed delivery or probe knew when it ended, in the shapes of a receipt.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

/// The facts of one delivery or probe that failed.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryFacts {
    /// The event's id, if one was set.
    pub(crate) id: Option<String>,
    /// How many attempts began.
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    /// Of the last attempt, like the fields below.
    pub(crate) timings: Timings,
    pub(crate) connection: Option<ConnectionParts>,
    /// The handshake, if the peer's ServerHello arrived.
    pub(crate) handshake: Option<ShownHandshake>,
}

/// The connection of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionParts {
    pub(crate) reused: bool,
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Option<String>,
}

/// A handshake: as it was, or as read from the JSON of an error.
#[derive(Clone, Debug)]
pub(crate) enum ShownHandshake {
    Known(Arc<dyn HandshakeJson>),
    Read { tls: Value, peer: Value },
}

/// A handshake, completed or not. It is converted to JSON only if the error is.
pub(crate) trait HandshakeJson: Debug + Send + Sync {
    /// Returns the parameters of the TLS connection, as in a receipt.
    fn tls_json(&self) -> Value;

    /// Returns the identity of the verified peer, as in a receipt. Returns `null` if the handshake was not
    /// completed.
    fn peer_json(&self) -> Value;
}

/// How long the phases of an attempt took. `None`: the phase did not begin. The first three are zero
/// on a reused connection. If the attempt failed in a phase, the phase ended at the failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timings {
    pub(crate) resolve: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) handshake: Option<Duration>,
    pub(crate) response: Option<Duration>,
}

impl DeliveryFacts {
    /// The facts of a delivery or probe without an attempt.
    pub(crate) fn of_none(id: Option<String>, elapsed: Duration) -> Self {
        let timings = Timings::default();
        Self { id, attempts: 0, elapsed, timings, connection: None, handshake: None }
    }

    /// Adds the facts to the JSON object of an error.
    pub(super) fn show(facts: Option<&Self>, error: &mut Value) {
        let handshake = facts.and_then(|facts| facts.handshake.as_ref());
        error["id"] = json!(facts.and_then(|facts| facts.id.as_deref()));
        error["attempts"] = json!(facts.map(|facts| facts.attempts));
        error["elapsed_ms"] = json!(facts.map(|facts| fraction(facts.elapsed)));
        error["timings"] = json!(facts.map(|facts| facts.timings.to_json()));
        error["connection"] =
            json!(facts.and_then(|facts| Some(facts.connection.as_ref()?.to_json())));
        error["tls"] = json!(handshake.map(ShownHandshake::tls_json));
        error["peer"] = json!(handshake.map(ShownHandshake::peer_json));
    }

    /// Reads the facts in the JSON of an error. Returns `None` if there are none, as in an error of an
    /// older version or one that concerns no delivery.
    pub(super) fn from_json(error: &Value) -> Option<Self> {
        let attempts = error.get("attempts")?.as_u64()?;
        let object = |key| error.get(key).filter(|value| value.is_object());
        Some(Self {
            id: error.get("id").and_then(Value::as_str).map(str::to_owned),
            attempts: u32::try_from(attempts).ok()?,
            elapsed: duration(error.get("elapsed_ms")?)?,
            timings: object("timings").map(Timings::from_json).unwrap_or_default(),
            connection: object("connection").and_then(ConnectionParts::from_json),
            handshake: object("tls").map(|tls| {
                let peer = object("peer").cloned().unwrap_or_default();
                ShownHandshake::Read { tls: tls.clone(), peer }
            }),
        })
    }
}

impl ConnectionParts {
    /// Returns the JSON that receipts and errors share.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "reused": self.reused,
            "address": self.address.to_string(),
            "proxy": self.proxy,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            reused: value.get("reused")?.as_bool()?,
            address: value.get("address")?.as_str()?.parse().ok()?,
            proxy: value.get("proxy").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

impl ShownHandshake {
    pub(crate) fn tls_json(&self) -> Value {
        match self {
            Self::Known(handshake) => handshake.tls_json(),
            Self::Read { tls, .. } => tls.clone(),
        }
    }

    fn peer_json(&self) -> Value {
        match self {
            Self::Known(handshake) => handshake.peer_json(),
            Self::Read { peer, .. } => peer.clone(),
        }
    }
}

impl Timings {
    /// Returns the JSON that receipts and errors share.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "resolve_ms": self.resolve.map(fraction),
            "connect_ms": self.connect.map(fraction),
            "handshake_ms": self.handshake.map(fraction),
            "response_ms": self.response.map(fraction),
        })
    }

    fn from_json(value: &Value) -> Self {
        let of = |key| value.get(key).and_then(duration);
        Self {
            resolve: of("resolve_ms"),
            connect: of("connect_ms"),
            handshake: of("handshake_ms"),
            response: of("response_ms"),
        }
    }
}

/// Converts to milliseconds with microseconds as the fraction.
#[allow(clippy::cast_precision_loss, reason = "microseconds of a delivery fit")]
pub(crate) fn fraction(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Reads what [`fraction`] wrote. Returns `None` for any other value.
fn duration(millis: &Value) -> Option<Duration> {
    let micros = (millis.as_f64()? * 1000.0).round();
    // A year. The upper bound keeps the conversion exact.
    let valid = (0.0..=3.2e13).contains(&micros);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    valid.then(|| Duration::from_micros(micros as u64))
}
