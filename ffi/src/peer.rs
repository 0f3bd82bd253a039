//! Verified peers.

use std::ffi::c_char;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

use webhook_mtls::verify::PeerIdentity;

use crate::handle::Handle;
use crate::panic;
use crate::text::StringPool;

/// A verified peer.
pub struct wmtls_peer {
    peer: PeerIdentity,
    strings: StringPool,
}

impl Handle for wmtls_peer {}

impl wmtls_peer {
    pub(crate) fn new(peer: PeerIdentity) -> Self {
        Self { peer, strings: StringPool::new() }
    }

    pub(crate) fn identity(&self) -> &PeerIdentity {
        &self.peer
    }
}

/// Returns the tenant that the tenant rule finds in the certificate. Without a rule, returns the
/// only SAN URI if it is a SPIFFE ID or another URI in canonical form; NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_tenant(peer: Option<&wmtls_peer>) -> *const c_char {
    string(peer, |peer| peer.tenant().map(str::to_owned))
}

/// Returns the subject of the certificate as RFC 4514 text.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_subject(peer: Option<&wmtls_peer>) -> *const c_char {
    string(peer, |peer| Some(peer.subject()))
}

/// Returns the pin of the public key, "sha256/...".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_spki_pin(peer: Option<&wmtls_peer>) -> *const c_char {
    string(peer, |peer| Some(peer.spki_pin()))
}

/// Returns the configured pin that matched; NULL if no pin is configured.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_matched_pin(peer: Option<&wmtls_peer>) -> *const c_char {
    string(peer, PeerIdentity::matched_pin)
}

/// Returns the first instant of the certificate's validity, in Unix seconds; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_not_before(peer: Option<&wmtls_peer>) -> i64 {
    panic::value(0, || peer.map_or(0, |handle| unix_seconds(handle.peer.not_before())))
}

/// Returns the last instant of the certificate's validity, in Unix seconds; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_not_after(peer: Option<&wmtls_peer>) -> i64 {
    panic::value(0, || peer.map_or(0, |handle| unix_seconds(handle.peer.not_after())))
}

/// Returns the whole identity of the peer as JSON, in the same form in every language.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_json(peer: Option<&wmtls_peer>) -> *const c_char {
    string(peer, |peer| Some(peer.to_json().to_string()))
}

/// Frees a peer of wmtls_verify_peer. Do not free the peer of a receipt or a probe.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_free(peer: Option<Box<wmtls_peer>>) {
    panic::value((), || drop(peer));
}

fn string(
    peer: Option<&wmtls_peer>,
    get: impl FnOnce(&PeerIdentity) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        peer.map_or(ptr::null(), |handle| handle.strings.add_optional(get(&handle.peer).as_deref()))
    })
}

pub(crate) fn unix_seconds(instant: SystemTime) -> i64 {
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match instant.duration_since(UNIX_EPOCH) {
        Ok(after) => seconds(after),
        Err(before) => -seconds(before.duration()),
    }
}
