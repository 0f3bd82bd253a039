//! A JWT at the receiver: its signature, then its claims, then its binding to the connection.

use serde_json::{Map, Value};

use super::options::TokenRules;
use super::secrets::equal;
use crate::clock::utc_text;
use crate::error::{Error, Kind, cause, key};
use crate::jose::{self, NamedKey};
use crate::material::JwtKeys;
use crate::material::jwt_bearer::{CONTENT_DIGEST, WEBHOOK_ID, content_digest};

/// The token that was valid.
pub(super) struct Token {
    pub(super) algorithm: &'static str,
    pub(super) key_id: String,
    pub(super) claims: Map<String, Value>,
}

/// What a token must agree with.
pub(super) struct TokenContext<'a> {
    pub(super) tenant: &'a str,
    /// The `x5t#S256` of the peer's certificate.
    pub(super) certificate: &'a str,
    /// The header `webhook-id`.
    pub(super) id: Option<&'a str>,
    pub(super) body: &'a [u8],
    /// The time of the check in Unix seconds.
    pub(super) at: i64,
}

/// The parts of a token in compact form (RFC 7515 section 7.1).
struct Parts<'a> {
    header: Map<String, Value>,
    /// The header and the claims, as they were signed.
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

/// Checks a token. Fails with `token_invalid`, or with `tenant_refused` for the token of another tenant.
pub(super) fn check(
    token: &str,
    keys: &JwtKeys,
    rules: &TokenRules,
    context: &TokenContext<'_>,
) -> Result<Token, Error> {
    let parts = Parts::read(token).ok_or_else(malformed)?;
    let named = parts.signer(keys)?;
    let claims = object(parts.claims).ok_or_else(malformed)?;
    check_dates(&claims, context.at, rules.tolerance)?;
    check_parties(&claims, rules)?;
    check_binding(&claims, context.certificate)?;
    check_tenant(&claims, rules, context.tenant)?;
    check_message(&claims, rules, context)?;
    Ok(Token { algorithm: named.key.algorithm().name(), key_id: named.id.clone(), claims })
}

/// The error for a webhook without a token.
pub(super) fn missing() -> Error {
    Error::new(Kind::TokenInvalid, "the webhook has no header authorization with a bearer token")
        .noting(key::HEADER, "authorization".to_owned())
        .caused(&cause::TOKEN_MISSING, &[])
}

impl<'a> Parts<'a> {
    fn read(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        Some(Self { header: object(header)?, signed, claims, signature: jose::decode(signature)? })
    }

    /// Returns the key that signed the token. The header chooses a key, and never an algorithm.
    fn signer<'k>(&self, keys: &'k JwtKeys) -> Result<&'k NamedKey, Error> {
        let text = |name: &str| self.header.get(name).and_then(Value::as_str);
        let algorithm = text("alg").ok_or_else(malformed)?;
        if algorithm.eq_ignore_ascii_case("none") {
            return Err(fault("the token has the algorithm none, so it is not signed")
                .caused(&cause::TOKEN_UNSIGNED, &[]));
        }
        // Extensions that a receiver must understand (RFC 7515 section 4.1.11). There is none here.
        if self.header.contains_key("crit") {
            return Err(fault("the token has critical extensions, which are not supported"));
        }
        let key_id = match self.header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(_) => return Err(malformed()),
        };
        let candidates = keys.candidates(key_id);
        if candidates.is_empty() {
            return Err(fault("the token has a key id that no known key has")
                .caused(&cause::TOKEN_KEY_UNKNOWN, &[]));
        }
        let fitting: Vec<&NamedKey> =
            candidates.into_iter().filter(|it| it.key.algorithm().is_named(algorithm)).collect();
        if fitting.is_empty() {
            return Err(fault("the token has another algorithm than the key")
                .caused(&cause::TOKEN_ALGORITHM, &[]));
        }
        let verifies =
            |named: &&NamedKey| named.key.verifies(self.signed.as_bytes(), &self.signature);
        fitting.into_iter().find(verifies).ok_or_else(|| {
            fault("the signature of the token is not that of the key")
                .caused(&cause::TOKEN_SIGNATURE, &[])
        })
    }
}

fn check_dates(claims: &Map<String, Value>, at: i64, tolerance: i64) -> Result<(), Error> {
    let number = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|it| it.is_finite()).map(Some).ok_or_else(malformed),
    };
    #[allow(clippy::cast_precision_loss, reason = "Unix seconds fit")]
    let (at, tolerance) = (at as f64, tolerance as f64);
    let Some(expires) = number("exp")? else {
        return Err(fault("the token has no claim exp").caused(&cause::TOKEN_EXPIRED, &[]));
    };
    if at >= expires + tolerance {
        // No date is before the year 0 or after the time of the check.
        #[allow(clippy::cast_possible_truncation, reason = "between two whole numbers")]
        let date = utc_text(expires.max(-62_167_219_200.0) as i64);
        return Err(
            fault(&format!("the token expired on {date}")).caused(&cause::TOKEN_EXPIRED, &[])
        );
    }
    for name in ["nbf", "iat"] {
        if number(name)?.is_some_and(|from| at + tolerance < from) {
            return Err(fault(&format!("the claim {name} of the token is in the future"))
                .caused(&cause::TOKEN_NOT_YET_VALID, &[]));
        }
    }
    Ok(())
}

fn check_parties(claims: &Map<String, Value>, rules: &TokenRules) -> Result<(), Error> {
    // A token for a named audience is refused by everyone else (RFC 7519 section 4.1.3).
    let audience = rules.audience.as_deref();
    let is_ours = |it: &Value| it.as_str().is_some_and(|it| Some(it) == audience);
    let accepted = match claims.get("aud") {
        None => audience.is_none(),
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
    };
    if !accepted {
        let why = match (audience, claims.contains_key("aud")) {
            (None, _) => "the token is for an audience, and the option audience is not set",
            (_, true) => "the token is for another audience",
            (_, false) => "the token has no audience",
        };
        return Err(fault(why).caused(&cause::TOKEN_AUDIENCE, &[]));
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if rules.issuer.is_some() && issuer != rules.issuer.as_deref() {
        return Err(
            fault("the token is of another issuer, or of none").caused(&cause::TOKEN_ISSUER, &[])
        );
    }
    Ok(())
}

/// Checks the certificate that the token is bound to (RFC 8705 section 3.1).
fn check_binding(claims: &Map<String, Value>, certificate: &str) -> Result<(), Error> {
    let bound = claims.get("cnf").and_then(|cnf| cnf.get("x5t#S256")).and_then(Value::as_str);
    match bound {
        Some(bound) if equal(bound.as_bytes(), certificate.as_bytes()) => Ok(()),
        Some(_) => Err(fault("the token is bound to another certificate than the peer's")
            .caused(&cause::TOKEN_OF_ANOTHER_CERTIFICATE, &[])),
        None => {
            Err(fault("the token is bound to no certificate").caused(&cause::TOKEN_UNBOUND, &[]))
        }
    }
}

fn check_tenant(
    claims: &Map<String, Value>,
    rules: &TokenRules,
    tenant: &str,
) -> Result<(), Error> {
    let Some(name) = rules.tenant_claim.as_deref() else { return Ok(()) };
    if claims.get(name).and_then(Value::as_str) == Some(tenant) {
        return Ok(());
    }
    let why = "the token and the peer's certificate are not of one tenant";
    Err(Error::new(Kind::TenantRefused, why)
        .noting(key::RULE, format!("tenant_claim {name}"))
        .caused(&cause::TOKEN_OF_ANOTHER_TENANT, &[]))
}

/// Checks the claims about the message.
fn check_message(
    claims: &Map<String, Value>,
    rules: &TokenRules,
    context: &TokenContext<'_>,
) -> Result<(), Error> {
    match claims.get(CONTENT_DIGEST) {
        None if rules.content_digest => {
            return Err(fault("the token has no claim content_digest")
                .caused(&cause::TOKEN_WITHOUT_DIGEST, &[]));
        }
        None => {}
        Some(digest) => {
            let digest = digest.as_str().unwrap_or_default();
            if !equal(digest.as_bytes(), content_digest(context.body).as_bytes()) {
                return Err(fault("the body is not the one that the token was made for")
                    .caused(&cause::TOKEN_OF_ANOTHER_BODY, &[]));
            }
        }
    }
    let id = claims.get(WEBHOOK_ID);
    if id.is_some_and(|id| id.as_str() != context.id) {
        return Err(fault("the webhook-id is not the one that the token was made for")
            .caused(&cause::TOKEN_OF_ANOTHER_ID, &[]));
    }
    Ok(())
}

/// Decodes a part of a token that is a JSON object.
fn object(part: &str) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&jose::decode(part)?).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn malformed() -> Error {
    fault("the token is no JWT in compact form").caused(&cause::TOKEN_MALFORMED, &[])
}

fn fault(why: &str) -> Error {
    Error::new(Kind::TokenInvalid, why)
}
