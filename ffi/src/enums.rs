//! The numbers of the core's enums, and their names. `tests/c/errors.c` compares them.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::error::{Blame, Scope, Stage};
use webhook_mtls::material::PinSlot;
use webhook_mtls::retry::Action;
use webhook_mtls::{Kind, Retry, Role, Sent};

use crate::panic;
use crate::text::static_text;

/// Returned by a getter that has no value. No enum uses this number.
pub(crate) const NONE: i32 = 0;

/// Options, identities, trusts and arguments are checked.
pub const WMTLS_STAGE_CONFIG: i32 = 1;
/// The delivery is admitted: not closed, not canceled, not overloaded.
pub const WMTLS_STAGE_ADMIT: i32 = 2;
/// The host name is resolved, and its addresses are checked against the egress policy.
pub const WMTLS_STAGE_RESOLVE: i32 = 3;
/// TCP connects, through the proxy if there is one.
pub const WMTLS_STAGE_CONNECT: i32 = 4;
/// The TLS handshake.
pub const WMTLS_STAGE_HANDSHAKE: i32 = 5;
/// The request is written.
pub const WMTLS_STAGE_REQUEST: i32 = 6;
/// The response is awaited or read.
pub const WMTLS_STAGE_RESPONSE: i32 = 7;
/// A verifier checks a chain without a connection.
pub const WMTLS_STAGE_VERIFY: i32 = 8;

/// Our own side: the fault was found locally.
pub const WMTLS_BLAME_OURS: i32 = 1;
/// The peer.
pub const WMTLS_BLAME_THEIRS: i32 = 2;
/// The network between us and the peer.
pub const WMTLS_BLAME_PATH: i32 = 3;
/// The caller, who canceled.
pub const WMTLS_BLAME_CALLER: i32 = 4;
/// This side cannot tell.
pub const WMTLS_BLAME_UNKNOWN: i32 = 5;

/// Only this payload.
pub const WMTLS_SCOPE_DELIVERY: i32 = 1;
/// All deliveries to this endpoint.
pub const WMTLS_SCOPE_ENDPOINT: i32 = 2;
/// All deliveries with the same identity.
pub const WMTLS_SCOPE_IDENTITY: i32 = 3;
/// All deliveries of this process.
pub const WMTLS_SCOPE_PROCESS: i32 = 4;

/// No part of the request was sent: a new attempt cannot make a duplicate.
pub const WMTLS_SENT_NOTHING: i32 = 1;
/// Part of the request may have reached the peer.
pub const WMTLS_SENT_MAYBE: i32 = 2;
/// The whole request was sent: the peer may have the payload.
pub const WMTLS_SENT_ALL: i32 = 3;

/// A later attempt can succeed.
pub const WMTLS_RETRY_LATER: i32 = 1;
/// An attempt can succeed after a repair or a rotation.
pub const WMTLS_RETRY_AFTER_REPAIR: i32 = 2;
/// No attempt can succeed.
pub const WMTLS_RETRY_NEVER: i32 = 3;

/// Try again after the delay.
pub const WMTLS_ACTION_RETRY: i32 = 1;
/// Hold the delivery until a repair. Try again after the delay at the latest.
pub const WMTLS_ACTION_PARK: i32 = 2;
/// Give the delivery up.
pub const WMTLS_ACTION_DROP: i32 = 3;

/// A pin of a key in use.
pub const WMTLS_PIN_CURRENT: i32 = 1;
/// A pin of an announced key.
pub const WMTLS_PIN_NEXT: i32 = 2;

/// The peer connects to us and presents a client certificate.
pub const WMTLS_ROLE_CLIENT: i32 = 1;
/// We connect to the peer, which is a TLS server.
pub const WMTLS_ROLE_SERVER: i32 = 2;

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

/// Returns the version of the library, such as "0.1.0". The text lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_version() -> *const c_char {
    panic::value(ptr::null(), || static_text(env!("CARGO_PKG_VERSION")))
}

pub(crate) fn role(number: i32) -> Option<Role> {
    Role::ALL.iter().copied().find(|role| *role as i32 == number)
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
