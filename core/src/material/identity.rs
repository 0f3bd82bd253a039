//! Our identity: a certificate chain and the private key of its leaf.

use std::path::Path;
use std::sync::Arc;

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};

use crate::clock::{self, utc_text};
use crate::error::{Error, Kind, cause, key};
use crate::keystore::{mistaken, pem, pkcs12, private_key};
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::x509::algorithms;
use crate::x509::{Certificate, ParsedCertificate, Purpose};

/// Our certificate chain and private key, after checks: the key belongs to the leaf, and the leaf is
/// within its dates, allows clientAuth and is not a CA. Cheap to clone.
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
    digest: [u8; 32],
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
        let (Source::Identity { passphrase, .. }, [cert, key]) =
            (&*origin.source, &snapshot.texts[..])
        else {
            unreachable!("an identity has two files");
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
            origin.source.blame(at, error)
        })?;
        Ok(Self { origin: Some(Arc::new(origin)), ..read })
    }

    /// Reads PEM text (or DER): the chain, leaf first, and the private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable` or
    /// `clock_implausible`.
    pub fn from_pem(cert: &[u8], key: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let read = || {
            let chain = pem::certificates(cert, "certificate chain")?;
            Self::new(chain, signing_key(&pem::private_key(key, passphrase)?)?)
        };
        read().map_err(|error| mistaken::explain_pair(error, cert, key))
    }

    /// Reads a PKCS#12 file (`.p12`, `.pfx`): one private key, its certificate and the CAs above it,
    /// in any order.
    ///
    /// * `data`: the file's bytes, DER, at most 1 MiB.
    /// * `passphrase`: the passphrase of the file; may be empty.
    ///
    /// Supports AES, which OpenSSL 3 and current Java write, and triple DES and RC2, which Windows and
    /// older tools write. The MAC is checked first, and a file without one is refused.
    ///
    /// # Errors
    ///
    /// Fails with `key_encrypted` (wrong passphrase, or a key derivation beyond the work limit),
    /// `pem_invalid` (malformed, no key, several keys, no certificate), `key_mismatch` (no certificate
    /// belongs to the key), `identity_unusable` or `clock_implausible`.
    pub fn from_pkcs12(data: &[u8], passphrase: &[u8]) -> Result<Self, Error> {
        let contents = pkcs12::read(data, passphrase)?;
        let key = signing_key(&contents.key)?;
        Self::new(in_order(contents.certificates, &*key)?, key)
    }

    fn new(chain: Vec<Certificate>, key: Arc<dyn SigningKey>) -> Result<Self, Error> {
        let Some(leaf) = chain.first() else {
            return Err(Error::new(Kind::PemInvalid, "certificate chain: no certificate found"));
        };
        check_key(&chain, &*key)?;
        check_leaf(leaf, clock::now()?)?;
        check_order(&chain)?;
        let mut digest = Sha256::new();
        for certificate in &chain {
            digest.update(certificate.der());
        }
        let ders = chain.iter().map(|certificate| certificate.as_der().into_owned()).collect();
        let certified = Arc::new(CertifiedKey::new(ders, key));
        let inner = Inner { digest: digest.finalize().into(), chain, certified };
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

fn signing_key(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Error> {
    algorithms::signing_key(key).ok_or_else(|| private_key::unusable(key))
}

/// Sorts certificates: the one of the key, then the issuer of each. If none belongs to the key, the order
/// stays, and [`check_key`] fails.
///
/// Fails if a certificate is not part of that chain. The file's author expects it to be presented, so it
/// must not be dropped in silence.
fn in_order(
    mut certificates: Vec<Certificate>,
    key: &dyn SigningKey,
) -> Result<Vec<Certificate>, Error> {
    let public = key.public_key();
    let own = certificates.iter().position(|certificate| {
        public.as_ref().is_some_and(|public| certificate.parsed().spki == public.as_ref())
    });
    let Some(own) = own else {
        return Ok(certificates);
    };
    let mut chain = vec![certificates.remove(own)];
    while let Some(next) = issuer_among(&certificates, &chain[chain.len() - 1].parsed()) {
        chain.push(certificates.remove(next));
    }
    if let Some(stray) = certificates.first() {
        let subject = stray.subject_text();
        return Err(Error::new(
            Kind::IdentityUnusable,
            format!(
                "the certificate {subject} is not an issuer of ours ({})",
                chain[0].subject_text()
            ),
        )
        .noting(key::SUBJECT, subject)
        .advising("Remove from the file each certificate that is not a CA of ours."));
    }
    Ok(chain)
}

/// Finds the issuer of `subject`. If several CA certificates have its name, takes the one with the key
/// identifier that `subject` names.
fn issuer_among(certificates: &[Certificate], subject: &ParsedCertificate<'_>) -> Option<usize> {
    let position = |fits: &dyn Fn(&ParsedCertificate<'_>) -> bool| {
        certificates.iter().position(|other| {
            let other = other.parsed();
            other.subject == subject.issuer && fits(&other)
        })
    };
    position(&|issuer| {
        issuer.subject_key_id.is_some() && issuer.subject_key_id == subject.authority_key_id
    })
    .or_else(|| position(&|_| true))
}

fn check_key(chain: &[Certificate], key: &dyn SigningKey) -> Result<(), Error> {
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

fn check_leaf(leaf: &Certificate, at: i64) -> Result<(), Error> {
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
            let why = "lists anyExtendedKeyUsage, so it was not issued for clientAuth";
            return Err(fault(why.into()));
        }
        Purpose::Refused => {
            return Err(fault("does not allow clientAuth in its extendedKeyUsage".into()));
        }
    }
    if let Some(refusal) = parsed.key.refusal() {
        return Err(fault(refusal));
    }
    Ok(())
}

/// Checks that each certificate is followed by its issuer (RFC 5246 section 7.4.2). Some servers accept
/// no other order.
fn check_order(chain: &[Certificate]) -> Result<(), Error> {
    for (at, pair) in chain.windows(2).enumerate() {
        if pair[0].parsed().issuer != pair[1].parsed().subject {
            return Err(Error::new(
                Kind::IdentityUnusable,
                format!(
                    "certificate {} of our chain was issued by {}, but {} follows",
                    at + 1,
                    pair[0].parsed().issuer_text(),
                    pair[1].subject_text()
                ),
            )
            .advising("Put the leaf first, then its issuer, and so on."));
        }
    }
    Ok(())
}
