//! A request that a consumer of the lab received.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use webhook_mtls::testing::Received;
use webhook_mtls_c::handle::Handle;
use webhook_mtls_c::panic;
use webhook_mtls_c::text::{self, StringPool};

/// A complete request that a consumer of the lab received.
pub struct wmtls_lab_request {
    received: Received,
    strings: StringPool,
}

impl Handle for wmtls_lab_request {}

impl wmtls_lab_request {
    pub(crate) fn new(received: Received) -> Self {
        Self { received, strings: StringPool::new() }
    }
}

/// Returns the body. It belongs to the request.
///
/// `len`: receives the length in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_request_body(
    request: Option<&wmtls_lab_request>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_void {
    panic::value(ptr::null(), || {
        let body = request.map_or(&[][..], |handle| &handle.received.body);
        if let Some(len) = len {
            len.write(body.len());
        }
        request.map_or(ptr::null(), |_| body.as_ptr().cast())
    })
}

/// Returns the first header of a name; NULL if there is none.
///
/// `name`: the name of the header, in any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_request_header(
    request: Option<&wmtls_lab_request>,
    name: *const c_char,
) -> *const c_char {
    string(request, |received| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::optional(name, "name") }.ok()??;
        let found = received.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    })
}

/// Returns the tenant in the client certificate; NULL if the client presented none.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_request_tenant(request: Option<&wmtls_lab_request>) -> *const c_char {
    string(request, |received| received.tenant.as_deref())
}

/// Returns the server name that the client sent in its handshake (SNI); NULL if it sent none, as for
/// a URL with an IP address.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_request_server_name(
    request: Option<&wmtls_lab_request>,
) -> *const c_char {
    string(request, |received| received.server_name.as_deref())
}

/// Returns the request target, such as "/webhooks/acme".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_request_path(request: Option<&wmtls_lab_request>) -> *const c_char {
    string(request, |received| Some(&received.path))
}

/// Frees a request.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_request_free(request: Option<Box<wmtls_lab_request>>) {
    panic::value((), || drop(request));
}

fn string(
    request: Option<&wmtls_lab_request>,
    get: impl FnOnce(&Received) -> Option<&str>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        request.map_or(ptr::null(), |handle| handle.strings.add_optional(get(&handle.received)))
    })
}
