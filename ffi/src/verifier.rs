//! The consumer's side: who is at the other end of a connection.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use webhook_mtls::limits::Limit;
use webhook_mtls::{
    Authorization, Error, TenantRule, Verifier, VerifierOptions, remember_signatures,
};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::peer::wmtls_peer;
use crate::pin::Said;
use crate::rotation::Heard;
use crate::trust::wmtls_trust;
use crate::{panic, text, words};

/// The instant of the call, for wmtls_verify_peer.
pub const WMTLS_NOW: i64 = -1;

/// What a verifier shall expect. A builder.
pub struct wmtls_verifier_options(Builder<Draft>);

impl Handle for wmtls_verifier_options {}

/// Options whose pins are still being said, one by one.
struct Draft {
    options: VerifierOptions,
    pins: Said,
}

/// A builder for peers of a role, below a trust's anchors.
///
/// `role`: what the peers are: WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER. For clients, a tenant rule
/// or an authorization must be said as well: to be issued by the CA is not yet a permission.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_new(
    role: i32,
    trust: Option<&wmtls_trust>,
) -> Option<Box<wmtls_verifier_options>> {
    panic::value(None, || {
        let draft = || {
            let role = words::role(role).ok_or_else(|| {
                Error::wrong_type(
                    "role",
                    "WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER",
                    "another number",
                )
            })?;
            let trust = required(trust, "trust")?.0.clone();
            Ok(Draft { options: VerifierOptions::new(role, trust), pins: Said::Nothing })
        };
        give(wmtls_verifier_options(Builder::new(draft())))
    })
}

/// Adds a key that a peer may have, beside a valid chain; as wmtls_endpoint_options_pin.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_pin(
    options: Option<&mut wmtls_verifier_options>,
    pin: *const c_char,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        unsafe { draft.pins.add(pin, slot) }?;
        Ok(draft)
    });
}

/// Says all pins of a slot at once; as wmtls_endpoint_options_pins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_pins(
    options: Option<&mut wmtls_verifier_options>,
    pins: *const *const c_char,
    count: usize,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        unsafe { draft.pins.set(pins, count, slot) }?;
        Ok(draft)
    });
}

/// Reads the pins from a file, as wmtls_endpoint_options_pins_file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_pins_file(
    options: Option<&mut wmtls_verifier_options>,
    path: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        draft.pins = unsafe { Said::read(path) }?;
        Ok(draft)
    });
}

/// The tenant is a segment of a SAN URI: "spiffe://corp/tenant/{tenant}". The last rule said holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_tenant_san_uri(
    options: Option<&mut wmtls_verifier_options>,
    template: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let rule = TenantRule::san_uri(unsafe { text::required(template, "tenant") }?)?;
        draft.options = draft.options.tenant(rule);
        Ok(draft)
    });
}

/// The tenant is the label before a suffix in a SAN DNS name: "tenants.corp" takes "acme" from
/// "acme.tenants.corp".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_tenant_san_dns_suffix(
    options: Option<&mut wmtls_verifier_options>,
    suffix: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let rule = TenantRule::san_dns_suffix(unsafe { text::required(suffix, "tenant") }?)?;
        draft.options = draft.options.tenant(rule);
        Ok(draft)
    });
}

/// The tenant is the subject's common name. Only for CAs that name tenants there and nowhere else.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_tenant_subject_cn(
    options: Option<&mut wmtls_verifier_options>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.tenant(TenantRule::subject_cn());
        Ok(draft)
    });
}

/// Peers with one of these SAN URIs may pass. The last authorization said holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_authorize_san_uris(
    options: Option<&mut wmtls_verifier_options>,
    uris: *const *const c_char,
    count: usize,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let allowed =
            Authorization::san_uris(unsafe { text::list(uris, count, "authorization") }?)?;
        draft.options = draft.options.authorization(allowed);
        Ok(draft)
    });
}

/// Peers with a SPIFFE id of this trust domain may pass.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_authorize_trust_domain(
    options: Option<&mut wmtls_verifier_options>,
    domain: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let domain = unsafe { text::required(domain, "authorization") }?;
        draft.options = draft.options.authorization(Authorization::trust_domain(domain)?);
        Ok(draft)
    });
}

/// Every peer that the CA certifies may pass.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_authorize_ca_members(
    options: Option<&mut wmtls_verifier_options>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.authorization(Authorization::ca_members());
        Ok(draft)
    });
}

/// Sets an option of the verifier by its name in docs/options.md, such as "strict_purpose"; the
/// value as for wmtls_options_set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_set(
    options: Option<&mut wmtls_verifier_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the header's conventions.
        let (name, value) =
            unsafe { (text::required(name, "name")?, text::required(value, "value")?) };
        draft.options.set(name, setting("verifier", name, value))?;
        Ok(draft)
    });
}

/// Frees a builder that nothing consumed.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_free(options: Option<Box<wmtls_verifier_options>>) {
    panic::value((), || drop(options));
}

fn edit(
    options: Option<&mut wmtls_verifier_options>,
    change: impl FnOnce(Draft) -> Result<Draft, Error>,
) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// Judges the certificates of peers, wherever their connection ends.
pub struct wmtls_verifier {
    pub(crate) verifier: Verifier,
    pub(crate) heard: Heard,
}

impl Handle for wmtls_verifier {}

/// Makes a verifier.
///
/// Fails with WMTLS_OPTION_INVALID or WMTLS_PIN_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_new(
    consumed: Option<Box<wmtls_verifier_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_verifier>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let Draft { options, pins } = required(consumed, "options")?.0.finish()?;
        let options = match pins.pins()? {
            Some(pins) => options.pins(pins),
            None => options,
        };
        let verifier = Verifier::new(options)?;
        Ok(wmtls_verifier { verifier, heard: Heard::default() })
    })
}

/// Judges the chain that a peer presented.
///
/// `chain`: PEM, or concatenated DER, leaf first.
/// `server_name`: the DNS name or IP address that was asked for, where servers are verified; NULL
/// for clients.
/// `at`: the instant to judge at, in Unix seconds, or WMTLS_NOW.
///
/// Fails with the kind of what is wrong with the peer and WMTLS_STAGE_VERIFY; with
/// WMTLS_PEM_INVALID or WMTLS_OPTION_INVALID if the arguments cannot be used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verify_peer(
    verifier: Option<&wmtls_verifier>,
    chain: *const c_void,
    chain_len: usize,
    server_name: *const c_char,
    at: i64,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_peer>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let verifier = required(verifier, "verifier")?;
        // SAFETY: the header's conventions.
        let (chain, server_name) = unsafe {
            (
                text::bytes(chain, chain_len, Limit::chain())?,
                text::optional(server_name, "server_name")?,
            )
        };
        verifier.verifier.verify(chain, server_name, instant(at)?).map(wmtls_peer::new)
    })
}

/// Turns the memory of signatures off or on again, in the whole process: a switch for measurements.
/// It is on at the start; what was remembered before it went off counts again when it is back.
///
/// `enabled`: whether a signature once found good stays good. Verdicts are made anew each time.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_remember_signatures(enabled: bool) {
    panic::value((), || remember_signatures(enabled));
}

/// Frees a verifier.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_free(verifier: Option<Box<wmtls_verifier>>) {
    panic::value((), || drop(verifier));
}

fn instant(at: i64) -> Result<SystemTime, Error> {
    if at == WMTLS_NOW {
        return Ok(SystemTime::now());
    }
    let span = Duration::from_secs(at.unsigned_abs());
    let instant = if at < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
    instant.ok_or_else(|| Error::wrong_type("at", "Unix seconds", "a number beyond the clock"))
}
