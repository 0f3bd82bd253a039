//! Floor 6: the way to the consumer. Reads URLs, resolves hosts, judges addresses, opens sockets.
//! Knows nothing of TLS or of what will be sent.

mod connect;
mod egress;
mod resolve;
mod url;

pub(crate) use connect::connect;
pub use egress::Egress;
pub(crate) use resolve::resolve;
pub(crate) use url::{Host, Url};
