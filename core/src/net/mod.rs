//! Floor 6: the way to the consumer. Reads URLs, resolves hosts, judges addresses, opens sockets.
//! Knows nothing of TLS or of what will be sent.

mod cidr;
mod connect;
mod egress;
mod getaddrinfo;
mod hosts;
mod proxy;
mod resolve;
mod route;
mod system;
mod url;

pub(crate) use connect::{Sockets, connect};
pub use egress::Egress;
pub use proxy::Proxy;
pub(crate) use resolve::resolve;
pub(crate) use route::Route;
pub(crate) use url::{Host, Url};
