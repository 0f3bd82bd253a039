//! The way to the consumer: parses URLs, resolves hosts, checks addresses and opens sockets. It knows
//! nothing of TLS or of the request.

mod address_class;
mod cidr;
mod connect;
mod destination;
mod egress;
#[cfg(test)]
mod egress_tests;
mod getaddrinfo;
mod host;
mod hosts;
mod lookup;
mod lookup_history;
pub(crate) mod name_servers;
mod proxy;
mod resolve;
mod route;
mod system;
mod url;

pub(crate) use cidr::Cidr;
pub(crate) use connect::{Sockets, connect};
pub(crate) use destination::Destination;
pub use egress::{Egress, Preset};
pub(crate) use host::Host;
pub use proxy::Proxy;
pub(crate) use resolve::judge_all;
use resolve::resolve;
pub(crate) use route::Route;
pub(crate) use url::Url;
