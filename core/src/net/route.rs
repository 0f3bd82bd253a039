//! The route to the consumers of a dispatcher: its egress policy and its proxy.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::TcpStream;

use super::{Egress, Proxy, Sockets, connect};
use crate::admission::fair_limit::Permit;
use crate::error::Error;

/// An egress policy, and a proxy if there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    pub(crate) egress: Egress,
    pub(crate) proxy: Option<Proxy>,
}

impl Route {
    /// Returns the host and port of the proxy, if there is one.
    pub(crate) fn through(&self) -> Option<String> {
        self.proxy.as_ref().map(Proxy::authority)
    }

    /// Connects to one of these addresses, which the egress policy has allowed. Returns the stream, its
    /// address and the permit of its socket.
    ///
    /// * `by`: the deadline of the caller.
    ///
    /// Fails with `connect_failed`, `egress_denied`, `proxy_refused` or `overloaded`.
    pub(crate) async fn connect(
        &self,
        addresses: &[SocketAddr],
        sockets: Sockets,
        by: Instant,
    ) -> Result<(TcpStream, SocketAddr, Option<Permit>), Error> {
        match &self.proxy {
            Some(proxy) => proxy.tunnel(addresses, sockets, by).await,
            None => connect(addresses, &self.egress, sockets, by).await,
        }
    }
}
