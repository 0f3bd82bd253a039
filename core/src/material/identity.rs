//! Our identity: a certificate chain and the private key of its leaf.

use std::path::Path;
use std::sync::Arc;

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};

use crate::clock::{self, utc_text};
use crate::error::{Error, Kind, cause, key};
use crate::keystore::{mistaken, pem, pkcs12, private_key};
use crate::material::external_key::{ExternalKey, LeafKey};
use crate::material::own_chain::{self, FileOrder, OwnChain};
use crate::material::signer::Signer;
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::x509::algorithms;
use crate::x509::{Certificate, DIGITAL_SIGNATURE, Purpose};

/// Our certificate chain and private key, after checks: the key belongs to the leaf, and the leaf is
/// within its dates, allows clientAuth and signatures, and is not a CA. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{Identity, Kind};
/// # let lab = webhook_mtls::testing::Lab::start()?;
/// # let (cert, key) = lab.identity_pem();
///
/// let identity = Identity::from_pem(cert.as_bytes(), key.as_bytes(), None)?;
/// let error = Identity::from_pem(cert.as_bytes(), b"no key", None).unwrap_err();
/// assert_eq!(error.kind(), Kind::PemInvalid);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
    /// Shared, because ten thousand endpoints may each hold a clone.
    origin: Option<Arc<Origin>>,
}

struct Inner {
    chain: Vec<Certificate>,
    /// Chain and key in the form of rustls, shared by all connections.
    certified: Arc<CertifiedKey>,
    /// The key, if a signer has it.
    elsewhere: Option<Arc<LeafKey>>,
    digest: [u8; 32],
    notes: Vec<String>,
}

impl Identity {
    /// Reads PEM files: the chain, leaf first, and the private key.
    ///
    /// * `cert`, `key`: paths of regular files of at most 1 MiB; they may be the same file.
    /// * `passphrase`: the passphrase of an encrypted PKCS#8 key.
    ///
    /// The identity keeps the paths, and a dispatcher that uses it watches the files.
    ///
    /// # Errors
    ///
    /// Fails as [`from_pem`](Self::from_pem) does, with `pem_invalid` if a file cannot be read within
    /// five seconds, and with `overloaded` if this process has no descriptor or thread left.
    pub fn from_files(
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
        passphrase: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let source = Arc::new(Source::Identity {
            cert: absolute_path(cert.as_ref(), "certificate")?,
            key: absolute_path(key.as_ref(), "private key")?,
            passphrase: passphrase.map(<[u8]>::to_vec),
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// Reads an identity from the content of its files.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let (passphrase, cert, key) = match (&*origin.source, &snapshot.texts[..]) {
            (Source::Identity { passphrase, .. }, [cert, key]) => (passphrase, cert, key),
            (Source::Signer { key, .. }, [cert]) => {
                let read = Self::with_key_elsewhere(cert, key.clone())
                    .map_err(|error| origin.source.blame(Some(0), &snapshot.texts, error))?;
                return Ok(Self { origin: Some(Arc::new(origin)), ..read });
            }
            _ => unreachable!("an identity has two files, or one beside a signer"),
        };
        let passphrase = passphrase.as_deref();
        let read = Self::from_pem(cert, key, passphrase).map_err(|error| {
            let at = if error.kind() == Kind::KeyMismatch {
                None
            } else if pem::certificates(cert, "").is_ok()
                && pem::private_key(key, passphrase).and_then(|key| signing_key(&key)).is_err()
            {
                Some(1)
            } else {
                Some(0)
            };
            origin.source.blame(at, &snapshot.texts, error)
        })?;
        Ok(Self { origin: Some(Arc::new(origin)), ..read })
    }

    /// Reads PEM text (or DER): the chain, leaf first, and the private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// Certificates that are not issuers of ours, and duplicates, are not presented ([`notes`]).
    ///
    /// [`notes`]: Self::notes
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable` or
    /// `clock_implausible`.
    pub fn from_pem(cert: &[u8], key: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let read = || {
            let chain = pem::certificates(cert, "certificate chain")?;
            let key = signing_key(&pem::private_key(key, passphrase)?)?;
            check_key(&chain, &*key)?;
            Self::new(own_chain::of_file(chain, &*key, FileOrder::LeafFirst)?, key)
        };
        read().map_err(|error| mistaken::explain_pair(error, cert, key))
    }

    /// Reads a PKCS#12 file (`.p12`, `.pfx`): one private key, its certificate and the CAs above it,
    /// in any order. Other certificates are not presented ([`notes`](Self::notes)).
    ///
    /// * `data`: the file's bytes, DER or BER, at most 1 MiB.
    /// * `passphrase`: the passphrase of the file; may be empty.
    ///
    /// Supports AES, which OpenSSL 3 and current Java write, and triple DES and RC2, which Windows and
    /// older tools write. The MAC (also PBMAC1, RFC 9579) is checked first, and a file without one is refused.
    ///
    /// # Errors
    ///
    /// Fails with `key_encrypted` (wrong passphrase, or a key derivation beyond the work limit),
    /// `pem_invalid` (malformed, no key, several keys, no certificate), `key_mismatch` (no certificate
    /// belongs to the key), `identity_unusable` or `clock_implausible`.
    pub fn from_pkcs12(data: &[u8], passphrase: &[u8]) -> Result<Self, Error> {
        let contents = pkcs12::read(data, passphrase)?;
        let key = signing_key(&contents.key)?;
        let chain = own_chain::of_file(contents.certificates, &*key, FileOrder::Any)?;
        check_key(&chain.certificates, &*key)?;
        Self::new(chain, key)
    }

    /// Makes an identity whose key stays elsewhere, such as in an HSM or a KMS.
    ///
    /// * `cert`: the certificate chain, leaf first, PEM or DER.
    /// * `signer`: signs handshakes with the key of the leaf.
    ///
    /// Identities of two calls are never equal, although the chain may be: make one, and clone it. To
    /// rotate it, give the endpoint or the dispatcher another one, or use
    /// [`from_signer_file`](Self::from_signer_file).
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid`, `identity_unusable`, `clock_implausible` or `option_invalid`. The key is not
    /// asked for a signature: a handshake finds out whether it fits, with `signer_failed`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use webhook_mtls::material::{SignatureRequest, SignerError};
    /// use webhook_mtls::{DispatcherOptions, Identity};
    /// # let lab = webhook_mtls::testing::Lab::start()?;
    /// # let (cert, _key) = lab.identity_pem();
    ///
    /// let sign = |request: &SignatureRequest<'_>| {
    ///     println!("{} within {:?}", request.scheme.name(), request.deadline);
    ///     Err(SignerError::new("NotConnected"))
    /// };
    /// let identity = Identity::from_signer(cert.as_bytes(), sign)?;
    /// let options = DispatcherOptions::new().identity(identity);
    /// # drop(options);
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn from_signer(cert: &[u8], signer: impl Signer) -> Result<Self, Error> {
        Self::with_key_elsewhere(cert, ExternalKey::new(Box::new(signer))?)
            .map_err(|error| mistaken::explain_pair(error, cert, &[]))
    }

    /// Makes an identity whose key stays elsewhere, and whose chain is in a file. A dispatcher that uses the
    /// identity watches the file, and rotates as with [`from_files`](Self::from_files).
    ///
    /// * `cert`: the path of the chain, a regular file of at most 1 MiB.
    /// * `signer`: signs handshakes with the key of the leaf. If the new leaf has another key, the signer
    ///   must use that as soon as the file changes.
    ///
    /// # Errors
    ///
    /// Fails as [`from_signer`](Self::from_signer) does, with `pem_invalid` if the file cannot be read
    /// within five seconds, and with `overloaded` if this process has no descriptor or thread left.
    pub fn from_signer_file(cert: impl AsRef<Path>, signer: impl Signer) -> Result<Self, Error> {
        let source = Arc::new(Source::Signer {
            cert: absolute_path(cert.as_ref(), "certificate")?,
            key: ExternalKey::new(Box::new(signer))?,
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    fn with_key_elsewhere(cert: &[u8], key: Arc<ExternalKey>) -> Result<Self, Error> {
        let chain = pem::certificates(cert, "certificate chain")?;
        let Some(leaf) = chain.first().cloned() else {
            return Err(Error::new(Kind::PemInvalid, "certificate chain: no certificate found"));
        };
        let key = Arc::new(LeafKey::new(key, leaf)?);
        let chain = own_chain::of_file(chain, &*key, FileOrder::LeafFirst)?;
        Self::checked(chain, key.clone(), Some(key))
    }

    fn new(chain: OwnChain, key: Arc<dyn SigningKey>) -> Result<Self, Error> {
        Self::checked(chain, key, None)
    }

    fn checked(
        chain: OwnChain,
        key: Arc<dyn SigningKey>,
        elsewhere: Option<Arc<LeafKey>>,
    ) -> Result<Self, Error> {
        let OwnChain { certificates: chain, notes } = chain;
        let Some(leaf) = chain.first() else {
            return Err(Error::new(Kind::PemInvalid, "certificate chain: no certificate found"));
        };
        check_leaf(leaf, clock::now()?)?;
        let mut digest = Sha256::new();
        for certificate in &chain {
            digest.update(certificate.der());
        }
        if let Some(elsewhere) = &elsewhere {
            digest.update(elsewhere.external.id().to_be_bytes());
        }
        let ders = chain.iter().map(|certificate| certificate.as_der().into_owned()).collect();
        let certified = Arc::new(CertifiedKey::new(ders, key));
        let inner = Inner { digest: digest.finalize().into(), chain, certified, elsewhere, notes };
        Ok(Self { inner: Arc::new(inner), origin: None })
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[Certificate] {
        &self.inner.chain
    }

    /// Our own certificate.
    pub fn leaf(&self) -> &Certificate {
        &self.inner.chain[0]
    }

    /// Remarks for the operator about the file of a usable identity: a certificate that is there twice,
    /// or that is not an issuer of ours. They are not presented.
    pub fn notes(&self) -> &[String] {
        &self.inner.notes
    }

    /// The files that the identity was read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// A digest of the chain.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.inner.digest
    }

    /// The chain that a handshake presents, and the key that signs.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.inner.certified
    }

    /// The key, if a signer has it.
    pub(crate) fn elsewhere(&self) -> Option<&Arc<LeafKey>> {
        self.inner.elsewhere.as_ref()
    }

    /// Repeats the checks of the leaf for the instant `at` (Unix seconds).
    ///
    /// Fails with `identity_unusable`.
    pub(crate) fn check(&self, at: i64) -> Result<(), Error> {
        check_leaf(self.leaf(), at)
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.inner.digest == other.inner.digest
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.leaf().subject_text())
    }
}

pub(crate) fn signing_key(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Error> {
    algorithms::signing_key(key).ok_or_else(|| private_key::unusable(key))
}

/// Checks that the key belongs to the first certificate. Fails with `key_mismatch`.
pub(crate) fn check_key(chain: &[Certificate], key: &dyn SigningKey) -> Result<(), Error> {
    let Some(public) = key.public_key() else {
        return Err(Error::new(
            Kind::KeyMismatch,
            "the public key of the private key cannot be derived for comparison",
        ));
    };
    let fits = |certificate: &Certificate| certificate.parsed().spki == public.as_ref();
    match chain.iter().position(fits) {
        Some(0) => Ok(()),
        Some(at) => Err(Error::new(
            Kind::KeyMismatch,
            format!(
                "the private key belongs to certificate {} of the chain, not to the first",
                at + 1
            ),
        )
        .advising("Put the leaf first, then its issuer, and so on.")),
        None => Err(Error::new(
            Kind::KeyMismatch,
            format!("the private key does not belong to {}", chain[0].subject_text()),
        )
        .noting(key::SUBJECT, chain[0].subject_text())),
    }
}

/// Checks that a certificate can be ours at the instant `at` (Unix seconds). Fails with
/// `identity_unusable`.
pub(crate) fn check_leaf(leaf: &Certificate, at: i64) -> Result<(), Error> {
    let parsed = leaf.parsed();
    let fault = |why: String| {
        Error::new(
            Kind::IdentityUnusable,
            format!("our certificate {} {why}", parsed.subject_text()),
        )
        .noting(key::SUBJECT, parsed.subject_text())
        .noting(key::NOT_BEFORE, parsed.not_before.saturating_mul(1000))
        .noting(key::NOT_AFTER, parsed.not_after.saturating_mul(1000))
    };
    if parsed.is_ca {
        return Err(fault("is a CA certificate".into()));
    }
    if at > parsed.not_after {
        return Err(fault(format!(
            "expired on {} by this machine's clock ({})",
            utc_text(parsed.not_after),
            utc_text(at)
        ))
        .caused(&cause::IDENTITY_EXPIRED, &[]));
    }
    if at < parsed.not_before {
        let not_before = utc_text(parsed.not_before);
        return Err(fault(format!(
            "becomes valid on {not_before}, and this machine's clock says {}",
            utc_text(at)
        ))
        .caused(&cause::IDENTITY_NOT_YET_VALID, &[("not_before", &not_before)]));
    }
    match parsed.client_purpose() {
        Purpose::Allowed | Purpose::Absent => {}
        Purpose::Any => {
            let why = "lists anyExtendedKeyUsage alone, so it was not issued for clientAuth";
            return Err(fault(why.into()));
        }
        Purpose::Refused => {
            let listed = parsed.listed_purposes();
            return Err(fault(format!(
                "lists only {listed} in its extendedKeyUsage, not clientAuth"
            ))
            .advising(
                "Issue our certificate with clientAuth in its extendedKeyUsage. Public CAs stop issuing such \
                 certificates: use a private CA.",
            ));
        }
    }
    if parsed.key_usage(DIGITAL_SIGNATURE) == Some(false) {
        let why = "may not sign handshakes (keyUsage without digitalSignature)";
        return Err(fault(why.into())
            .advising("Issue our certificate with digitalSignature in its keyUsage."));
    }
    if let Some(refusal) = parsed.key.refusal() {
        return Err(fault(refusal));
    }
    Ok(())
}
