//! What a verification yields.

use std::ffi::c_char;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

use webhook_mtls::PeerIdentity;

use crate::handle::Handle;
use crate::panic;
use crate::text::Lent;

/// A verified peer.
pub struct wmtls_peer {
    peer: PeerIdentity,
    lent: Lent,
}

impl Handle for wmtls_peer {}

impl wmtls_peer {
    pub(crate) fn new(peer: PeerIdentity) -> Self {
        Self { peer, lent: Lent::new() }
    }
}

/// The tenant by the rule; without a rule, the certificate's one SAN URI, if that is a SPIFFE ID or
/// another URI with one spelling; NULL if it names none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_tenant(peer: Option<&wmtls_peer>) -> *const c_char {
    lend(peer, |peer| peer.tenant().map(str::to_owned))
}

/// The certificate's subject as RFC 4514 text.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_subject(peer: Option<&wmtls_peer>) -> *const c_char {
    lend(peer, |peer| Some(peer.subject()))
}

/// The pin of the public key, "sha256/...".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_spki_pin(peer: Option<&wmtls_peer>) -> *const c_char {
    lend(peer, |peer| Some(peer.spki_pin()))
}

/// The configured pin that matched; NULL if none was configured.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_matched_pin(peer: Option<&wmtls_peer>) -> *const c_char {
    lend(peer, PeerIdentity::matched_pin)
}

/// The first instant of the certificate's validity, in Unix seconds; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_not_before(peer: Option<&wmtls_peer>) -> i64 {
    panic::value(0, || peer.map_or(0, |handle| unix_seconds(handle.peer.not_before())))
}

/// The last instant of the certificate's validity, in Unix seconds; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_not_after(peer: Option<&wmtls_peer>) -> i64 {
    panic::value(0, || peer.map_or(0, |handle| unix_seconds(handle.peer.not_after())))
}

/// The whole identity as JSON, in the form that every language shows.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_json(peer: Option<&wmtls_peer>) -> *const c_char {
    lend(peer, |peer| Some(peer.to_json().to_string()))
}

/// Frees a peer that wmtls_verify_peer made.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_peer_free(peer: Option<Box<wmtls_peer>>) {
    panic::value((), || drop(peer));
}

fn lend(
    peer: Option<&wmtls_peer>,
    get: impl FnOnce(&PeerIdentity) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        peer.map_or(ptr::null(), |handle| handle.lent.lend_some(get(&handle.peer).as_deref()))
    })
}

pub(crate) fn unix_seconds(instant: SystemTime) -> i64 {
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match instant.duration_since(UNIX_EPOCH) {
        Ok(after) => seconds(after),
        Err(before) => -seconds(before.duration()),
    }
}
