//! The names of the core's enums. The header has the constants, which `cargo xtask generate` writes
//! from the core's tables.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::diagnosis::{Addressee, DiagnosisRequest};
use webhook_mtls::dispatcher::{LogLevel, MetricsFormat};
use webhook_mtls::endpoint::CircuitState;
use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::material::{PinSlot, SignatureScheme};
use webhook_mtls::retry::Action;
use webhook_mtls::{Kind, Retry, Role, Sent};

use crate::panic;
use crate::text::static_text;

/// Returned by a getter that has no value. No enum uses this number.
pub(crate) const NONE: i32 = 0;

/// Returns the name of an error kind, such as "pin_mismatch", the same in every language; NULL if
/// no kind has this number. The text lives as long as the process, as does that of every
/// wmtls_..._name function below.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_kind_name(kind: i32) -> *const c_char {
    panic::value(ptr::null(), || {
        let kind = u16::try_from(kind).ok().and_then(Kind::from_number);
        kind.map_or(ptr::null(), |kind| static_text(kind.name()))
    })
}

/// Returns the name of a WMTLS_STAGE_...; NULL if no stage has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_stage_name(stage: i32) -> *const c_char {
    name(stage, Stage::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_BLAME_...; NULL if none has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_blame_name(blame: i32) -> *const c_char {
    name(blame, Blame::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_SCOPE_...; NULL if no scope has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_scope_name(scope: i32) -> *const c_char {
    name(scope, Scope::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_SENT_...; NULL if none has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_sent_name(sent: i32) -> *const c_char {
    name(sent, Sent::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_RETRY_...; NULL if none has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_name(retry: i32) -> *const c_char {
    name(retry, Retry::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_ACTION_...; NULL if no action has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_action_name(action: i32) -> *const c_char {
    name(action, Action::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_PIN_...; NULL if no slot has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_pin_name(slot: i32) -> *const c_char {
    name(slot, PinSlot::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_CIRCUIT_STATE_...; NULL if no state has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_circuit_state_name(state: i32) -> *const c_char {
    name(state, CircuitState::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_LOG_LEVEL_...; NULL if no level has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_log_level_name(level: i32) -> *const c_char {
    name(level, LogLevel::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_METRICS_FORMAT_...; NULL if no format has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_metrics_format_name(format: i32) -> *const c_char {
    name(format, MetricsFormat::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_DIAGNOSIS_REQUEST_...; NULL if no request has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_diagnosis_request_name(request: i32) -> *const c_char {
    name(request, DiagnosisRequest::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_ADDRESSEE_...; NULL if none has this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_addressee_name(addressee: i32) -> *const c_char {
    name(addressee, Addressee::ALL, |value| (*value as i32, value.name()))
}

/// Returns the name of a WMTLS_SIGNATURE_SCHEME_..., as in the IANA registry; NULL if no scheme has this
/// number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_signature_scheme_name(scheme: i32) -> *const c_char {
    name(scheme, SignatureScheme::ALL, |value| (*value as i32, value.name()))
}

/// Returns the version of the library, such as "0.1.0". The text lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_version() -> *const c_char {
    panic::value(ptr::null(), || static_text(env!("CARGO_PKG_VERSION")))
}

/// Returns the role with this number.
pub fn role(number: i32) -> Option<Role> {
    Role::ALL.iter().copied().find(|role| *role as i32 == number)
}

/// Returns the request of a diagnosis with this number.
pub fn diagnosis_request(number: i32) -> Option<DiagnosisRequest> {
    DiagnosisRequest::ALL.iter().copied().find(|request| *request as i32 == number)
}

pub(crate) fn pin_slot(number: i32) -> Option<PinSlot> {
    PinSlot::ALL.iter().copied().find(|slot| *slot as i32 == number)
}

fn name<T>(
    wanted: i32,
    all: &'static [T],
    row: impl Fn(&'static T) -> (i32, &'static str),
) -> *const c_char {
    panic::value(ptr::null(), || {
        let found = all.iter().map(row).find(|(number, _)| *number == wanted);
        found.map_or(ptr::null(), |(_, name)| static_text(name))
    })
}
