//! The public keys of a sender, read from PEM, a JWK or a JWK set.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::PublicKey;
use crate::error::{Error, Kind, key};
use crate::keystore::public_keys;

/// The most keys of one set. A token without a key id is checked with each of them.
const MAX_KEYS: usize = 16;

/// A key, and the name by which tokens refer to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NamedKey {
    pub(crate) id: String,
    pub(crate) key: PublicKey,
}

/// The public keys of a sender. Never empty, and each has a name of its own.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<NamedKey>);

impl KeySet {
    /// Reads PEM (public keys or certificates), a JWK, or a JWK set. A key without a name gets its
    /// thumbprint.
    ///
    /// * `key_id`: the name of the key, if the input holds exactly one.
    ///
    /// Fails with `pem_invalid`.
    pub(crate) fn read(input: &[u8], key_id: Option<&str>) -> Result<Self, Error> {
        let mut keys = match input.trim_ascii_start().first() {
            Some(b'{') => of_json(input)?,
            _ => of_pem(input)?,
        };
        match (key_id, &mut keys[..]) {
            (_, []) => return Err(fault("no key found that verifies ES256, EdDSA or RS256")),
            (_, all) if all.len() > MAX_KEYS => {
                let count = all.len();
                let why = format!("has {count} keys; the limit is {MAX_KEYS}");
                return Err(fault(why).noting(key::LIMIT, MAX_KEYS));
            }
            (Some(id), [only]) => id.clone_into(&mut only.id),
            (Some(_), _) => {
                return Err(fault("a key id names one key, and the input holds several"));
            }
            (None, _) => {}
        }
        for (at, named) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other.id == named.id) {
                return Err(fault("has two keys with one key id").noting(key::POSITION, at + 1));
            }
        }
        Ok(Self(keys))
    }

    /// Returns the key with this name.
    pub(crate) fn get(&self, id: &str) -> Option<&NamedKey> {
        self.0.iter().find(|named| named.id == id)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, NamedKey> {
        self.0.iter()
    }

    /// Returns a digest of all names and keys.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for named in &self.0 {
            digest.update((named.id.len() as u64).to_be_bytes());
            digest.update(&named.id);
            digest.update(named.key.thumbprint());
        }
        digest.finalize().into()
    }
}

fn of_pem(input: &[u8]) -> Result<Vec<NamedKey>, Error> {
    let spkis = public_keys(input, "JWT keys")?;
    let keys = spkis.iter().enumerate().map(|(at, spki)| {
        let key = PublicKey::of_spki(spki).map_err(|why| bad_key(at, &why))?;
        Ok(NamedKey { id: key.thumbprint(), key })
    });
    keys.collect()
}

fn of_json(input: &[u8]) -> Result<Vec<NamedKey>, Error> {
    let json: Value = serde_json::from_slice(input).map_err(|_| fault("is not JSON"))?;
    let jwks: Vec<&Value> = match json.get("keys") {
        Some(Value::Array(keys)) => keys.iter().collect(),
        Some(_) => return Err(fault("has a member keys that is not an array")),
        None => vec![&json],
    };
    let mut keys = Vec::new();
    for (at, jwk) in jwks.into_iter().enumerate() {
        let jwk = jwk.as_object().ok_or_else(|| bad_key(at, "is not a JSON object"))?;
        if let Some(key) = PublicKey::of_jwk(jwk).map_err(|why| bad_key(at, &why))? {
            keys.push(NamedKey { id: id_of(jwk, at)?.unwrap_or_else(|| key.thumbprint()), key });
        }
    }
    Ok(keys)
}

fn id_of(jwk: &Map<String, Value>, at: usize) -> Result<Option<String>, Error> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(_) => Err(bad_key(at, "has a kid that is not a string")),
    }
}

fn bad_key(at: usize, why: &str) -> Error {
    fault(format!("key {} {why}", at + 1)).noting(key::POSITION, at + 1)
}

/// The error never quotes the input, which may be a private key.
fn fault(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::PemInvalid, format!("JWT keys: {why}")).advising(
        "Give the sender's public keys: PEM blocks PUBLIC KEY or CERTIFICATE, a JWK, or a JWK set.",
    )
}
