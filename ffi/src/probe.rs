//! What a handshake without a payload has shown.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::{Probe, ProbeOptions};

use crate::dispatcher::{wait, wmtls_dispatcher};
use crate::endpoint::wmtls_endpoint;
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, required};
use crate::peer::wmtls_peer;
use crate::text::Lent;
use crate::{panic, words};

/// A handshake that was completed without a payload: the consumer passed every check that a delivery
/// makes, asked for our certificate, and did not refuse it there.
pub struct wmtls_probe {
    probe: Probe,
    peer: wmtls_peer,
    lent: Lent,
}

impl Handle for wmtls_probe {}

/// Shakes hands with a consumer over a connection of its own, judges it as a delivery would, and
/// closes. No byte of a request is sent. A consumer that refuses our certificate only in its answer
/// to a request, as nginx does, is not found out.
///
/// `timeout_ms`: the time it may take in all, at most a day; 0 for the dispatcher's.
///
/// Fails with what a delivery fails with before its request.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_dispatcher_probe(
    dispatcher: Option<&wmtls_dispatcher>,
    endpoint: Option<&wmtls_endpoint>,
    timeout_ms: u64,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_probe>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let dispatcher = required(dispatcher, "dispatcher")?;
        let endpoint = &required(endpoint, "endpoint")?.endpoint;
        let options = match timeout_ms {
            0 => ProbeOptions::new(),
            millis => ProbeOptions::new().timeout(Duration::from_millis(millis))?,
        };
        let probe = wait(dispatcher.dispatcher.probe(endpoint, options))??;
        let peer = wmtls_peer::new(probe.peer().clone());
        Ok(wmtls_probe { probe, peer, lent: Lent::new() })
    })
}

/// The peer as its certificate shows it, with its dates. Belongs to the probe; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_peer(probe: Option<&wmtls_probe>) -> Option<&wmtls_peer> {
    panic::value(None, || probe.map(|handle| &handle.peer))
}

/// Which pin matched: WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_pin(probe: Option<&wmtls_probe>) -> i32 {
    panic::value(words::NONE, || {
        probe.and_then(|handle| handle.probe.pin()).map_or(words::NONE, |slot| slot as i32)
    })
}

/// The TLS version, "TLSv1.3" or "TLSv1.2".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_tls_version(probe: Option<&wmtls_probe>) -> *const c_char {
    lend(probe, |probe| probe.tls().version.to_owned())
}

/// The address and port that were connected to.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_address(probe: Option<&wmtls_probe>) -> *const c_char {
    lend(probe, |probe| probe.address().to_string())
}

/// The whole result as JSON, in the form that every language shows.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_json(probe: Option<&wmtls_probe>) -> *const c_char {
    lend(probe, |probe| probe.to_json().to_string())
}

/// Frees a probe.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_free(probe: Option<Box<wmtls_probe>>) {
    panic::value((), || drop(probe));
}

fn lend(probe: Option<&wmtls_probe>, get: impl FnOnce(&Probe) -> String) -> *const c_char {
    panic::value(ptr::null(), || {
        probe.map_or(ptr::null(), |handle| handle.lent.lend(&get(&handle.probe)))
    })
}
