//! A private key that stays elsewhere: in a token, a service, or another process. What its owner
//! implements.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::signature_scheme::SignatureScheme;
use crate::error::{Error, Form, Kind, Source, key, named_as};

/// Signs handshakes with a private key that this process does not hold, such as one in an HSM or a KMS.
///
/// A call may block: it runs on a thread of its own, and nothing but its handshake waits for it. Calls
/// come from several threads, as many at once as [`concurrency`](Self::concurrency) allows. A call that
/// does not return keeps its place among them.
///
/// A closure that takes a [`SignatureRequest`] is a signer too.
///
/// ```
/// use webhook_mtls::material::{SignatureRequest, Signer, SignerError};
///
/// /// A key in a token.
/// struct Token {/* a session, a handle of the key */}
///
/// impl Signer for Token {
///     fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
///         let _digest = request.digest.ok_or_else(|| SignerError::new("UnknownScheme"))?;
///         // … C_Sign(digest) …
///         Err(std::io::Error::other("the token was removed").into())
///     }
/// }
/// # let request = SignatureRequest::new(
/// #     webhook_mtls::material::SignatureScheme::EcdsaSecp256r1Sha256, b"", Some(b""),
/// #     std::time::Duration::from_secs(1));
/// # assert_eq!(Token {}.sign(&request).unwrap_err().name(), "std::io::error::Error");
/// ```
pub trait Signer: Send + Sync + 'static {
    /// Signs a handshake.
    ///
    /// Returns the signature in the form of TLS. For ECDSA, that is DER; the raw form (r and s, of equal
    /// length) is accepted, too. The library verifies the signature before it leaves.
    ///
    /// # Errors
    ///
    /// Any error fails the handshake with `signer_failed`. Its type is shown, its text is not; it is the
    /// [`source`](std::error::Error::source) of the failure.
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError>;

    /// The most calls at once, 1 to 64. Further handshakes wait until one ends, or their deadline
    /// passes. Read when the identity is made.
    fn concurrency(&self) -> usize {
        DEFAULT_CONCURRENCY
    }

    /// The schemes that the key's owner supports. Empty: all that fit the key. Read when the identity is
    /// made.
    fn schemes(&self) -> Vec<SignatureScheme> {
        Vec::new()
    }
}

/// The most calls of a signer at once, if it does not say.
pub const DEFAULT_CONCURRENCY: usize = 8;

impl<F> Signer for F
where
    F: Fn(&SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> + Send + Sync + 'static,
{
    fn sign(&self, request: &SignatureRequest<'_>) -> Result<Vec<u8>, SignerError> {
        self(request)
    }
}

/// What a [`Signer`] has to sign.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignatureRequest<'a> {
    /// The scheme: the algorithm, the hash and the padding.
    pub scheme: SignatureScheme,
    /// The message, not hashed. A hash of the handshake, with a prefix (RFC 8446 section 4.4.3); in TLS
    /// 1.2, the handshake itself.
    pub message: &'a [u8],
    /// The hash of the message, for RSA and ECDSA.
    pub digest: Option<&'a [u8]>,
    /// How long the handshake waits for the answer.
    pub deadline: Duration,
}

impl<'a> SignatureRequest<'a> {
    /// Makes a request, for a test of a signer.
    pub fn new(
        scheme: SignatureScheme,
        message: &'a [u8],
        digest: Option<&'a [u8]>,
        deadline: Duration,
    ) -> Self {
        Self { scheme, message, digest, deadline }
    }
}

/// Why a [`Signer`] gave no signature. Any error converts to it.
#[derive(Clone)]
pub struct SignerError {
    name: String,
    source: Option<Source>,
}

impl SignerError {
    /// Makes an error without a cause.
    ///
    /// * `name`: what failed, in a word. It is shown, so it must not contain a secret.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), source: None }
    }

    /// Adds the error that caused it.
    #[must_use]
    pub fn caused_by(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the name of what failed: the type of the error that was converted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the failure of the handshake.
    ///
    /// * `subject`: of our certificate.
    /// * `is_late`: the deadline has passed. A signer that observes it fails for that reason.
    pub(super) fn into_error(self, scheme: SignatureScheme, subject: &str, is_late: bool) -> Error {
        let name = named_as(&self.name, Form::Type);
        let (kind, when) = if is_late {
            (Kind::SignerTimeout, " after the deadline of the handshake")
        } else {
            (Kind::SignerFailed, "")
        };
        Error::new(kind, format!("the signer of {subject} failed{when} with {name}"))
            .noting(key::SUBJECT, subject)
            .noting(key::SCHEME, scheme.name())
            .noting(key::SIGNER_ERROR, name)
            .with_source(self.source)
    }
}

/// Does not show the cause, whose text may contain a secret.
impl fmt::Debug for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerError({:?})", self.name)
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for SignerError {
    fn from(error: E) -> Self {
        Self::new(type_name::<E>()).caused_by(error)
    }
}
