//! The verifier and its options.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::verify::remember_signatures;
use webhook_mtls::{Authorization, Error, TenantRule, Verifier, VerifierOptions};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::log::{self, wmtls_log_function};
use crate::peer::wmtls_peer;
use crate::pin::PinSetting;
use crate::rotation::EventSubscription;
use crate::trust::wmtls_trust;
use crate::{enums, panic, text};

/// The current time, as the argument `at` of wmtls_verify_peer.
pub const WMTLS_NOW: i64 = -1;

/// The settings of a verifier. A builder.
pub struct wmtls_verifier_options(Builder<VerifierDraft>);

impl Handle for wmtls_verifier_options {}

/// Options with the pins set so far, which `wmtls_verifier_new` adds.
struct VerifierDraft {
    options: VerifierOptions,
    pins: PinSetting,
}

/// Makes a builder for peers of one role that chain to the anchors of a trust. Free it with
/// wmtls_verifier_options_free unless a function takes it.
///
/// `role`: WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER. For clients, set a tenant rule or an
/// authorization as well: a certificate of the CA alone does not give permission.
/// `trust`: may be freed once the function has returned.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_new(
    role: i32,
    trust: Option<&wmtls_trust>,
) -> Option<Box<wmtls_verifier_options>> {
    panic::value(None, || {
        let draft = || {
            let role = enums::role(role).ok_or_else(|| {
                Error::wrong_type(
                    "role",
                    "WMTLS_ROLE_CLIENT or WMTLS_ROLE_SERVER",
                    "another number",
                )
            })?;
            let trust = required(trust, "trust")?.0.clone();
            Ok(VerifierDraft {
                options: VerifierOptions::new(role, trust),
                pins: PinSetting::Unset,
            })
        };
        give(wmtls_verifier_options(Builder::new(draft())))
    })
}

/// Adds a key that a peer may have. The peer needs a valid chain as well. The arguments are those
/// of wmtls_endpoint_options_pin.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_pin(
    options: Option<&mut wmtls_verifier_options>,
    pin: *const c_char,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        unsafe { draft.pins.add(pin, slot) }?;
        Ok(draft)
    });
}

/// Replaces all pins of one slot. The arguments are those of wmtls_endpoint_options_pins.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_pins(
    options: Option<&mut wmtls_verifier_options>,
    pins: *const *const c_char,
    count: usize,
    slot: i32,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        unsafe { draft.pins.set(pins, count, slot) }?;
        Ok(draft)
    });
}

/// Reads the pins from a file, as wmtls_endpoint_options_pins_file does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_pins_file(
    options: Option<&mut wmtls_verifier_options>,
    path: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        draft.pins = unsafe { PinSetting::read(path) }?;
        Ok(draft)
    });
}

/// Takes the tenant from a segment of a SAN URI. It replaces any tenant rule set before.
///
/// `uri_template`: the URI with the segment, such as "spiffe://corp/tenant/{tenant}".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_tenant_san_uri(
    options: Option<&mut wmtls_verifier_options>,
    uri_template: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let rule = TenantRule::san_uri(unsafe { text::required(uri_template, "uri_template") }?)?;
        draft.options = draft.options.tenant(rule);
        Ok(draft)
    });
}

/// Takes the tenant from the label before a suffix in a SAN DNS name. It replaces any tenant rule
/// set before.
///
/// `suffix`: "tenants.corp" finds "acme" in "acme.tenants.corp".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_tenant_san_dns_suffix(
    options: Option<&mut wmtls_verifier_options>,
    suffix: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let rule = TenantRule::san_dns_suffix(unsafe { text::required(suffix, "suffix") }?)?;
        draft.options = draft.options.tenant(rule);
        Ok(draft)
    });
}

/// Takes the tenant from the common name of the subject. Use it only for a CA that names tenants
/// only there. It replaces any tenant rule set before.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_tenant_subject_cn(
    options: Option<&mut wmtls_verifier_options>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.tenant(TenantRule::subject_cn());
        Ok(draft)
    });
}

/// Authorizes the peers that have one of these SAN URIs. It replaces any authorization set
/// before.
///
/// `uris`, `count`: the list of URIs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_authorize_san_uris(
    options: Option<&mut wmtls_verifier_options>,
    uris: *const *const c_char,
    count: usize,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let allowed = Authorization::san_uris(unsafe { text::list(uris, count, "uris") }?)?;
        draft.options = draft.options.authorization(allowed);
        Ok(draft)
    });
}

/// Authorizes the peers that have a SPIFFE ID of a trust domain. It replaces any authorization
/// set before.
///
/// `domain`: the trust domain, such as "corp.example".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_authorize_trust_domain(
    options: Option<&mut wmtls_verifier_options>,
    domain: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let domain = unsafe { text::required(domain, "domain") }?;
        draft.options = draft.options.authorization(Authorization::trust_domain(domain)?);
        Ok(draft)
    });
}

/// Authorizes every peer that the CA certifies. It replaces any authorization set before.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_authorize_ca_members(
    options: Option<&mut wmtls_verifier_options>,
) {
    edit(options, |mut draft| {
        draft.options = draft.options.authorization(Authorization::ca_members());
        Ok(draft)
    });
}

/// Sets an option of the verifier by its name in docs/options.md, such as "strict_purpose". The
/// value has the form that wmtls_options_set describes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_set(
    options: Option<&mut wmtls_verifier_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |mut draft| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        draft.options = draft.options.set(name, setting("verifier", name, value))?;
        Ok(draft)
    });
}

/// Frees a builder that no function has taken.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_options_free(options: Option<Box<wmtls_verifier_options>>) {
    panic::value((), || drop(options));
}

/// Adds a function that writes the log of the verifier: verifications that fail, and events. Each call
/// adds one.
///
/// `context`: passed to each call. It must stay valid until the verifier is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verifier_options_log(
    options: Option<&mut wmtls_verifier_options>,
    log: wmtls_log_function,
    context: *mut c_void,
) {
    edit(options, |mut draft| {
        if let Some(sink) = log::sink(log, context) {
            draft.options = draft.options.log_to(sink);
        }
        Ok(draft)
    });
}

fn edit(
    options: Option<&mut wmtls_verifier_options>,
    change: impl FnOnce(VerifierDraft) -> Result<VerifierDraft, Error>,
) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// Verifies the certificates of peers. The connection may end in another program.
pub struct wmtls_verifier {
    pub(crate) verifier: Verifier,
    pub(crate) events: EventSubscription,
}

impl Handle for wmtls_verifier {}

/// Makes a verifier. Free it with wmtls_verifier_free.
///
/// `options`: the builder; the function takes it and frees it, on failure too.
/// `out`: receives the verifier.
///
/// Fails with WMTLS_OPTION_INVALID or WMTLS_PIN_INVALID, or with the first fault of a setter.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_new(
    options: Option<Box<wmtls_verifier_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_verifier>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let VerifierDraft { options, pins } = required(options, "options")?.0.finish()?;
        let options = match pins.pins()? {
            Some(pins) => options.pins(pins),
            None => options,
        };
        let verifier = Verifier::new(options)?;
        Ok(wmtls_verifier { verifier, events: EventSubscription::default() })
    })
}

/// Verifies the chain that a peer presented.
///
/// `chain`, `chain_len`: PEM, or concatenated DER, leaf first, at most 1 MiB.
/// `server_name`: the DNS name or IP address that the client connected to, if the role is server;
/// NULL for clients.
/// `at`: the time of the verification in Unix seconds, or WMTLS_NOW.
/// `out`: receives the peer; free it with wmtls_peer_free.
///
/// Fails with the kind of the first defect of the peer, at WMTLS_STAGE_VERIFY: one of the kinds from
/// 401 to 499. Fails with WMTLS_PEM_INVALID or WMTLS_OPTION_INVALID if an argument cannot be used,
/// and with WMTLS_TRUST_INVALID if every anchor has expired at that time.
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
        // SAFETY: the caller follows the header's conventions.
        let chain = unsafe { text::bytes(chain, chain_len, Limit::chain()) }?;
        // SAFETY: as above.
        let server_name = unsafe { text::optional(server_name, "server_name") }?;
        verifier.verifier.verify(chain, server_name, instant(at)?).map(wmtls_peer::new)
    })
}

/// Turns the signature cache of the whole process on or off, for measurements. It is on by
/// default. Entries from before it was turned off count again when it is turned on.
///
/// `enabled`: whether a signature that was found valid is not checked again. Each verification
/// still makes a new decision.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_remember_signatures(enabled: bool) {
    panic::value((), || remember_signatures(enabled));
}

/// Frees a verifier.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verifier_free(verifier: Option<Box<wmtls_verifier>>) {
    panic::value((), || drop(verifier));
}

pub(crate) fn instant(at: i64) -> Result<SystemTime, Error> {
    if at == WMTLS_NOW {
        return Ok(SystemTime::now());
    }
    let span = Duration::from_secs(at.unsigned_abs());
    let instant = if at < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) };
    instant.ok_or_else(|| Error::wrong_type("at", "Unix seconds", "a number beyond the clock"))
}
