//! The verifier of webhooks, its options, and a verified webhook.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use webhook_mtls::Error;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::bindings::limits::Limit;
use webhook_mtls::webhook::{ReplayKey, VerifiedWebhook, WebhookVerifier, WebhookVerifierOptions};

use crate::builder::{Builder, setting};
use crate::error::{wmtls_error, wmtls_status};
use crate::handle::{Handle, give, required};
use crate::jwt::wmtls_jwt_keys;
use crate::panic;
use crate::peer::wmtls_peer;
use crate::rotation::EventSubscription;
use crate::text::{self, StringPool};
use crate::verifier::instant;

/// The settings of a verifier of webhooks. A builder.
pub struct wmtls_webhook_verifier_options(Builder<WebhookVerifierOptions>);

impl Handle for wmtls_webhook_verifier_options {}

/// Makes an empty builder. Set secrets, keys, or both. Free it with
/// wmtls_webhook_verifier_options_free unless a function takes it.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_webhook_verifier_options_new() -> Option<Box<wmtls_webhook_verifier_options>>
{
    panic::value(None, || {
        let options = WebhookVerifierOptions::new();
        give(wmtls_webhook_verifier_options(Builder::new(Ok(options))))
    })
}

/// Sets the secrets of Standard Webhooks of a tenant, and replaces those set before.
///
/// `tenant`: NULL for every tenant without secrets of its own.
/// `secrets`, `count`: one to eight secrets, each "whsec_" and the base64 of 24 to 64 bytes, or
/// "whpk_" and the base64 of an Ed25519 public key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_webhook_verifier_options_secrets(
    options: Option<&mut wmtls_webhook_verifier_options>,
    tenant: *const c_char,
    secrets: *const *const c_char,
    count: usize,
) {
    edit(options, |options| {
        // SAFETY: the caller follows the header's conventions.
        let tenant = unsafe { text::optional(tenant, "tenant") }?;
        // SAFETY: as above.
        let secrets = unsafe { text::list(secrets, count, "secrets") }?;
        match tenant {
            Some(tenant) => options.secrets_of(tenant, secrets),
            None => options.secrets(secrets),
        }
    });
}

/// Sets the public keys of the tokens of a tenant, and replaces those set before.
///
/// `tenant`: NULL for every tenant without keys of its own.
/// `keys`: may be freed once the function has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_webhook_verifier_options_keys(
    options: Option<&mut wmtls_webhook_verifier_options>,
    tenant: *const c_char,
    keys: Option<&wmtls_jwt_keys>,
) {
    edit(options, |options| {
        // SAFETY: the caller follows the header's conventions.
        let tenant = unsafe { text::optional(tenant, "tenant") }?;
        let keys = required(keys, "keys")?.0.clone();
        match tenant {
            Some(tenant) => options.keys_of(tenant, keys),
            None => Ok(options.keys(keys)),
        }
    });
}

/// Sets an option by its name in docs/options.md, such as "audience". The value has the form that
/// wmtls_options_set describes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_webhook_verifier_options_set(
    options: Option<&mut wmtls_webhook_verifier_options>,
    name: *const c_char,
    value: *const c_char,
) {
    edit(options, |options| {
        // SAFETY: the caller follows the header's conventions.
        let name = unsafe { text::required(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { text::required(value, "value") }?;
        options.set(name, setting("webhook_verifier", name, value))
    });
}

/// Frees a builder that no function has taken.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_webhook_verifier_options_free(
    options: Option<Box<wmtls_webhook_verifier_options>>,
) {
    panic::value((), || drop(options));
}

fn edit(
    options: Option<&mut wmtls_webhook_verifier_options>,
    change: impl FnOnce(WebhookVerifierOptions) -> Result<WebhookVerifierOptions, Error>,
) {
    panic::value((), || {
        if let Some(options) = options {
            options.0.change(change);
        }
    });
}

/// Verifies received webhooks: that the peer's certificate, the signature and the token speak of
/// one tenant.
pub struct wmtls_webhook_verifier {
    pub(crate) verifier: WebhookVerifier,
    pub(crate) events: EventSubscription,
}

impl Handle for wmtls_webhook_verifier {}

/// Makes a verifier of webhooks. Free it with wmtls_webhook_verifier_free.
///
/// `options`: the builder; the function takes it and frees it, on failure too.
/// `out`: receives the verifier.
///
/// Fails with WMTLS_OPTION_INVALID, or with the first fault of a setter.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_webhook_verifier_new(
    options: Option<Box<wmtls_webhook_verifier_options>>,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_webhook_verifier>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let verifier = WebhookVerifier::new(required(options, "options")?.0.finish()?)?;
        Ok(wmtls_webhook_verifier { verifier, events: EventSubscription::default() })
    })
}

/// A store for ids: records the tenant and the id in one step, and returns 1 if they were there, 0 if
/// not, or a negative number if it failed. Two tenants may use equal ids.
///
/// `context`: as given to wmtls_verify_webhook.
/// `tenant`, `id`: valid during the call.
/// `keep_until`: the time until which the store must keep them, in Unix seconds.
pub type wmtls_seen = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        tenant: *const c_char,
        id: *const c_char,
        keep_until: i64,
    ) -> c_int,
>;

/// Verifies a webhook, then asks the store for ids.
///
/// `peer`: the verified peer that sent it. It remains the caller's.
/// `names`, `values`, `count`: all headers as they arrived, repeated ones included.
/// `body`, `body_len`: the body as it arrived, at most 32 MiB.
/// `at`: the time of the verification in Unix seconds, or WMTLS_NOW.
/// `seen`: the store; NULL for none. It is asked last, on this thread, and not for a webhook without
/// an id.
/// `context`: passed to `seen`.
/// `out`: receives the webhook; free it with wmtls_verified_webhook_free. If it is a duplicate, answer
/// 2xx and do not process it again.
///
/// Fails with WMTLS_SIGNATURE_INVALID, WMTLS_TOKEN_INVALID or WMTLS_TENANT_REFUSED, with
/// WMTLS_OPTION_INVALID or WMTLS_BODY_TOO_LARGE, or with WMTLS_CANCELED if the store failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wmtls_verify_webhook(
    verifier: Option<&wmtls_webhook_verifier>,
    peer: Option<&wmtls_peer>,
    names: *const *const c_char,
    values: *const *const c_char,
    count: usize,
    body: *const c_void,
    body_len: usize,
    at: i64,
    seen: wmtls_seen,
    context: *mut c_void,
    out: Option<&mut MaybeUninit<Option<Box<wmtls_verified_webhook>>>>,
    err: Option<&mut MaybeUninit<Option<Box<wmtls_error>>>>,
) -> wmtls_status {
    panic::make(out, err, || {
        let verifier = &required(verifier, "verifier")?.verifier;
        let peer = required(peer, "peer")?.identity();
        // SAFETY: the caller follows the header's conventions.
        let names = unsafe { text::list(names, count, "names") }?;
        // SAFETY: as above.
        let values = unsafe { text::list(values, count, "values") }?;
        // SAFETY: as above.
        let body = unsafe { text::bytes(body, body_len, Limit::body()) }?;
        let headers = names.into_iter().zip(values);
        let ask = |key: ReplayKey<'_>| match seen {
            None => Ok(false),
            // SAFETY: as above.
            Some(seen) => unsafe { ask(seen, context, key) },
        };
        let webhook = verifier.verify_webhook_once(peer, headers, body, instant(at)?, ask)?;
        Ok(wmtls_verified_webhook { webhook, strings: StringPool::new() })
    })
}

/// Asks the store.
///
/// # Safety
///
/// The header's conventions hold for `seen` and `context`.
unsafe fn ask(
    seen: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, i64) -> c_int,
    context: *mut c_void,
    key: ReplayKey<'_>,
) -> Result<bool, Error> {
    let text = |text: &str| CString::new(text).map_err(|_| Error::caught_panic());
    let (tenant, id) = (text(key.tenant)?, text(key.id)?);
    // SAFETY: the caller guarantees it.
    let answer = unsafe { seen(context, tenant.as_ptr(), id.as_ptr(), key.keep_until_seconds()) };
    match answer {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::store_failed()),
    }
}

/// A verified webhook.
pub struct wmtls_verified_webhook {
    webhook: VerifiedWebhook,
    strings: StringPool,
}

impl Handle for wmtls_verified_webhook {}

/// Returns the tenant of the peer, the signature and the token.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verified_webhook_tenant(
    webhook: Option<&wmtls_verified_webhook>,
) -> *const c_char {
    string(webhook, |webhook| Some(webhook.tenant().to_owned()))
}

/// Returns the webhook-id, else the jti of the token; NULL if there is neither.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verified_webhook_id(
    webhook: Option<&wmtls_verified_webhook>,
) -> *const c_char {
    string(webhook, |webhook| webhook.id().map(str::to_owned))
}

/// Returns whether the store had seen the id.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verified_webhook_is_duplicate(
    webhook: Option<&wmtls_verified_webhook>,
) -> bool {
    panic::value(false, || webhook.is_some_and(|handle| handle.webhook.is_duplicate()))
}

/// Returns the whole webhook as JSON, in the same form in every language: also the scheme and the
/// secret of the signature, and the algorithm, the key id and the claims of the token.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verified_webhook_json(
    webhook: Option<&wmtls_verified_webhook>,
) -> *const c_char {
    string(webhook, |webhook| Some(webhook.to_json().to_string()))
}

/// Frees a verified webhook.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_verified_webhook_free(webhook: Option<Box<wmtls_verified_webhook>>) {
    panic::value((), || drop(webhook));
}

fn string(
    webhook: Option<&wmtls_verified_webhook>,
    get: impl FnOnce(&VerifiedWebhook) -> Option<String>,
) -> *const c_char {
    panic::value(ptr::null(), || {
        webhook.map_or(ptr::null(), |handle| {
            handle.strings.add_optional(get(&handle.webhook).as_deref())
        })
    })
}

/// Frees a verifier of webhooks.
#[unsafe(no_mangle)]
pub extern "C" fn wmtls_webhook_verifier_free(verifier: Option<Box<wmtls_webhook_verifier>>) {
    panic::value((), || drop(verifier));
}
