//! Verifiers, and their tenant and authorization rules.

use std::time::{Duration, SystemTime};

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use webhook_mtls::{
    Authorization, Error, Pins, Role, TenantRule, Trust, Verifier, VerifierOptions,
};

use crate::convert::{CallResult, Handle, guarded};
use crate::options::{Settings, set_all};

#[napi]
pub fn tenant_san_uri(template: String) -> CallResult<Handle<TenantRule>> {
    guarded(|| TenantRule::san_uri(&template).map(Handle))
}

#[napi]
pub fn tenant_san_dns_suffix(suffix: String) -> CallResult<Handle<TenantRule>> {
    guarded(|| TenantRule::san_dns_suffix(&suffix).map(Handle))
}

#[napi]
pub fn tenant_subject_cn() -> Handle<TenantRule> {
    Handle(TenantRule::subject_cn())
}

#[napi]
pub fn authorization_san_uris(uris: Vec<String>) -> CallResult<Handle<Authorization>> {
    guarded(|| Authorization::san_uris(uris).map(Handle))
}

#[napi]
pub fn authorization_trust_domain(domain: String) -> CallResult<Handle<Authorization>> {
    guarded(|| Authorization::trust_domain(&domain).map(Handle))
}

#[napi]
pub fn authorization_ca_members() -> Handle<Authorization> {
    Handle(Authorization::ca_members())
}

/// The options of a verifier.
#[napi(object, object_to_js = false)]
pub struct VerifierArguments {
    pub role: String,
    pub trust: Handle<Trust>,
    pub pins: Option<Handle<Pins>>,
    pub tenant: Option<Handle<TenantRule>>,
    pub authorization: Option<Handle<Authorization>>,
    pub settings: Option<Settings>,
}

#[napi]
pub fn verifier(arguments: VerifierArguments) -> CallResult<Handle<Verifier>> {
    guarded(|| {
        let role = Role::from_name(&arguments.role).ok_or_else(|| {
            let words: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            Error::wrong_type("role", &words.join(" or "), "another text")
        })?;
        let mut options = VerifierOptions::new(role, arguments.trust.0);
        if let Some(pins) = arguments.pins {
            options = options.pins(pins.0);
        }
        if let Some(rule) = arguments.tenant {
            options = options.tenant(rule.0);
        }
        if let Some(rule) = arguments.authorization {
            options = options.authorization(rule.0);
        }
        Verifier::new(set_all(arguments.settings, options)?).map(Handle)
    })
}

/// Verifies a chain and returns the peer's JSON.
///
/// * `at_ms`: the time of verification in Unix milliseconds; by default now.
#[napi]
pub fn verify(
    verifier: Handle<Verifier>,
    chain: &[u8],
    server_name: Option<String>,
    at_ms: Option<f64>,
) -> CallResult<String> {
    guarded(|| {
        let peer = verifier.0.verify(chain, server_name.as_deref(), instant(at_ms)?)?;
        Ok(peer.to_json().to_string())
    })
}

/// As [`verify`], for a list of DER certificates.
#[napi]
pub fn verify_chain(
    verifier: Handle<Verifier>,
    chain: Vec<Uint8Array>,
    server_name: Option<String>,
    at_ms: Option<f64>,
) -> CallResult<String> {
    guarded(|| {
        let at = instant(at_ms)?;
        let peer = verifier.0.verify_chain(&chain, server_name.as_deref(), at)?;
        Ok(peer.to_json().to_string())
    })
}

#[napi]
pub fn remember_signatures(enabled: bool) {
    webhook_mtls::verify::remember_signatures(enabled);
}

pub(crate) fn instant(at_ms: Option<f64>) -> Result<SystemTime, Error> {
    let Some(at) = at_ms else { return Ok(SystemTime::now()) };
    let out_of_range = || Error::wrong_type("at", "an instant", "one out of range");
    let distance = Duration::try_from_secs_f64(at.abs() / 1000.0).map_err(|_| out_of_range())?;
    let instant = if at < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    instant.ok_or_else(out_of_range)
}
