//! The lab: a CA, an identity and consumers for tests of a dispatcher.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, UNIX_EPOCH};

use webhook_mtls::Kind;
use webhook_mtls::testing::{Lab, Nginx, error, set_clock, signatures_checked};
use webhook_mtls_c::dispatcher::{wmtls_dispatcher, wmtls_options};
use webhook_mtls_c::error::{wmtls_error, wmtls_status};
use webhook_mtls_c::handle::{Handle, give, required};
use webhook_mtls_c::identity::wmtls_identity;
use webhook_mtls_c::panic;
use webhook_mtls_c::text::{self, StringPool};
use webhook_mtls_c::trust::wmtls_trust;

use crate::authority::wmtls_lab_authority;
use crate::consumer::wmtls_lab_consumer;

/// A private CA, an identity that it issued, and the consumers made so far.
pub struct wmtls_lab(Lab);

impl Handle for wmtls_lab {}

/// Makes a new CA, which no other lab trusts, and starts the thread of the consumers. Free the
/// lab with wmtls_lab_free.
///
/// Fails with WMTLS_INTERNAL if the machine has no thread, file descriptor or randomness left.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_start(
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || Lab::start().map(wmtls_lab))
}

/// Closes every socket of the lab, ends its thread and frees it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_free(lab: Option<Box<wmtls_lab>>) {
    panic::value((), || drop(lab));
}

/// Returns a new dispatcher with the options of wmtls_lab_options; NULL for NULL. Free it with
/// wmtls_dispatcher_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_dispatcher(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_dispatcher>> {
    panic::value(None, || give(wmtls_dispatcher::new(lab?.0.dispatcher())))
}

/// Returns a builder with the lab's identity and trust, and an egress policy that also allows
/// loopback; NULL for NULL. The first egress setter replaces the whole policy: allow loopback
/// again. Free it with wmtls_options_free unless a function takes it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_options(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_options>> {
    panic::value(None, || give(wmtls_options::new(lab?.0.dispatcher_options())))
}

/// Returns a client identity of the lab's CA for the tenant "dispatcher"; NULL for NULL. Free it
/// with wmtls_identity_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_identity(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_identity>> {
    panic::value(None, || give(wmtls_identity::new(lab?.0.identity())))
}

/// Returns a trust that contains only the lab's root; NULL for NULL. Free it with
/// wmtls_trust_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_trust(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_trust>> {
    panic::value(None, || give(wmtls_trust::new(lab?.0.trust())))
}

/// Returns the lab's CA; NULL for NULL. Free it with wmtls_lab_authority_free.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_of(
    lab: Option<&wmtls_lab>,
) -> Option<Box<wmtls_lab_authority>> {
    panic::value(None, || give(wmtls_lab_authority::new(lab?.0.authority().clone())))
}

/// Sets the clock of the library for the whole process. The clock then runs on. The lab's
/// consumers and certificates use the system clock.
///
/// `at`: Unix seconds, or WMTLS_NOW to use the system clock again.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_set_clock(at: i64) {
    panic::value((), || {
        let at = u64::try_from(at).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        set_clock(at);
    });
}

/// Returns how many signatures of certificates and CRLs this process has checked. A cached
/// signature is not checked again; see wmtls_remember_signatures.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_signatures_checked() -> u64 {
    panic::value(0, signatures_checked)
}

/// Writes tls.crt, tls.key and ca.pem into a directory. It creates the directory if it does not
/// exist.
///
/// `directory`: its path.
///
/// Fails with WMTLS_OPTION_INVALID if a file cannot be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_write_files(
    lab: Option<&wmtls_lab>,
    directory: *const c_char,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        // SAFETY: the caller follows the header's conventions.
        let directory = unsafe { text::required(directory, "directory") }?;
        required(lab, "lab")?.0.write_files(directory)
    })
}

/// nginx in front of an application, on 127.0.0.1.
pub struct wmtls_lab_nginx {
    nginx: Nginx,
    strings: StringPool,
}

impl Handle for wmtls_lab_nginx {}

/// Starts nginx in front of an application: a real proxy that ends mutual TLS, requires a certificate
/// of the lab's CA, and forwards it in the dialect "nginx". A dispatcher of the lab can deliver to its
/// URL. The program must be installed: on Debian, the package nginx-light. It runs until
/// wmtls_lab_nginx_free.
///
/// `application`: host and port of the application, which speaks HTTP.
/// `out`: receives the handle.
///
/// Fails with WMTLS_OPTION_INVALID, or with WMTLS_INTERNAL if nginx is not installed or does not
/// start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_nginx_new(
    lab: Option<&wmtls_lab>,
    application: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_nginx>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let application = unsafe { text::required(application, "application") }?;
        let nginx = required(lab, "lab")?.0.nginx(application)?;
        Ok(wmtls_lab_nginx { nginx, strings: StringPool::new() })
    })
}

/// Returns the URL, "https://127.0.0.1:<port>/". The application gets requests for every path.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_nginx_url(nginx: Option<&wmtls_lab_nginx>) -> *const c_char {
    panic::value(ptr::null(), || {
        nginx.map_or(ptr::null(), |handle| handle.strings.add(handle.nginx.url()))
    })
}

/// Returns the pin of its certificate.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_nginx_pin(nginx: Option<&wmtls_lab_nginx>) -> *const c_char {
    panic::value(ptr::null(), || {
        nginx.map_or(ptr::null(), |handle| handle.strings.add(handle.nginx.pin()))
    })
}

/// Ends nginx and frees the handle.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_nginx_free(nginx: Option<Box<wmtls_lab_nginx>>) {
    panic::value((), || {
        if let Some(handle) = nginx {
            handle.nginx.close();
        }
    });
}

/// Returns the consumer of a name. It starts with the first call for that name. Free the handle
/// with wmtls_lab_consumer_free.
///
/// `name`: the consumer's tenant, 1 to 64 characters of A-Z a-z 0-9 . _ -
/// `out`: receives the consumer.
///
/// Fails with WMTLS_OPTION_INVALID, or with WMTLS_INTERNAL if no port is free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_consumer_new(
    lab: Option<&wmtls_lab>,
    name: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_consumer>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        required(lab, "lab")?.0.consumer(name).map(wmtls_lab_consumer::new)
    })
}

/// Returns an error of a kind with the kind's defaults, to test error handling without a network;
/// NULL if there is no such kind. Free it with wmtls_error_free.
///
/// `kind`: the name of the kind, such as "pin_mismatch".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_error(kind: *const c_char) -> Option<Box<wmtls_error>> {
    panic::value(None, || {
        // SAFETY: the caller follows the header's conventions.
        let kind = unsafe { text::optional(kind, "kind") }.ok()??;
        give(wmtls_error::new(error(Kind::from_name(kind)?)))
    })
}
