//! The verifier, and the rules it is given.

use std::time::{Duration, SystemTime};

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use webhook_mtls::limits::Limit;
use webhook_mtls::{
    Authorization, Error, Handshake, Pins, Role, TenantRule, Trust, Verifier, VerifierOptions,
};

use crate::border::{Handle, Outcome, guarded};
use crate::settings::{Settings, set_all};

#[napi]
pub fn tenant_san_uri(template: String) -> Outcome<Handle<TenantRule>> {
    guarded(|| TenantRule::san_uri(&template).map(Handle))
}

#[napi]
pub fn tenant_san_dns_suffix(suffix: String) -> Outcome<Handle<TenantRule>> {
    guarded(|| TenantRule::san_dns_suffix(&suffix).map(Handle))
}

#[napi]
pub fn tenant_subject_cn() -> Handle<TenantRule> {
    Handle(TenantRule::subject_cn())
}

#[napi]
pub fn authorization_san_uris(uris: Vec<String>) -> Outcome<Handle<Authorization>> {
    guarded(|| Authorization::san_uris(uris).map(Handle))
}

#[napi]
pub fn authorization_trust_domain(domain: String) -> Outcome<Handle<Authorization>> {
    guarded(|| Authorization::trust_domain(&domain).map(Handle))
}

#[napi]
pub fn authorization_ca_members() -> Handle<Authorization> {
    Handle(Authorization::ca_members())
}

/// What a verifier is made from.
#[napi(object, object_to_js = false)]
pub struct VerifierGiven {
    pub role: String,
    pub trust: Handle<Trust>,
    pub pins: Option<Handle<Pins>>,
    pub tenant: Option<Handle<TenantRule>>,
    pub authorization: Option<Handle<Authorization>>,
    pub settings: Option<Settings>,
}

#[napi]
pub fn verifier(given: VerifierGiven) -> Outcome<Handle<Verifier>> {
    guarded(|| {
        let role = Role::from_name(&given.role).ok_or_else(|| {
            let words: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            Error::wrong_type("role", &words.join(" or "), "another text")
        })?;
        let mut options = VerifierOptions::new(role, given.trust.0);
        if let Some(pins) = given.pins {
            options = options.pins(pins.0);
        }
        if let Some(rule) = given.tenant {
            options = options.tenant(rule.0);
        }
        if let Some(rule) = given.authorization {
            options = options.authorization(rule.0);
        }
        set_all(given.settings, |name, value| options.set(name, value))?;
        Verifier::new(options).map(Handle)
    })
}

/// The peer's JSON; `at_ms` is an instant in Unix milliseconds, now if it is not given.
#[napi]
pub fn verify(
    verifier: Handle<Verifier>,
    chain: &[u8],
    server_name: Option<String>,
    at_ms: Option<f64>,
) -> Outcome<String> {
    guarded(|| {
        let peer = verifier.0.verify(chain, server_name.as_deref(), instant(at_ms)?)?;
        Ok(peer.to_json().to_string())
    })
}

/// The same for DER certificates one by one.
#[napi]
pub fn verify_chain(
    verifier: Handle<Verifier>,
    chain: Vec<Uint8Array>,
    server_name: Option<String>,
    at_ms: Option<f64>,
) -> Outcome<String> {
    guarded(|| {
        let at = instant(at_ms)?;
        let peer = verifier.0.verify_chain(&chain, server_name.as_deref(), at)?;
        Ok(peer.to_json().to_string())
    })
}

/// What a TLSSocket says about its handshake.
#[napi(object, object_to_js = false)]
pub struct HandshakeGiven {
    pub complete: bool,
    pub we_are_the_server: bool,
    pub chain: Vec<Uint8Array>,
    pub server_name: Option<String>,
}

/// The same for the peer of a connection.
#[napi]
pub fn verify_handshake(verifier: Handle<Verifier>, given: HandshakeGiven) -> Outcome<String> {
    guarded(|| {
        let seen = Handshake {
            complete: given.complete,
            peer: if given.we_are_the_server { Role::Client } else { Role::Server },
            chain: given
                .chain
                .iter()
                .map(|certificate| Limit::chain().copied(certificate))
                .collect::<Result<_, _>>()?,
            server_name: given.server_name,
        };
        Ok(verifier.0.verify_handshake(&seen)?.to_json().to_string())
    })
}

#[napi]
pub fn remember_signatures(enabled: bool) {
    webhook_mtls::remember_signatures(enabled);
}

fn instant(at_ms: Option<f64>) -> Result<SystemTime, Error> {
    let Some(at) = at_ms else { return Ok(SystemTime::now()) };
    let beyond = || Error::wrong_type("at", "an instant", "one out of range");
    let distance = Duration::try_from_secs_f64(at.abs() / 1000.0).map_err(|_| beyond())?;
    let instant = if at < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    instant.ok_or_else(beyond)
}
