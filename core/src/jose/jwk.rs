//! The JSON form of public keys (RFC 7517, RFC 8037) and its thumbprint (RFC 7638).

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::public_key::UNSUPPORTED;
use super::{Algorithm, PublicKey, decode, encode};

/// The members that only a private or symmetric key has.
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicKey {
    /// Returns the JWK with the members that the thumbprint covers.
    fn required_members(&self) -> Value {
        let bytes = self.bytes();
        match self.algorithm() {
            Algorithm::Es256 => json!({
                "crv": "P-256",
                "kty": "EC",
                "x": encode(&bytes[1..33]),
                "y": encode(&bytes[33..]),
            }),
            Algorithm::EdDsa => json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(bytes) }),
            Algorithm::Rs256 => {
                let (modulus, exponent) = self.rsa_numbers();
                json!({ "e": encode(exponent), "kty": "RSA", "n": encode(modulus) })
            }
        }
    }

    /// Returns the SHA-256 thumbprint (RFC 7638), which names a key that has no other name.
    pub(crate) fn thumbprint(&self) -> String {
        // serde_json sorts the members and writes no white space, as RFC 7638 section 3 requires.
        encode(Sha256::digest(self.required_members().to_string()))
    }

    /// Returns the JWK of this key.
    pub(crate) fn to_jwk(&self, key_id: &str) -> Value {
        let mut jwk = self.required_members();
        jwk["alg"] = self.algorithm().name().into();
        jwk["kid"] = key_id.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// Reads a JWK. Returns `None` for a key of another type, algorithm or use, which RFC 7517
    /// section 5 says to ignore. The error continues a sentence whose subject is the key.
    pub(super) fn of_jwk(jwk: &Map<String, Value>) -> Result<Option<Self>, String> {
        if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
            return Err("is a private or symmetric key; give the public key alone".to_owned());
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let member = |name: &str| {
            text(name).and_then(decode).ok_or_else(|| format!("has no member {name} in base64url"))
        };
        let key = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (member("x")?, member("y")?);
                if (x.len(), y.len()) != (32, 32) {
                    return Err("does not have coordinates of 32 bytes".to_owned());
                }
                Self::new(Algorithm::Es256, [&[4], &x[..], &y[..]].concat())?
            }
            (Some("OKP"), Some("Ed25519")) => Self::new(Algorithm::EdDsa, member("x")?)?,
            (Some("RSA"), _) => Self::rsa(&member("n")?, &member("e")?)?,
            (Some(_), _) => return Ok(None),
            (None, _) => return Err(UNSUPPORTED.to_owned()),
        };
        let is_named = text("alg").is_none_or(|name| key.algorithm().is_named(name));
        let verifies = text("use").is_none_or(|used| used == "sig");
        Ok(Some(key).filter(|_| is_named && verifies))
    }
}
