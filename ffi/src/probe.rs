//! Probes: handshakes without a payload.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use webhook_mtls::{Error, Probe, ProbeOptions};

use crate::dispatcher::{wait, wmtls_dispatcher};
use crate::endpoint::wmtls_endpoint;
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, required};
use crate::peer::wmtls_peer;
use crate::text::StringPool;
use crate::{enums, panic};

/// A completed handshake without a payload. The consumer passed every check of a delivery,
/// requested our certificate, and did not reject it during the handshake.
pub struct wmtls_probe {
    probe: Probe,
    peer: wmtls_peer,
    strings: StringPool,
}

impl Handle for wmtls_probe {}

impl wmtls_probe {
    pub(crate) fn new(probe: Probe) -> Self {
        let peer = wmtls_peer::new(probe.peer().clone());
        Self { probe, peer, strings: StringPool::new() }
    }
}

/// Opens a new connection to a consumer, runs the handshake with the checks of a delivery, and
/// closes it. It sends no byte of a request. A probe cannot detect a consumer that rejects our
/// certificate only in its HTTP response, as nginx does.
///
/// `timeout_ms`: the time limit in milliseconds, at most 86400000 (one day); 0 uses the
/// dispatcher's.
/// `out`: receives the probe; free it with wmtls_probe_free.
///
/// Fails with the kinds of a delivery that fails before its request.
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
        wait(dispatcher.dispatcher.probe(endpoint, options(timeout_ms)?))?.map(wmtls_probe::new)
    })
}

/// * `timeout_ms`: 0 for the dispatcher's.
pub(crate) fn options(timeout_ms: u64) -> Result<ProbeOptions, Error> {
    match timeout_ms {
        0 => Ok(ProbeOptions::new()),
        millis => ProbeOptions::new().timeout(Duration::from_millis(millis)),
    }
}

/// Returns the peer, as its certificate describes it. It belongs to the probe; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_peer(probe: Option<&wmtls_probe>) -> Option<&wmtls_peer> {
    panic::value(None, || probe.map(|handle| &handle.peer))
}

/// Returns which pin matched, WMTLS_PIN_CURRENT or WMTLS_PIN_NEXT; 0 if the endpoint has no pins,
/// and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_pin(probe: Option<&wmtls_probe>) -> i32 {
    panic::value(enums::NONE, || {
        probe.and_then(|handle| handle.probe.pin()).map_or(enums::NONE, |slot| slot as i32)
    })
}

/// Returns the TLS version, "TLSv1.3" or "TLSv1.2".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_tls_version(probe: Option<&wmtls_probe>) -> *const c_char {
    string(probe, |probe| probe.tls().version.to_owned())
}

/// Returns the IP address and port of the connection.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_address(probe: Option<&wmtls_probe>) -> *const c_char {
    string(probe, |probe| probe.address().to_string())
}

/// Returns the whole result as JSON, in the same form in every language.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_json(probe: Option<&wmtls_probe>) -> *const c_char {
    string(probe, |probe| probe.to_json().to_string())
}

/// Frees a probe.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_probe_free(probe: Option<Box<wmtls_probe>>) {
    panic::value((), || drop(probe));
}

fn string(probe: Option<&wmtls_probe>, get: impl FnOnce(&Probe) -> String) -> *const c_char {
    panic::value(ptr::null(), || {
        probe.map_or(ptr::null(), |handle| handle.strings.add(&get(&handle.probe)))
    })
}
