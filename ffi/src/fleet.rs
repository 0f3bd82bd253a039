//! The status of this process, and the statuses of several processes as one.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;

use webhook_mtls::endpoint::merge;

use crate::dispatcher::wmtls_dispatcher;
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, required};
use crate::panic;
use crate::text::{self, StringPool};

/// The status of one process, or of several. docs/fleet.schema.json describes its JSON.
pub struct wmtls_fleet_status {
    json: String,
    strings: StringPool,
}

impl Handle for wmtls_fleet_status {}

impl wmtls_fleet_status {
    fn new(json: &impl ToString) -> Self {
        Self { json: json.to_string(), strings: StringPool::new() }
    }
}

/// Returns the status of this process: what wmtls_dispatcher_rotation_status, wmtls_endpoint_status and
/// wmtls_dispatcher_expiries say. wmtls_merge makes one of those of several processes.
///
/// `process`: the name of this process, which no other one of the fleet has: 1 to 256 bytes without
/// control characters.
/// `out`: receives the status; free it with wmtls_fleet_status_free.
///
/// Fails with WMTLS_OPTION_INVALID or WMTLS_CLOCK_IMPLAUSIBLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_dispatcher_process_status(
    dispatcher: Option<&wmtls_dispatcher>,
    process: *const c_char,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_fleet_status>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let process = unsafe { text::required(process, "process") }?;
        let status = required(dispatcher, "dispatcher")?.dispatcher.process_status(process)?;
        Ok(wmtls_fleet_status::new(&status))
    })
}

/// Merges the statuses of several processes, and says which process knows what. Where they disagree,
/// the merged status has the identity that is still needed, the earlier date and the worse circuit.
/// wmtls_retire_in_fleet takes it.
///
/// `statuses`, `count`: wmtls_fleet_status_json of the status of each process.
/// `out`: receives the merged status; free it with wmtls_fleet_status_free.
///
/// Fails with WMTLS_OPTION_INVALID if there is no status, if one is not the status of a process, or if
/// two are of one process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_merge(
    statuses: *const *const c_char,
    count: usize,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_fleet_status>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        // SAFETY: the caller follows the header's conventions.
        let statuses = unsafe { text::list(statuses, count, "statuses") }?;
        Ok(wmtls_fleet_status::new(&merge(statuses)?))
    })
}

/// Returns the status as JSON, in the same form in every language.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_fleet_status_json(status: Option<&wmtls_fleet_status>) -> *const c_char {
    panic::value(ptr::null(), || {
        status.map_or(ptr::null(), |handle| handle.strings.add(&handle.json))
    })
}

/// Frees a status.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_fleet_status_free(status: Option<Box<wmtls_fleet_status>>) {
    panic::value((), || drop(status));
}
