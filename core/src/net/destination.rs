//! What to connect to: checked addresses, or the consumer's name for a proxy that resolves it.

use std::fmt;
use std::net::SocketAddr;

/// The destination of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Addresses of the consumer that the egress policy allows, in the order of the resolver.
    Addresses(Vec<SocketAddr>),
    /// The consumer's name and port. The proxy resolves it, so no policy of ours applies.
    Name(String),
}

impl Destination {
    /// The addresses, or the name alone, as text.
    pub(crate) fn texts(&self) -> Vec<String> {
        match self {
            Self::Addresses(addresses) => addresses.iter().map(SocketAddr::to_string).collect(),
            Self::Name(name) => vec![name.clone()],
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(", "))
    }
}
