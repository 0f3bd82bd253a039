//! Certificates that a proxy forwards in request headers.

use napi_derive::napi;
use webhook_mtls::forwarded::{Dialect, Hop, Remote};
use webhook_mtls::{Kind, Pins, Verifier};

use crate::convert::{CallResult, Handle, guarded};
use crate::verifier::instant;

#[napi]
pub fn hop_address(name: String, networks: Vec<String>) -> CallResult<Handle<Hop>> {
    guarded(|| Hop::address(&name, networks).map(Handle))
}

#[napi]
pub fn hop_secret(name: String, header: String, value: String) -> CallResult<Handle<Hop>> {
    guarded(|| Hop::secret(&name, &header, &value).map(Handle))
}

#[napi]
pub fn hop_certificate(name: String, pins: Handle<Pins>) -> CallResult<Handle<Hop>> {
    guarded(|| Hop::certificate(&name, pins.0).map(Handle))
}

#[napi]
pub fn hop_unix(name: String) -> CallResult<Handle<Hop>> {
    guarded(|| Hop::unix(&name).map(Handle))
}

/// Checks what middleware knows of the arguments of `verify_forwarded` before any request.
#[napi]
pub fn check_forwarding(verifier: Handle<Verifier>, dialect: String) -> CallResult<()> {
    guarded(|| {
        Dialect::named(&dialect)?;
        verifier.0.check_forwarding()
    })
}

/// Counts a request that middleware has refused, by the name of the kind.
#[napi]
pub fn count_refused_request(verifier: Handle<Verifier>, kind: String) {
    if let Some(kind) = Kind::from_name(&kind) {
        verifier.0.count_refused_request(kind);
    }
}

/// Verifies a forwarded certificate and returns the peer's JSON.
///
/// * `lines`: name, value, name, value, as `rawHeaders` of `node:http` has them.
/// * `at_ms`: the time of verification in Unix milliseconds; by default now.
#[napi]
pub fn verify_forwarded(
    verifier: Handle<Verifier>,
    lines: Vec<String>,
    dialect: String,
    hop: Handle<Hop>,
    remote: Option<String>,
    at_ms: Option<f64>,
) -> CallResult<String> {
    guarded(|| {
        let dialect = Dialect::named(&dialect)?;
        let remote = remote.as_deref().map(Remote::parse).transpose()?;
        let headers: Vec<(&str, &str)> =
            lines.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        let at = instant(at_ms)?;
        let peer = verifier.0.verify_forwarded(&headers, dialect, &hop.0, remote, at)?;
        Ok(peer.to_json().to_string())
    })
}
