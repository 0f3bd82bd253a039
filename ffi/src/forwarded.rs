//! Certificates that a proxy forwards in request headers.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::slice;

use webhook_mtls::forwarded::{Dialect, Hop, MAX_LINES, Remote};
use webhook_mtls::{Error, Pins};

use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, null_argument, required};
use crate::peer::wmtls_peer;
use crate::verifier::{instant, wmtls_verifier};
use crate::{panic, text};

/// A proxy that is believed when it forwards a certificate. Immutable.
pub struct wmtls_hop(Hop);

impl Handle for wmtls_hop {}

/// Makes a hop of the TCP peers with an address in some networks. Free it with wmtls_hop_free.
/// Everything in these networks that can reach the application is believed: name the proxies.
///
/// `name`: 1 to 64 characters of A-Z a-z 0-9 . _ -; the peer and errors show it.
/// `networks`, `count`: addresses or CIDRs, at least one; none may contain every address.
/// `out`: receives the hop.
///
/// Fails with WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_hop_address(
    name: *const c_char,
    networks: *const *const c_char,
    count: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_hop>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let networks = unsafe { text::list(networks, count, "networks") }?;
        Hop::address(name, networks).map(wmtls_hop)
    })
}

/// Makes a hop that is recognized by a secret in a header. The proxy sets it on every request, in
/// place of what a client sends. Free it with wmtls_hop_free.
///
/// `name`: as for wmtls_hop_address.
/// `header`: the name of the header: letters, digits and hyphens.
/// `value`: the secret: 16 to 512 printable ASCII characters. It is compared in constant time, and
/// no error shows it.
/// `out`: receives the hop.
///
/// Fails with WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_hop_secret(
    name: *const c_char,
    header: *const c_char,
    value: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_hop>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let header = unsafe { text::required(header, "header") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        Hop::secret(name, header, value).map(wmtls_hop)
    })
}

/// Makes a hop that is recognized by its own certificate. The application ends the TLS of the proxy,
/// verifies it, and passes its pin as the remote. Free it with wmtls_hop_free.
///
/// `name`: as for wmtls_hop_address.
/// `pins`, `count`: the pins of the proxy, at least one.
/// `out`: receives the hop.
///
/// Fails with WMTLS_OPTION_INVALID or WMTLS_PIN_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_hop_certificate(
    name: *const c_char,
    pins: *const *const c_char,
    count: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_hop>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let pins = unsafe { text::list(pins, count, "pins") }?;
        Hop::certificate(name, Pins::new(pins)?).map(wmtls_hop)
    })
}

/// Makes a hop of the peers of a Unix socket. The permissions of its file must admit only the proxy.
/// Free it with wmtls_hop_free.
///
/// `name`: as for wmtls_hop_address.
/// `out`: receives the hop.
///
/// Fails with WMTLS_OPTION_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_hop_unix(
    name: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_hop>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        Hop::unix(name).map(wmtls_hop)
    })
}

/// Frees a hop.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_hop_free(hop: Option<Box<wmtls_hop>>) {
    panic::value((), || drop(hop));
}

/// Verifies the client certificate that a proxy forwards in the headers of a request. The peer's
/// evidence is "forwarded", with the name of the hop, as wmtls_peer_json shows.
///
/// `verifier`: a verifier of clients. Most proxies forward the leaf alone: give its trust the
/// intermediates.
/// `dialect`: how the proxy writes the certificate: "nginx", "envoy", "aws_alb",
/// "aws_alb_passthrough", "traefik", "haproxy", "caddy", "apache", "gcp", "cloudflare", "rfc9440"
/// or "envoy_json".
/// `hop`: the proxy that is believed.
/// `header_pairs`, `count`: the name and the value of each header line of the request as it arrived,
/// repeats included: `count` pairs, so twice as many texts.
/// `remote`: the peer of the transport itself: an IP address without a port, "unix", or the pin of
/// the proxy's verified certificate. Never an address from a header. NULL if it is not known; only a
/// secret hop needs none.
/// `at`: the time of the verification in Unix seconds, or WMTLS_NOW.
/// `out`: receives the peer; free it with wmtls_peer_free.
///
/// Fails with WMTLS_HOP_UNTRUSTED if the request does not come from the hop or if a client could have
/// written the headers, with WMTLS_EVIDENCE_MISSING if the hop forwards no readable certificate, or
/// as wmtls_verify_peer does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verify_forwarded(
    verifier: Option<&wmtls_verifier>,
    dialect: *const c_char,
    hop: Option<&wmtls_hop>,
    header_pairs: *const *const c_char,
    count: usize,
    remote: *const c_char,
    at: i64,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_peer>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let verifier = required(verifier, "verifier")?;
        // SAFETY: the caller follows the header's conventions.
        let dialect = Dialect::named(unsafe { text::required(dialect, "dialect") }?)?;
        let hop = &required(hop, "hop")?.0;
        // SAFETY: as above.
        let headers = unsafe { pairs(header_pairs, count) }?;
        // SAFETY: as above.
        let remote = unsafe { text::optional(remote, "remote") }?;
        let remote = remote.map(Remote::parse).transpose()?;
        let peer =
            verifier.verifier.verify_forwarded(&headers, dialect, hop, remote, instant(at)?)?;
        Ok(wmtls_peer::new(peer))
    })
}

/// The name and the value of a header line.
type Line<'a> = (&'a [u8], &'a [u8]);

/// Borrows the texts of pairs, which need not be UTF-8. More pairs than the core accepts are not read.
///
/// # Safety
///
/// `pairs` is NULL or points to twice `count` pointers to NUL-terminated texts.
unsafe fn pairs<'a>(pairs: *const *const c_char, count: usize) -> Result<Vec<Line<'a>>, Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if pairs.is_null() {
        return Err(null_argument("header_pairs"));
    }
    // SAFETY: the pointer is not NULL, and the caller guarantees the length.
    let texts = unsafe { slice::from_raw_parts(pairs, count.min(MAX_LINES + 1) * 2) };
    let bytes = |text: *const c_char| {
        if text.is_null() {
            return Err(null_argument("header_pairs"));
        }
        // SAFETY: the text is not NULL, so it is NUL-terminated.
        Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
    };
    texts.chunks_exact(2).map(|pair| Ok((bytes(pair[0])?, bytes(pair[1])?))).collect()
}
