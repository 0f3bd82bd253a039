//! Tokens that are bound to our certificate: a JWT (RFC 7519) for each attempt, with the certificate's
//! digest as its confirmation (RFC 8705 section 3.1). Such a token is worth nothing on a connection
//! of another certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, certain_secret};
use crate::jose::{self, Signer};
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::process::Section;
use crate::x509::{Certificate, x5t_s256};

/// The longest lifetime of a token.
const MAX_LIFETIME: Duration = Duration::from_secs(300);

/// The most bytes of the caller's claims as JSON. A consumer must accept a head of this size.
const MAX_CLAIMS: usize = 4096;

/// The claims that only the library sets.
pub(crate) const REGISTERED: [&str; 10] =
    ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", CONTENT_DIGEST, WEBHOOK_ID];

/// The claim with the digest of the body, in the form of the header Content-Digest (RFC 9530).
pub(crate) const CONTENT_DIGEST: &str = "content_digest";

/// The claim with the value of the header webhook-id.
pub(crate) const WEBHOOK_ID: &str = "webhook_id";

/// The private key that signs a token for each attempt, and what the token says. The request carries
/// it as `authorization: Bearer …`. Cheap to clone.
///
/// The key determines the algorithm: P-256 signs ES256, Ed25519 signs EdDSA, and RSA of 2048 to 8192
/// bits signs RS256. A token has `iat`, `exp`, a `jti` of 128 random bits, the confirmation
/// `cnf.x5t#S256` of the certificate that the connection presents, and `webhook_id` if the delivery has
/// an id. Without [`content_digest`](Self::content_digest), it does not cover the body.
///
/// ```
/// use webhook_mtls::{EndpointOptions, JwtBearer};
///
/// let key = b"-----BEGIN PRIVATE KEY-----\n\
///     MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n\
///     -----END PRIVATE KEY-----\n";
/// let token = JwtBearer::from_pem(key)?
///     .issuer("https://sender.example")?
///     .audience("https://hooks.acme.example")?
///     .content_digest(true);
/// assert_eq!(token.algorithm(), "EdDSA");
/// let options = EndpointOptions::new(None).signing(token);
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct JwtBearer {
    key: TokenKey,
    key_id: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
    audience: Option<String>,
    lifetime: Duration,
    claims: Map<String, Value>,
    content_digest: bool,
}

/// A private key, and the file that it was read from.
#[derive(Clone)]
pub(crate) struct TokenKey {
    signer: Arc<Signer>,
    origin: Option<Arc<Origin>>,
}

/// What one token is for.
pub(crate) struct TokenOf<'a> {
    /// The certificate that the connection presents.
    pub(crate) certificate: &'a Certificate,
    /// The time of the attempt in Unix seconds.
    pub(crate) now: i64,
    pub(crate) id: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

impl JwtBearer {
    /// Reads the private key: PEM or DER (PKCS#8, PKCS#1 or SEC1), not encrypted.
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid` (also for a key of another type or size) or `key_encrypted`.
    pub fn from_pem(key: &[u8]) -> Result<Self, Error> {
        Ok(Self::of(TokenKey { signer: Arc::new(Signer::read(key)?), origin: None }))
    }

    /// Reads the private key from a file, which a dispatcher that uses it watches. New content is in
    /// use from the next attempt.
    ///
    /// * `path`: a regular file of at most 1 MiB.
    ///
    /// # Errors
    ///
    /// Fails as [`from_pem`](Self::from_pem) does, with `pem_invalid` if the file cannot be read within
    /// five seconds, and with `overloaded` if this process has no descriptor or thread left.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = absolute_path(path.as_ref(), "signing key")?;
        let source = Arc::new(Source::SigningKey { file });
        let snapshot = source.read()?;
        Ok(Self::of(TokenKey::from_snapshot(&snapshot, snapshot.origin(source))?))
    }

    fn of(key: TokenKey) -> Self {
        Self {
            key,
            key_id: None,
            issuer: None,
            subject: None,
            audience: None,
            lifetime: Duration::from_secs(60),
            claims: Map::new(),
            content_digest: false,
        }
    }

    /// Sets the key id (`kid`), by default the thumbprint of the public key (RFC 7638), which changes
    /// with the key.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the text has 1 to 256 bytes without control characters and
    /// is no secret. The other setters of texts fail so too.
    pub fn key_id(mut self, key_id: impl Into<String>) -> Result<Self, Error> {
        self.key_id = Some(checked("key_id", key_id.into())?);
        Ok(self)
    }

    /// Sets the issuer (`iss`), by default none.
    ///
    /// # Errors
    ///
    /// Fails as [`key_id`](Self::key_id) does.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Result<Self, Error> {
        self.issuer = Some(checked("issuer", issuer.into())?);
        Ok(self)
    }

    /// Sets the subject (`sub`), by default none.
    ///
    /// # Errors
    ///
    /// Fails as [`key_id`](Self::key_id) does.
    pub fn subject(mut self, subject: impl Into<String>) -> Result<Self, Error> {
        self.subject = Some(checked("subject", subject.into())?);
        Ok(self)
    }

    /// Sets the audience (`aud`), by default none.
    ///
    /// # Errors
    ///
    /// Fails as [`key_id`](Self::key_id) does.
    pub fn audience(mut self, audience: impl Into<String>) -> Result<Self, Error> {
        self.audience = Some(checked("audience", audience.into())?);
        Ok(self)
    }

    /// Sets the time from `iat` to `exp`, by default 60 s. Parts of a second are dropped.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is 1 s to 5 min.
    pub fn lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        if !(Duration::from_secs(1)..=MAX_LIFETIME).contains(&lifetime) {
            return Err(options::fault("lifetime", "must be 1 second to 5 minutes"));
        }
        self.lifetime = lifetime;
        Ok(self)
    }

    /// Sets further claims, by default none.
    ///
    /// * `claims`: a JSON object of at most 4096 bytes, without the claims that the library sets: `iss`,
    ///   `sub`, `aud`, `exp`, `nbf`, `iat`, `jti`, `cnf`, `content_digest` and `webhook_id`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid`.
    pub fn claims(mut self, claims: Value) -> Result<Self, Error> {
        let Value::Object(claims) = claims else {
            return Err(options::fault("claims", "must be a JSON object"));
        };
        if let Some(name) = REGISTERED.iter().find(|name| claims.contains_key(**name)) {
            let why = format!("has the claim {name}, which the library sets");
            return Err(options::fault("claims", why));
        }
        if Value::from(claims.clone()).to_string().len() > MAX_CLAIMS {
            let why = format!("must have at most {MAX_CLAIMS} bytes as JSON");
            return Err(options::fault("claims", why));
        }
        self.claims = claims;
        Ok(self)
    }

    /// Sets whether the claim `content_digest` has the SHA-256 of the body, by default `false`. It has the
    /// form of the header Content-Digest (RFC 9530).
    pub fn content_digest(mut self, digest: bool) -> Self {
        self.content_digest = digest;
        self
    }

    /// The algorithm of the key: `ES256`, `EdDSA` or `RS256`.
    pub fn algorithm(&self) -> &'static str {
        self.key.signer.public_key().algorithm().name()
    }

    /// Returns the public key for consumers, as a JWK (RFC 7517) with its key id. For a key of a file, as it
    /// was read here.
    pub fn public_jwk(&self) -> Value {
        self.key.signer.public_key().to_jwk(&self.current_key_id())
    }

    fn current_key_id(&self) -> String {
        self.key_id.clone().unwrap_or_else(|| self.key.thumbprint())
    }

    /// The private key.
    pub(crate) fn key(&self) -> &TokenKey {
        &self.key
    }

    /// Returns this with another key.
    pub(crate) fn with_key(&self, key: TokenKey) -> Self {
        Self { key, ..self.clone() }
    }

    /// The file that the key was read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.key.origin()
    }

    /// Returns a new token. Fails with `internal` if the system gives no random numbers.
    pub(crate) fn token(&self, of: &TokenOf<'_>) -> Result<String, Error> {
        let header = json!({
            "alg": self.algorithm(),
            "kid": self.current_key_id(),
            "typ": "JWT",
        });
        let mut token = jose::encode(header.to_string());
        token.push('.');
        token.push_str(&jose::encode(self.claims_of(of)?.to_string()));
        let signature = self.key.signer.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&jose::encode(signature));
        Ok(token)
    }

    fn claims_of(&self, of: &TokenOf<'_>) -> Result<Value, Error> {
        let mut claims = self.claims.clone();
        let texts = [
            ("iss", self.issuer.as_deref()),
            ("sub", self.subject.as_deref()),
            ("aud", self.audience.as_deref()),
            (WEBHOOK_ID, of.id),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                claims.insert(name.into(), text.into());
            }
        }
        claims.insert("iat".into(), of.now.into());
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(0);
        claims.insert("exp".into(), of.now.saturating_add(lifetime).into());
        claims.insert("jti".into(), jose::encode(random()?).into());
        let digest = Sha256::digest(of.certificate.der());
        claims.insert("cnf".into(), json!({ "x5t#S256": x5t_s256(&digest) }));
        if self.content_digest {
            claims.insert(CONTENT_DIGEST.into(), content_digest(of.body).into());
        }
        Ok(Value::Object(claims))
    }
}

/// Returns the digest of a body in the form of the header Content-Digest.
pub(crate) fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(body)))
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    // aws-lc takes locks for random numbers. A fork must find them free.
    let _section = Section::enter();
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(Kind::Internal, "the system gives no random numbers"))?;
    Ok(bytes)
}

/// Checks a text of a token. Tokens are logged by consumers, so a secret is refused.
fn checked(name: &str, text: String) -> Result<String, Error> {
    if !(1..=256).contains(&text.len()) || text.chars().any(char::is_control) {
        return Err(options::fault(name, "must be 1 to 256 bytes without control characters"));
    }
    match certain_secret(&text) {
        Some(what) => Err(options::fault(name, format_args!("looks like {what}"))
            .advising("Give a text that the consumer may log.")),
        None => Ok(text),
    }
}

impl TokenKey {
    /// Reads a key from the content of its file.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let text = snapshot.texts.first().map_or(&[][..], Vec::as_slice);
        let signer = Signer::read(text)
            .map_err(|error| origin.source.blame(Some(0), &snapshot.texts, error))?;
        Ok(Self { signer: Arc::new(signer), origin: Some(Arc::new(origin)) })
    }

    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    pub(crate) fn thumbprint(&self) -> String {
        self.signer.public_key().thumbprint()
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.signer.public_key() == other.signer.public_key()
    }
}

impl SetByName for JwtBearer {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "jwt_bearer", name, value };
        match name {
            "key_id" => self.key_id(value.text()?),
            "issuer" => self.issuer(value.text()?),
            "subject" => self.subject(value.text()?),
            "audience" => self.audience(value.text()?),
            "lifetime" => self.lifetime(value.duration()?),
            "claims" => {
                let json = serde_json::from_str(&value.text()?);
                self.claims(json.map_err(|_| options::fault("claims", "is not JSON"))?)
            }
            "content_digest" => Ok(self.content_digest(value.flag()?)),
            _ => Err(options::mistyped("jwt_bearer", name)),
        }
    }
}

impl std::fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JwtBearer({})", self.algorithm())
    }
}

#[cfg(test)]
impl options::current::Current for JwtBearer {
    fn current(&self, name: &str) -> String {
        use crate::options::current::{millis, or_unset};
        match name {
            "key_id" => or_unset(self.key_id.as_ref(), "the key's thumbprint"),
            "issuer" => or_unset(self.issuer.as_ref(), "none"),
            "subject" => or_unset(self.subject.as_ref(), "none"),
            "audience" => or_unset(self.audience.as_ref(), "none"),
            "lifetime" => millis(self.lifetime),
            "claims" => or_unset((!self.claims.is_empty()).then_some(&()), "none"),
            "content_digest" => self.content_digest.to_string(),
            other => panic!("a token has no option {other}"),
        }
    }
}
