//! A case: a receiver's behavior, and the reports that a truthful client may give.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::receiver::{Conn, Raw};
use crate::world::Manner;

type Act = Arc<dyn Fn(Raw) -> io::Result<()> + Send + Sync>;

/// What a port does with incoming connections.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Port {
    Open,
    /// No process listens.
    Closed,
    /// The port listens without accepting, and its queue is full.
    Full,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) act: Act,
    pub(crate) manner: Manner,
    pub(crate) port: Port,
    /// Whether a client must pass the gate before each delivery except the first.
    pub(crate) gated: bool,
    /// Whether the client presents another certificate in its first delivery than in later ones.
    pub(crate) rotated: bool,
    pub(crate) pin: Option<String>,
    pub(crate) min_tls: &'static str,
    pub(crate) deliveries: u32,
    pub(crate) body: usize,
    /// The total deadline, in milliseconds.
    pub(crate) total: u32,
    pub(crate) timeouts: Vec<(&'static str, u32)>,
    /// The allowed reports per delivery, as JSON subsets. The last entry covers all later
    /// deliveries.
    pub(crate) expect: Vec<Vec<Value>>,
}

impl Case {
    /// Creates a receiver that runs `act` for each connection.
    pub(crate) fn new(
        name: impl Into<String>,
        act: impl Fn(Raw) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            act: Arc::new(act),
            manner: Manner::Right,
            port: Port::Open,
            gated: false,
            rotated: false,
            pin: None,
            min_tls: "1.3",
            deliveries: 1,
            body: 64,
            total: 10_000,
            timeouts: Vec::new(),
            expect: Vec::new(),
        }
    }

    /// Creates a receiver that makes the handshake, then runs `act`.
    pub(crate) fn secure(
        name: impl Into<String>,
        act: impl Fn(Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, move |raw| act(raw.secure()?))
    }

    /// Creates a receiver that reads one request, then runs `act`.
    pub(crate) fn asked(
        name: impl Into<String>,
        act: impl Fn(Conn) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::secure(name, move |mut conn| {
            conn.request()?;
            act(conn)
        })
    }

    /// Creates a receiver that answers its first request with these bytes, then behaves normally.
    pub(crate) fn answering(
        name: impl Into<String>,
        status: u16,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        let bytes = bytes.into();
        Self::asked(name, move |mut conn| {
            conn.say(Some(status), &bytes)?;
            conn.finished();
            conn.behave()
        })
    }

    pub(crate) fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    pub(crate) fn tls12(mut self) -> Self {
        self.min_tls = "1.2";
        self
    }

    pub(crate) fn deliveries(mut self, count: u32) -> Self {
        self.deliveries = count;
        self
    }

    /// Makes several deliveries, each after the receiver has finished with the one before.
    pub(crate) fn gated(mut self, count: u32) -> Self {
        self.gated = true;
        self.deliveries(count)
    }

    /// Makes several deliveries, with another client certificate from the second on.
    pub(crate) fn rotated(mut self, count: u32) -> Self {
        self.rotated = true;
        self.deliveries(count)
    }

    pub(crate) fn body(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }

    pub(crate) fn total(mut self, millis: u32) -> Self {
        self.total = millis;
        self
    }

    pub(crate) fn within(mut self, part: &'static str, millis: u32) -> Self {
        self.timeouts.push((part, millis));
        self
    }

    pub(crate) fn pinned(mut self, pin: &str) -> Self {
        self.pin = Some(pin.to_owned());
        self
    }

    /// Sets the allowed reports of the next delivery.
    pub(crate) fn ends(mut self, allowed: impl IntoIterator<Item = Value>) -> Self {
        self.expect.push(allowed.into_iter().collect());
        self
    }
}

/// A success with this status.
pub(crate) fn receipt(status: u16) -> Value {
    json!({ "receipt": { "status": status, "attempts": 1 } })
}

/// A success on a reused connection, or on a fresh one.
pub(crate) fn over(status: u16, reused: bool) -> Value {
    json!({ "receipt": { "status": status, "connection": { "reused": reused } } })
}

/// A failure of this kind with this `sent`.
pub(crate) fn error(kind: &str, sent: &str) -> Value {
    json!({ "error": { "kind": kind, "sent": sent } })
}

/// A failure with context facts.
pub(crate) fn noting(kind: &str, sent: &str, context: Value) -> Value {
    json!({ "error": { "kind": kind, "sent": sent, "context": context } })
}

/// A response other than 2xx.
pub(crate) fn status(status: u16, retry: &str) -> Value {
    json!({ "error": {
        "kind": "http_status", "sent": "all", "retry": retry, "response": { "status": status }
    } })
}

/// A lost connection. The client cannot know whether `sent` is `maybe` or `all`.
pub(crate) fn lost() -> Vec<Value> {
    vec![error("connection_lost", "maybe"), error("connection_lost", "all")]
}
