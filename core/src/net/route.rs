//! The route to the consumers of a dispatcher: its egress policy and its proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;

use super::resolve::is_localhost;
use super::{Destination, Egress, Host, Proxy, Sockets, Url, connect, resolve};
use crate::admission::fair_limit::Permit;
use crate::error::{Error, Kind};

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

    /// Whether the proxy resolves the names of hosts, so that their addresses are not known here.
    pub(crate) fn is_by_name(&self, url: &Url) -> bool {
        self.proxy.as_ref().is_some_and(Proxy::is_by_name) && matches!(url.host, Host::Dns(_))
    }

    /// Returns what to connect to for this URL: the addresses of its host that the egress policy allows, or
    /// the name of its host if the proxy resolves names. An address in a URL is checked in both cases.
    ///
    /// * `owner`: the owner whose share of the DNS lookups this uses.
    ///
    /// Fails with `host_not_found`, `resolve_failed`, `egress_denied` or `overloaded`.
    pub(crate) async fn destination(
        &self,
        url: &Url,
        owner: &Arc<str>,
    ) -> Result<Destination, Error> {
        let by_name = self.proxy.as_ref().is_some_and(Proxy::is_by_name);
        if let (true, Host::Dns(name)) = (by_name, &url.host) {
            let name = name.as_ref();
            // It would mean the proxy's own loopback.
            if is_localhost(name) {
                self.egress.check(Ipv4Addr::LOCALHOST.into())?;
            }
            return Ok(Destination::Name(format!("{name}:{}", url.port)));
        }
        Ok(Destination::Addresses(resolve(url, &self.egress, owner).await?))
    }

    /// Connects to a destination. Returns the stream, the address and the permit of its socket. The address
    /// is that of the proxy if the proxy resolves the name.
    ///
    /// * `by`: the deadline of the caller.
    ///
    /// Fails with `connect_failed`, `egress_denied`, `proxy_refused` or `overloaded`.
    pub(crate) async fn connect(
        &self,
        destination: &Destination,
        sockets: Sockets,
        by: Instant,
    ) -> Result<(TcpStream, SocketAddr, Option<Permit>), Error> {
        match (&self.proxy, destination) {
            (Some(proxy), _) => proxy.tunnel(destination, sockets, by).await,
            (None, Destination::Addresses(addresses)) => {
                connect(addresses, &self.egress, sockets, by).await
            }
            (None, Destination::Name(_)) => {
                Err(Error::new(Kind::Internal, "a name without a proxy that resolves it"))
            }
        }
    }
}
