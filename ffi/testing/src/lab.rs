//! The lab: everything a test of a dispatcher needs.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::{Duration, UNIX_EPOCH};

use webhook_mtls::Kind;
use webhook_mtls::testing::{Lab, error, set_clock, signatures_checked};
use webhook_mtls_c::dispatcher::{wmtls_dispatcher, wmtls_options};
use webhook_mtls_c::error::{wmtls_error, wmtls_status};
use webhook_mtls_c::handle::{Handle, give, required};
use webhook_mtls_c::identity::wmtls_identity;
use webhook_mtls_c::trust::wmtls_trust;
use webhook_mtls_c::{panic, text};

use crate::authority::wmtls_lab_authority;
use crate::consumer::wmtls_lab_consumer;

/// A private CA, an identity of it, and the receivers that were asked for.
pub struct wmtls_lab(Lab);

impl Handle for wmtls_lab {}

/// Makes a CA that no other lab trusts, and starts the thread of its receivers.
///
/// Fails with WMTLS_INTERNAL when the machine has no thread, file descriptor or randomness to give.
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

/// A new dispatcher with wmtls_lab_options; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_dispatcher(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_dispatcher>> {
    panic::value(None, || give(wmtls_dispatcher::new(lab?.0.dispatcher())))
}

/// Options with the lab's identity and trust, and an egress policy that also allows loopback; NULL
/// for NULL. To say the egress policy anew, say all of it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_options(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_options>> {
    panic::value(None, || give(wmtls_options::new(lab?.0.dispatcher_options())))
}

/// A client identity of the lab's CA, for the tenant "dispatcher"; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_identity(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_identity>> {
    panic::value(None, || give(wmtls_identity::new(lab?.0.identity())))
}

/// Trust in the lab's root and in nothing else; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_trust(lab: Option<&wmtls_lab>) -> Option<Box<wmtls_trust>> {
    panic::value(None, || give(wmtls_trust::new(lab?.0.trust())))
}

/// The CA behind the lab; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_authority_of(
    lab: Option<&wmtls_lab>,
) -> Option<Box<wmtls_lab_authority>> {
    panic::value(None, || give(wmtls_lab_authority::new(lab?.0.authority().clone())))
}

/// Lets the library believe, in this whole process, that it is `at` (Unix seconds), and that time
/// runs on from there; WMTLS_NOW is the true time again. The lab's receivers keep to the true time.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_set_clock(at: i64) {
    panic::value((), || {
        let at = u64::try_from(at).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        set_clock(at);
    });
}

/// How many signatures of certificates and CRLs this process has checked so far. A signature that
/// is remembered is not checked again; see wmtls_remember_signatures.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_lab_signatures_checked() -> u64 {
    panic::value(0, signatures_checked)
}

/// Writes tls.crt, tls.key and ca.pem into a directory, which is made if it is missing.
///
/// Fails with WMTLS_OPTION_INVALID when one cannot be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_write_files(
    lab: Option<&wmtls_lab>,
    directory: *const c_char,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::run(err, || {
        // SAFETY: the header's conventions.
        let directory = unsafe { text::required(directory, "directory") }?;
        required(lab, "lab")?.0.write_files(directory)
    })
}

/// The receiver of a name, started when it is first asked for.
///
/// `name`: its tenant: 1 to 64 of A-Z a-z 0-9 . _ -
///
/// Fails with WMTLS_OPTION_INVALID, or WMTLS_INTERNAL when there is no port to listen on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_consumer_new(
    lab: Option<&wmtls_lab>,
    name: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_lab_consumer>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        required(lab, "lab")?.0.consumer(name).map(wmtls_lab_consumer::new)
    })
}

/// A well-formed error of a kind, such as "pin_mismatch", with the defaults of the kind, to test
/// one's own handling without a network; NULL if there is no such kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_lab_error(kind: *const c_char) -> Option<Box<wmtls_error>> {
    panic::value(None, || {
        // SAFETY: the header's conventions.
        let kind = unsafe { text::optional(kind, "kind") }.ok()??;
        give(wmtls_error::new(error(Kind::from_name(kind)?)))
    })
}
