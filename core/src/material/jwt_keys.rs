//! The public keys that verify the tokens of a sender.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, certain_secret};
use crate::jose::{KeySet, NamedKey};
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::options;

/// The public keys of a sender, each with its key id. The type of a key fixes the algorithm: P-256
/// verifies ES256, Ed25519 verifies EdDSA, RSA of 2048 to 8192 bits verifies RS256. Never empty. Cheap
/// to clone.
///
/// ```
/// use webhook_mtls::material::JwtKeys;
///
/// let jwk = br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// // A key without a key id gets its thumbprint (RFC 7638).
/// let keys = JwtKeys::new(jwk, None)?;
/// assert_eq!(keys.key_ids(), ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]);
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone)]
pub struct JwtKeys {
    keys: Arc<KeySet>,
    digest: [u8; 32],
    input: Arc<[u8]>,
    key_id: Option<Arc<str>>,
    origin: Option<Arc<Origin>>,
}

impl JwtKeys {
    /// Reads keys: PEM blocks `PUBLIC KEY` or `CERTIFICATE`, DER, a JWK, or a JWK set (RFC 7517).
    ///
    /// Keys of a JWK set that verify none of the algorithms are ignored, as RFC 7517 says.
    ///
    /// * `keys`: at most 16 keys, and 1 MiB.
    /// * `key_id`: the key id of the only key, for one that has no key id or another.
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid`, also if a private key is among them, or with `option_invalid` if the
    /// key id cannot be used.
    pub fn new(keys: &[u8], key_id: Option<&str>) -> Result<Self, Error> {
        let key_id = checked(key_id)?;
        let set = KeySet::read(keys, key_id.as_deref())?;
        let digest = set.digest();
        Ok(Self { keys: Arc::new(set), digest, input: keys.into(), key_id, origin: None })
    }

    /// Reads keys from a file, which a verifier that uses them watches.
    ///
    /// * `path`: a regular file of at most 1 MiB.
    ///
    /// # Errors
    ///
    /// Fails as [`new`](Self::new) does, with `pem_invalid` if the file cannot be read within five
    /// seconds, and with `overloaded` if this process has no descriptor or thread left.
    pub fn from_file(path: impl AsRef<Path>, key_id: Option<&str>) -> Result<Self, Error> {
        let file = absolute_path(path.as_ref(), "JWT keys")?;
        let source = Arc::new(Source::JwtKeys { file, key_id: checked(key_id)? });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// Reads keys from the content of their file.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let key_id = match &*origin.source {
            Source::JwtKeys { key_id, .. } => key_id.clone(),
            _ => None,
        };
        let text = snapshot.texts.first().map_or(&[][..], Vec::as_slice);
        let read = Self::new(text, key_id.as_deref())
            .map_err(|error| origin.source.blame(Some(0), &snapshot.texts, error))?;
        Ok(Self { origin: Some(Arc::new(origin)), ..read })
    }

    /// Returns the key ids, in the order of the input.
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.iter().map(|named| named.id.clone()).collect()
    }

    /// The file that the keys were read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// The bytes that the keys were read from, which hold no secret.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input
    }

    /// The key id that the caller gave.
    pub(crate) fn given_key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns the keys that may have signed a token with this key id, or without one.
    pub(crate) fn candidates(&self, key_id: Option<&str>) -> Vec<&NamedKey> {
        match key_id {
            Some(id) => self.keys.get(id).into_iter().collect(),
            None => self.keys.iter().collect(),
        }
    }
}

fn checked(key_id: Option<&str>) -> Result<Option<Arc<str>>, Error> {
    let Some(id) = key_id else { return Ok(None) };
    let is_text = (1..=256).contains(&id.len()) && !id.chars().any(char::is_control);
    if !is_text || certain_secret(id).is_some() {
        let why = "must be 1 to 256 bytes without control characters, and no secret";
        return Err(options::fault("key_id", why));
    }
    Ok(Some(id.into()))
}

impl PartialEq for JwtKeys {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for JwtKeys {}

impl std::hash::Hash for JwtKeys {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl std::fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let algorithms: Vec<&str> =
            self.keys.iter().map(|named| named.key.algorithm().name()).collect();
        write!(f, "JwtKeys({})", algorithms.join(", "))
    }
}
