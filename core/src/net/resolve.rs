//! The addresses of a URL's host that may be connected to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::lookup::look_up;
use super::{Egress, Host, Url};
use crate::error::{Blame, Error, Kind, cause, key};

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
    let check =
        |ip| egress.check(ip).map_err(|error| if is_in(url) { by_url(error) } else { error });
    Ok(found.into_iter().map(|ip| (SocketAddr::new(ip, url.port), check(ip))).collect())
}

/// Returns whether the URL itself has its address, so that no name server of the consumer gave it.
fn is_in(url: &Url) -> bool {
    match &url.host {
        Host::Ip(_) => true,
        Host::Dns(name) => is_localhost(name.as_ref()),
    }
}

/// Returns whether the name means the machine that looks it up (RFC 6761 section 6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The error for a denied address that the URL has: the policy or the URL is wrong, and only the owner of
/// both can tell.
fn by_url(error: Error) -> Error {
    if error.fact(key::CAUSE).is_some() {
        return error;
    }
    let remedy = format!("{} If they are not, correct the URL of the endpoint.", error.remedy());
    error.blamed(Blame::Unknown).advising(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(url: &str) -> Error {
        let url = Url::parse(url).unwrap();
        let judged = judge_all(&url, &Egress::public(), &Arc::from("acme")).await.unwrap();
        judged.into_iter().find_map(|(_, verdict)| verdict.err()).expect("the address is denied")
    }

    #[tokio::test]
    async fn a_denied_address_that_the_url_has_is_not_the_fault_of_the_consumer() {
        for url in ["https://127.0.0.1/in", "https://localhost/in"] {
            let error = refusal(url).await;
            assert_eq!(
                (error.kind(), error.blame()),
                (Kind::EgressDenied, Blame::Unknown),
                "{url}"
            );
            assert!(error.remedy().ends_with("If they are not, correct the URL of the endpoint."));
        }
    }

    #[tokio::test]
    async fn the_metadata_service_in_a_url_is_the_fault_of_the_consumer() {
        let error = refusal("https://169.254.169.254/in").await;
        assert_eq!(error.blame(), Blame::Theirs);
        assert!(error.remedy().contains("hostile"), "{}", error.remedy());
    }
}
