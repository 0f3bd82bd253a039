//! Message signatures by Standard Webhooks. TLS authenticates the connection. A message signature proves
//! the origin of the payload also after the connection has ended.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, key};
use crate::limits::Limit;
use crate::material::jwt_bearer::JwtBearer;
use crate::options;

/// The most secrets of one endpoint. A rotation needs two. Each secret costs one signature per delivery.
pub(crate) const MAX_SECRETS: usize = 8;

/// The secrets that sign the deliveries of an endpoint, by Standard Webhooks 1.0: HMAC-SHA256 (`v1`)
/// and Ed25519 (`v1a`). Cheap to clone.
///
/// During a rotation, set the new and the old secret. Each signs, and the consumer accepts any one of the
/// signatures.
///
/// ```
/// use webhook_mtls::{EndpointOptions, StandardWebhooks};
///
/// let secrets = StandardWebhooks::new(["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"])?;
/// let options = EndpointOptions::new(None).signing(secrets);
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone)]
pub struct StandardWebhooks {
    keys: Arc<[SigningKey]>,
}

impl StandardWebhooks {
    /// Reads secrets, in the order in which their signatures are sent.
    ///
    /// * `secrets`: 1 to 8 secrets. Each is `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the
    ///   base64 of an Ed25519 private key: its 32 bytes, or 64 bytes with the public key after it.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`. The message has the position of the secret and never its value.
    pub fn new<I>(secrets: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let keys = secrets
            .into_iter()
            .take(MAX_SECRETS + 1)
            .enumerate()
            .map(|(at, secret)| {
                SigningKey::read(secret.as_ref()).map_err(|why| bad_secret(at + 1, why))
            })
            .collect::<Result<Arc<[SigningKey]>, Error>>()?;
        match keys.len() {
            0 => Err(options::fault("signing", "needs at least one secret")),
            1..=MAX_SECRETS => Ok(Self { keys }),
            _ => {
                Err(options::fault("signing", format_args!("has more than {MAX_SECRETS} secrets")))
            }
        }
    }

    /// Returns the value of the header `webhook-signature`.
    ///
    /// * `timestamp`: the time of this attempt in Unix seconds.
    ///
    /// Fails with `body_too_large` if there is no memory for a copy of the body, which Ed25519 needs.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<String, Error> {
        let prefix = format!("{id}.{timestamp}.");
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| key.sign(prefix.as_bytes(), body))
            .collect::<Result<_, _>>()?;
        Ok(signatures.join(" "))
    }
}

/// One way to sign the deliveries of an endpoint. An endpoint has at most one of each.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Signing {
    /// A signature of the message by Standard Webhooks.
    StandardWebhooks(StandardWebhooks),
    /// A token that is bound to our certificate.
    JwtBearer(JwtBearer),
}

impl From<StandardWebhooks> for Signing {
    fn from(signing: StandardWebhooks) -> Self {
        Self::StandardWebhooks(signing)
    }
}

impl From<JwtBearer> for Signing {
    fn from(signing: JwtBearer) -> Self {
        Self::JwtBearer(signing)
    }
}

/// All ways in which an endpoint signs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Signatures {
    pub(crate) standard: Option<StandardWebhooks>,
    /// Shared: few endpoints have one, and all have room for it.
    pub(crate) token: Option<Arc<JwtBearer>>,
}

impl Signatures {
    /// Sets one way to sign, and replaces one of the same type.
    pub(crate) fn set(&mut self, signing: Signing) {
        match signing {
            Signing::StandardWebhooks(signing) => self.standard = Some(signing),
            Signing::JwtBearer(signing) => self.token = Some(Arc::new(signing)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.standard.is_none() && self.token.is_none()
    }
}

impl PartialEq for StandardWebhooks {
    fn eq(&self, other: &Self) -> bool {
        self.keys.iter().map(|key| key.digest).eq(other.keys.iter().map(|key| key.digest))
    }
}

impl Eq for StandardWebhooks {}

impl std::fmt::Debug for StandardWebhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let schemes: Vec<&str> = self.keys.iter().map(|key| key.algorithm.scheme()).collect();
        write!(f, "StandardWebhooks({})", schemes.join(", "))
    }
}

struct SigningKey {
    algorithm: Algorithm,
    /// The digest of the secret, for comparison of keys.
    digest: [u8; 32],
}

enum Algorithm {
    Hmac(Box<hmac::Key>),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    fn read(secret: &str) -> Result<Self, &'static str> {
        let (algorithm, bytes) = if let Some(text) = secret.strip_prefix("whsec_") {
            let bytes = decoded(text)?;
            if !(24..=64).contains(&bytes.len()) {
                return Err("does not have 24 to 64 bytes after whsec_");
            }
            (Algorithm::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))), bytes)
        } else if let Some(text) = secret.strip_prefix("whsk_") {
            let bytes = decoded(text)?;
            let pair = match bytes.split_at_checked(32) {
                Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
                Some((seed, public)) if public.len() == 32 => {
                    Ed25519KeyPair::from_seed_and_public_key(seed, public)
                }
                _ => return Err("does not have the 32 or 64 bytes of an Ed25519 key after whsk_"),
            };
            let pair = pair
                .map_err(|_| "holds an Ed25519 private key and a public key that is not its own")?;
            // The seed determines the public key, so only the seed enters the digest.
            (Algorithm::Ed25519(pair), bytes[..32].to_vec())
        } else if secret.starts_with("whpk_") {
            return Err("is a public key; only the private one, whsk_, can sign");
        } else {
            return Err("begins neither with whsec_ nor with whsk_");
        };
        let mut digest = Sha256::new();
        digest.update(algorithm.scheme());
        digest.update([0]);
        digest.update(&bytes);
        Ok(Self { algorithm, digest: digest.finalize().into() })
    }

    fn sign(&self, prefix: &[u8], body: &[u8]) -> Result<String, Error> {
        let scheme = self.algorithm.scheme();
        let signature = match &self.algorithm {
            Algorithm::Hmac(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(prefix);
                context.update(body);
                BASE64_STANDARD.encode(context.sign())
            }
            // Ed25519 reads its message twice, so the message must be contiguous.
            Algorithm::Ed25519(pair) => {
                let mut message = Limit::body().reserved(prefix.len() + body.len())?;
                message.extend_from_slice(prefix);
                message.extend_from_slice(body);
                BASE64_STANDARD.encode(pair.sign(&message))
            }
        };
        Ok(format!("{scheme},{signature}"))
    }
}

impl Algorithm {
    fn scheme(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "v1",
            Self::Ed25519(_) => "v1a",
        }
    }
}

/// Decodes base64 with or without padding, because producers write both.
pub(crate) fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text).map_err(|_| "is not base64 after its prefix")
}

fn bad_secret(position: usize, why: &str) -> Error {
    options::fault("signing", format_args!("has secret {position}, which {why}"))
        .noting(key::POSITION, position)
        .advising("Give each secret as whsec_ (HMAC) or whsk_ (Ed25519) followed by its base64.")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};

    use super::*;

    // The example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PAYLOAD: &[u8] = br#"{"test": 2432232314}"#;

    fn ed25519() -> (Ed25519KeyPair, String) {
        let seed = [7; 32];
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let secret = format!("whsk_{}", BASE64_STANDARD.encode(seed));
        (pair, secret)
    }

    #[test]
    fn the_example_of_the_specification_gets_the_same_signature() {
        let signing = StandardWebhooks::new([SECRET]).unwrap();
        assert_eq!(
            signing.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, PAYLOAD).unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn each_secret_signs_in_the_given_order() {
        let (pair, secret) = ed25519();
        let signing = StandardWebhooks::new([secret.as_str(), SECRET]).unwrap();
        let header = signing.sign("evt_1", 17, b"\0\xff").unwrap();
        let (asymmetric, symmetric) = header.split_once(' ').unwrap();
        let signature = BASE64_STANDARD.decode(asymmetric.strip_prefix("v1a,").unwrap()).unwrap();
        UnparsedPublicKey::new(&ED25519, pair.public_key())
            .verify(b"evt_1.17.\0\xff", &signature)
            .unwrap();
        assert!(symmetric.starts_with("v1,"));
        assert_eq!(format!("{signing:?}"), "StandardWebhooks(v1a, v1)");
    }

    #[test]
    fn an_appended_public_key_is_checked_and_does_not_change_the_key() {
        let (pair, short) = ed25519();
        let mut bytes = [7; 64];
        bytes[32..].copy_from_slice(pair.public_key().as_ref());
        let long = format!("whsk_{}", BASE64_STANDARD.encode(bytes));
        assert_eq!(StandardWebhooks::new([short]), StandardWebhooks::new([long]));
        bytes[63] ^= 1;
        let wrong = format!("whsk_{}", BASE64_STANDARD.encode(bytes));
        assert!(StandardWebhooks::new([wrong]).is_err());
    }

    #[test]
    fn the_error_of_a_bad_secret_has_its_position_and_not_its_value() {
        let short = format!("whsec_{}", BASE64_STANDARD.encode("hunter2hunter2"));
        for secret in ["hunter2", "whsec_hunter2!", &short, "whsk_aHVudGVyMg==", "whpk_hunter2", ""]
        {
            let error = StandardWebhooks::new([SECRET, secret]).unwrap_err();
            assert_eq!(error.context()["position"], 2, "{error}");
            let shown = format!("{error:?} {}", error.to_json());
            assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVy"), "{shown}");
        }
        assert!(StandardWebhooks::new([""; 0]).is_err());
        assert!(StandardWebhooks::new([SECRET; 9]).is_err());
    }

    #[test]
    fn padding_may_be_left_out() {
        let padded = format!("whsec_{}", BASE64_STANDARD.encode([1; 25]));
        let bare = padded.trim_end_matches('=').to_owned();
        assert_ne!(padded, bare);
        assert_eq!(StandardWebhooks::new([padded]), StandardWebhooks::new([bare]));
    }
}
