//! The numbers of the core's words, and their names. `tests/c/errors.c` compares them.

use std::ffi::c_char;
use std::ptr;

use webhook_mtls::{Action, Blame, Kind, PinSlot, Retry, Role, Scope, Sent, Stage};

use crate::panic;
use crate::text::lend_word;

/// What a getter says where there is nothing to say. No word has this number.
pub(crate) const NONE: i32 = 0;

/// Options, material and arguments.
pub const WMTLS_STAGE_CONFIG: i32 = 1;
/// May the delivery start: open, not canceled, not overloaded.
pub const WMTLS_STAGE_ADMIT: i32 = 2;
/// Host name to addresses, and whether they may be reached.
pub const WMTLS_STAGE_RESOLVE: i32 = 3;
/// TCP, and the proxy if there is one.
pub const WMTLS_STAGE_CONNECT: i32 = 4;
/// TLS.
pub const WMTLS_STAGE_HANDSHAKE: i32 = 5;
/// The request is being written.
pub const WMTLS_STAGE_REQUEST: i32 = 6;
/// The answer is awaited or read.
pub const WMTLS_STAGE_RESPONSE: i32 = 7;
/// A verifier judges a chain outside any connection.
pub const WMTLS_STAGE_VERIFY: i32 = 8;

/// Ours: a fault found locally.
pub const WMTLS_BLAME_OURS: i32 = 1;
/// The peer's.
pub const WMTLS_BLAME_THEIRS: i32 = 2;
/// Something between us and the peer.
pub const WMTLS_BLAME_PATH: i32 = 3;
/// The caller's, who canceled.
pub const WMTLS_BLAME_CALLER: i32 = 4;
/// It cannot be known from here.
pub const WMTLS_BLAME_UNKNOWN: i32 = 5;

/// This payload alone.
pub const WMTLS_SCOPE_DELIVERY: i32 = 1;
/// Everything for this endpoint.
pub const WMTLS_SCOPE_ENDPOINT: i32 = 2;
/// Everything that uses the same identity.
pub const WMTLS_SCOPE_IDENTITY: i32 = 3;
/// Everything in this process.
pub const WMTLS_SCOPE_PROCESS: i32 = 4;

/// Nothing of the request: delivering again cannot make a duplicate.
pub const WMTLS_SENT_NOTHING: i32 = 1;
/// Some bytes may have reached the peer.
pub const WMTLS_SENT_MAYBE: i32 = 2;
/// All of it: the peer may hold the payload.
pub const WMTLS_SENT_ALL: i32 = 3;

/// Later.
pub const WMTLS_RETRY_LATER: i32 = 1;
/// After a person or a rotation has acted.
pub const WMTLS_RETRY_AFTER_REPAIR: i32 = 2;
/// Never.
pub const WMTLS_RETRY_NEVER: i32 = 3;

/// Try again after the delay.
pub const WMTLS_ACTION_RETRY: i32 = 1;
/// Hold it until somebody has acted; look again after the delay at the latest.
pub const WMTLS_ACTION_PARK: i32 = 2;
/// Give it up.
pub const WMTLS_ACTION_DROP: i32 = 3;

/// A pin in use now.
pub const WMTLS_PIN_CURRENT: i32 = 1;
/// A pin announced for the next key.
pub const WMTLS_PIN_NEXT: i32 = 2;

/// The peer connects to us and presents a client certificate.
pub const WMTLS_ROLE_CLIENT: i32 = 1;
/// We connect to the peer, a TLS server.
pub const WMTLS_ROLE_SERVER: i32 = 2;

/// The name of a kind, such as "pin_mismatch", equal in every language; NULL if no kind has this
/// number. It is never freed, like the names below.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_kind_name(kind: i32) -> *const c_char {
    panic::value(ptr::null(), || {
        let kind = u16::try_from(kind).ok().and_then(Kind::from_number);
        kind.map_or(ptr::null(), |kind| lend_word(kind.name()))
    })
}

/// The name of a WMTLS_STAGE_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_stage_name(stage: i32) -> *const c_char {
    name(stage, Stage::ALL, |word| (*word as i32, word.name()))
}

/// The name of a WMTLS_BLAME_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_blame_name(blame: i32) -> *const c_char {
    name(blame, Blame::ALL, |word| (*word as i32, word.name()))
}

/// The name of a WMTLS_SCOPE_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_scope_name(scope: i32) -> *const c_char {
    name(scope, Scope::ALL, |word| (*word as i32, word.name()))
}

/// The name of a WMTLS_SENT_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_sent_name(sent: i32) -> *const c_char {
    name(sent, Sent::ALL, |word| (*word as i32, word.name()))
}

/// The name of a WMTLS_RETRY_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_retry_name(retry: i32) -> *const c_char {
    name(retry, Retry::ALL, |word| (*word as i32, word.name()))
}

/// The name of a WMTLS_ACTION_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_action_name(action: i32) -> *const c_char {
    name(action, Action::ALL, |word| (*word as i32, word.name()))
}

/// The name of a WMTLS_PIN_...; NULL if there is none of this number.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_pin_name(slot: i32) -> *const c_char {
    name(slot, PinSlot::ALL, |word| (*word as i32, word.name()))
}

/// The version of the library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_version() -> *const c_char {
    panic::value(ptr::null(), || lend_word(env!("CARGO_PKG_VERSION")))
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
        found.map_or(ptr::null(), |(_, name)| lend_word(name))
    })
}
