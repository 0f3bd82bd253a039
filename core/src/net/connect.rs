//! From a host to a connected socket. The address that was judged is the one connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use super::{Egress, Host, Url};
use crate::error::{Blame, Error, Kind};

/// The addresses of the URL's host that may be connected to; never an empty list.
///
/// Fails with `host_not_found`, `resolve_failed` or `egress_denied`.
pub(crate) async fn resolve(url: &Url, egress: &Egress) -> Result<Vec<SocketAddr>, Error> {
    let found: Vec<IpAddr> = match &url.host {
        Host::Ip(address) => vec![*address],
        Host::Dns(name) => tokio::net::lookup_host((name.as_str(), url.port))
            .await
            .map_err(|error| resolve_fault(name, &error))?
            .map(|address| address.ip())
            .collect(),
    };
    let mut allowed = Vec::with_capacity(found.len());
    let mut refusal = None;
    for address in found {
        match egress.check(address) {
            Ok(()) => allowed.push(SocketAddr::new(address, url.port)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    if !allowed.is_empty() {
        return Ok(allowed);
    }
    Err(refusal.unwrap_or_else(|| {
        Error::new(Kind::HostNotFound, format!("the host {} has no address", url.authority))
            .noting("host", url.authority.clone())
    }))
}

/// Whether the name is unknown or the resolver unwell stands only in the text of the error.
fn resolve_fault(name: &str, error: &io::Error) -> Error {
    let text = error.to_string();
    let kind = if text.contains("not known") || text.contains("No address associated") {
        Kind::HostNotFound
    } else {
        Kind::ResolveFailed
    };
    let message = match kind {
        Kind::HostNotFound => format!("the host {name} is unknown to the resolver"),
        _ => format!("the host {name} could not be looked up: {text}"),
    };
    Error::new(kind, message).noting("host", name)
}

/// Connects to the first address that answers. Fails with `connect_failed` or `egress_denied`.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
    egress: &Egress,
) -> Result<(TcpStream, SocketAddr), Error> {
    let mut faults = Vec::new();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let peer =
                    stream.peer_addr().map_err(|error| connect_fault(&[(*address, error)]))?;
                // Routes and redirecting firewalls aside, this is the address judged before.
                egress.check(peer.ip())?;
                // The request is written whole; waiting for more to send would only add latency.
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer));
            }
            Err(error) => faults.push((*address, error)),
        }
    }
    Err(connect_fault(&faults))
}

fn connect_fault(faults: &[(SocketAddr, io::Error)]) -> Error {
    let list: Vec<String> =
        faults.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    let refused = faults.iter().any(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused);
    let error = Error::new(Kind::ConnectFailed, format!("no connection to {}", list.join("; ")));
    let error = error.noting(
        "addresses",
        faults.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>(),
    );
    // Somebody answered that nobody listens: that is the consumer's host, not the way to it.
    if refused { error.blamed(Blame::Theirs) } else { error }
}
