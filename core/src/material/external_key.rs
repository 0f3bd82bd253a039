//! The key of an identity whose signatures a [`Signer`] makes: its places, and one call with the check of
//! its answer.

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rustls::sign::{Signer as TlsSigner, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme as TlsScheme};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use tokio::sync::OwnedSemaphorePermit;

use super::signature_scheme::SignatureScheme;
use super::signer::{SignatureRequest, Signer, SignerError};
use crate::error::{Error, Kind, cause, key};
use crate::options;
use crate::process::{self, PerProcess, own};
use crate::x509::{Certificate, Key, algorithms, ecdsa_der};

/// The most calls of a signer at once that may be configured.
const MAX_CONCURRENCY: usize = 64;

/// A signer and its places. All identities of one source share it, so that the limit of calls holds
/// across rotations.
pub(crate) struct ExternalKey {
    /// Differs between signers.
    id: u64,
    signer: Box<dyn Signer>,
    schemes: Vec<SignatureScheme>,
    concurrency: usize,
    /// A forked child starts with all places free: the calls belong to the parent.
    places: PerProcess<Arc<own::Semaphore>>,
}

/// The place of one call. It is free again when this is dropped.
pub(crate) struct Place(
    #[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit,
);

// Each call of the signer is caught, and a place is free again when it is dropped. Otherwise no type that
// knows a source of material could cross `catch_unwind`.
impl UnwindSafe for ExternalKey {}
impl RefUnwindSafe for ExternalKey {}

impl ExternalKey {
    /// Fails with `option_invalid` if the signer's limit of calls is out of range.
    pub(super) fn new(signer: Box<dyn Signer>) -> Result<Arc<Self>, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (concurrency, schemes) = (signer.concurrency(), signer.schemes());
        if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
            let why = format!("must be a number from 1 to {MAX_CONCURRENCY}, got {concurrency}");
            let error = options::fault("concurrency", why);
            return Err(error.noting(key::LIMIT, MAX_CONCURRENCY));
        }
        let places = PerProcess::new(Arc::new(own::Semaphore::new(concurrency)));
        let id = NEXT.fetch_add(1, Relaxed);
        Ok(Arc::new(Self { id, signer, schemes, concurrency, places }))
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for a place, in order of arrival.
    pub(crate) async fn place(&self) -> Result<Place, Error> {
        let places = self.places.get_or(|| Arc::new(own::Semaphore::new(self.concurrency)));
        let waiting = places.value.clone().acquire_owned();
        drop(places);
        waiting
            .await
            .map(Place)
            .map_err(|_| Error::new(Kind::Internal, "the places of a signer were closed"))
    }

    /// Asks the signer for a signature, and returns it in the form of TLS.
    ///
    /// Fails with `signer_failed`.
    fn sign(
        &self,
        scheme: SignatureScheme,
        leaf: &Certificate,
        message: &[u8],
        by: Instant,
    ) -> Result<Vec<u8>, Error> {
        let digest = scheme.digest(message);
        let deadline = by.saturating_duration_since(Instant::now());
        let request = SignatureRequest::new(scheme, message, digest.as_deref(), deadline);
        // The application's code may take any lock, and may fork.
        let call = || catch_unwind(AssertUnwindSafe(|| self.signer.sign(&request)));
        let answer = process::outside(call).unwrap_or_else(|_| Err(SignerError::new("panic")));
        let subject = || leaf.subject_text();
        let signature =
            answer.map_err(|error| error.into_error(scheme, &subject(), Instant::now() >= by))?;
        verified(&signature, scheme, leaf, message).ok_or_else(|| {
            let (name, length, subject) = (scheme.name(), signature.len(), subject());
            let message = format!(
                "the signer's answer of {length} bytes is no signature of the handshake by the key of \
                 {subject} ({name})"
            );
            Error::new(Kind::SignerFailed, message)
                .noting(key::SUBJECT, subject)
                .noting(key::SCHEME, name)
                .caused(&cause::SIGNATURE_WRONG, &[])
        })
    }
}

/// Returns the form of a signature that verifies with our certificate: the given one, or DER made of the
/// raw form of ECDSA. Both forms may have the same length, so the check decides.
fn verified(
    signature: &[u8],
    scheme: SignatureScheme,
    leaf: &Certificate,
    message: &[u8],
) -> Option<Vec<u8>> {
    let raw = scheme.raw_half().filter(|half| signature.len() == 2 * half);
    let made = raw.map(|half| ecdsa_der(&signature[..half], &signature[half..]));
    let spki = leaf.parsed().spki;
    made.into_iter()
        .chain([signature.to_vec()])
        .find(|form| algorithms::is_signature(scheme.in_tls(), spki, message, form))
}

impl PartialEq for ExternalKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ExternalKey {}

impl Hash for ExternalKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The key of one leaf, elsewhere.
pub(crate) struct LeafKey {
    pub(crate) external: Arc<ExternalKey>,
    leaf: Certificate,
    /// The preferred one first.
    schemes: Vec<SignatureScheme>,
}

impl LeafKey {
    /// Fails with `option_invalid` if the signer supports no scheme of the key.
    pub(super) fn new(external: Arc<ExternalKey>, leaf: Certificate) -> Result<Self, Error> {
        let parsed = leaf.parsed();
        let all = SignatureScheme::of_key(parsed.key, parsed.spki);
        let supported = &external.schemes;
        let fits = |scheme: &SignatureScheme| supported.is_empty() || supported.contains(scheme);
        let schemes: Vec<_> = all.iter().copied().filter(fits).collect();
        if schemes.is_empty() && !all.is_empty() {
            let names: Vec<_> = all.iter().map(|scheme| scheme.name()).collect();
            let (subject, key, names) = (leaf.subject_text(), parsed.key.name(), names.join(", "));
            let why =
                format!("has none that fits the key of {subject} ({key}): it signs with {names}");
            return Err(options::fault("schemes", why));
        }
        Ok(Self { external, leaf, schemes })
    }

    /// Returns the preferred scheme among those that a consumer accepts.
    pub(crate) fn scheme_among(&self, offered: &[TlsScheme]) -> Option<SignatureScheme> {
        self.schemes.iter().copied().find(|scheme| offered.contains(&scheme.in_tls()))
    }

    /// Asks the signer for a signature. Blocks. Fails with `signer_failed`.
    ///
    /// * `by`: the end of the handshake, which the signer learns. It is not enforced here.
    pub(crate) fn sign(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        by: Instant,
    ) -> Result<Vec<u8>, Error> {
        self.external.sign(scheme, &self.leaf, message, by)
    }

    pub(crate) fn tls_algorithm(&self) -> SignatureAlgorithm {
        match self.leaf.parsed().key {
            Key::Rsa { .. } => SignatureAlgorithm::RSA,
            Key::P256 | Key::P384 | Key::P521 => SignatureAlgorithm::ECDSA,
            Key::Ed25519 => SignatureAlgorithm::ED25519,
            // It has no code point of TLS 1.2.
            Key::MlDsa | Key::OtherCurve(_) | Key::Other(_) => SignatureAlgorithm::Unknown(0),
        }
    }

    pub(crate) fn spki(&self) -> SubjectPublicKeyInfoDer<'_> {
        self.leaf.parsed().spki.into()
    }
}

/// For the checks of an identity. A handshake signs with a key of its own, which knows its deadline.
impl SigningKey for LeafKey {
    fn choose_scheme(&self, offered: &[TlsScheme]) -> Option<Box<dyn TlsSigner>> {
        Some(Box::new(NoCall(self.scheme_among(offered)?.in_tls())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.tls_algorithm()
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.spki())
    }
}

impl std::fmt::Debug for LeafKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LeafKey({:?})", self.schemes)
    }
}

#[derive(Debug)]
struct NoCall(TlsScheme);

impl TlsSigner for NoCall {
    fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Err(rustls::Error::General("a signer is called in handshakes only".into()))
    }

    fn scheme(&self) -> TlsScheme {
        self.0
    }
}
