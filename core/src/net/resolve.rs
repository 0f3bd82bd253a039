//! The addresses of a URL's host that may be connected to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::lookup::look_up;
use super::{Egress, Host, Url};
use crate::error::{Error, Kind, cause, key};

/// The most addresses of one host that are tried.
const MAX_ADDRESSES: usize = 16;

/// Returns the addresses of the URL's host that the egress policy allows, in the order of the resolver
/// (RFC 6724). The list is never empty.
///
/// * `owner`: the owner whose share of the DNS lookups this uses.
///
/// Fails with `host_not_found`, `resolve_failed`, `egress_denied` or `overloaded`.
pub(crate) async fn resolve(
    url: &Url,
    egress: &Egress,
    owner: &Arc<str>,
) -> Result<Vec<SocketAddr>, Error> {
    let judged = judge_all(url, egress, owner).await?;
    let mut allowed = Vec::with_capacity(judged.len());
    let mut refusal = None;
    for (address, verdict) in judged {
        match verdict {
            Ok(()) => allowed.push(address),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    allowed.truncate(MAX_ADDRESSES);
    if !allowed.is_empty() {
        return Ok(allowed);
    }
    Err(refusal.unwrap_or_else(|| {
        Error::new(Kind::HostNotFound, format!("the host {} has no address", url.authority()))
            .noting(key::HOST, url.authority().to_owned())
            .caused(&cause::HOST_WITHOUT_ADDRESS, &[("host", &url.authority())])
    }))
}

/// Returns every address of the URL's host, in the order of the resolver, with the verdict of the egress
/// policy on it.
///
/// Fails with `host_not_found`, `resolve_failed` or `overloaded`.
pub(crate) async fn judge_all(
    url: &Url,
    egress: &Egress,
    owner: &Arc<str>,
) -> Result<Vec<(SocketAddr, Result<(), Error>)>, Error> {
    let found: Vec<IpAddr> = match &url.host {
        Host::Ip(address) => vec![*address],
        Host::Dns(name) => look_up(name.as_ref(), owner).await?,
    };
    let judged = found.into_iter().map(|ip| (SocketAddr::new(ip, url.port), egress.check(ip)));
    Ok(judged.collect())
}
