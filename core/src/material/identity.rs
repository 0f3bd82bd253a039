//! Floor 3: who we are, a certificate chain and the key that belongs to its leaf.

use std::path::Path;
use std::sync::Arc;

use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::error::{Error, Kind};
use crate::keystore::{pem, pkcs12};
use crate::material::source::{Origin, Snapshot, Source, named};
use crate::x509::algorithms;
use crate::x509::{Certificate, ParsedCertificate, Purpose};

/// Our certificate chain and private key, checked: the key belongs to the leaf, and the leaf is
/// within its dates, allows clientAuth and is no CA. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
    /// Ten thousand endpoints may each keep a clone: it is not held in place.
    origin: Option<Arc<Origin>>,
}

struct Inner {
    chain: Vec<Certificate>,
    /// Chain and key in the form that handshakes take them, one for all connections.
    certified: Arc<CertifiedKey>,
    digest: [u8; 32],
}

impl Identity {
    /// Reads PEM files: the chain, leaf first, and the private key.
    ///
    /// * `cert`, `key`: paths of regular files of at most 1 MiB; they may be the same file.
    /// * `passphrase`: opens an encrypted PKCS#8 key.
    ///
    /// The paths are remembered, and a dispatcher that uses the identity watches them.
    ///
    /// Fails as [`from_pem`](Self::from_pem) does, with `pem_invalid` if a file cannot be read within
    /// five seconds, and with `overloaded` if this process has no descriptor or thread left.
    pub fn from_files(
        cert: impl AsRef<Path>,
        key: impl AsRef<Path>,
        passphrase: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let source = Arc::new(Source::Identity {
            cert: named(cert.as_ref(), "certificate")?,
            key: named(key.as_ref(), "private key")?,
            passphrase: passphrase.map(<[u8]>::to_vec),
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// What the files of an identity held.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let (Source::Identity { passphrase, .. }, [cert, key]) =
            (&*origin.source, &snapshot.texts[..])
        else {
            unreachable!("an identity is read from two files");
        };
        let read = Self::from_pem(cert, key, passphrase.as_deref())?;
        Ok(Self { origin: Some(Arc::new(origin)), ..read })
    }

    /// Reads PEM text (or DER): the chain, leaf first, and the private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// Fails with `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable` or
    /// `clock_implausible`.
    pub fn from_pem(cert: &[u8], key: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let chain = pem::certificates(cert, "certificate chain")?;
        Self::new(chain, signing_key(&pem::private_key(key, passphrase)?)?)
    }

    /// Reads a PKCS#12 file (`.p12`, `.pfx`): one private key, its certificate and the CAs above it,
    /// in any order.
    ///
    /// * `data`: the file's bytes, DER, at most 1 MiB.
    /// * `passphrase`: opens it; may be empty.
    ///
    /// AES as OpenSSL 3 and current Java write it is read, and so are triple DES and RC2, which
    /// Windows and older tools write. The MAC is checked first, and a file without one is refused.
    ///
    /// Fails with `key_encrypted` (the passphrase does not open it, or opening it would cost too
    /// much), `pem_invalid` (malformed, no key, several keys, no certificate), `key_mismatch` (no
    /// certificate is the key's), `identity_unusable` or `clock_implausible`.
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
        let shown = chain.iter().map(|certificate| certificate.as_der().into_owned()).collect();
        let certified = Arc::new(CertifiedKey::new(shown, key));
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

    /// The files it was read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// The same for identities with the same chain.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.inner.digest
    }

    /// What a handshake shows, and the key that signs it.
    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.inner.certified
    }

    /// Whether our leaf may be shown at this instant; the same judgement as at loading.
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
    algorithms::signing_key(key).ok_or_else(|| {
        Error::new(
            Kind::PemInvalid,
            "private key: neither RSA (2048 bits or more), P-256, P-384, P-521 nor Ed25519, \
             or damaged",
        )
    })
}

/// The key's own certificate, then each one's issuer. Where there is no such certificate they stay as
/// they are, and the key is found to fit none.
///
/// A certificate beside that chain is refused, and not dropped in silence: whoever put it there
/// expects it to be shown.
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
            format!("the certificate {subject} is not above ours ({})", chain[0].subject_text()),
        )
        .noting("subject", subject)
        .advising("Leave out of the file what is no CA of our certificate."));
    }
    Ok(chain)
}

/// Of a CA that was re-keyed under its name, the certificate with the key that is named.
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
            "the private key yields no public key to compare",
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
        .noting("subject", chain[0].subject_text())),
    }
}

fn check_leaf(leaf: &Certificate, at: i64) -> Result<(), Error> {
    let view = leaf.parsed();
    let fault = |why: String| {
        Error::new(Kind::IdentityUnusable, format!("our certificate {} {why}", view.subject_text()))
            .noting("subject", view.subject_text())
            .noting("not_before_ms", view.not_before.saturating_mul(1000))
            .noting("not_after_ms", view.not_after.saturating_mul(1000))
    };
    if view.is_ca {
        return Err(fault("is a CA certificate".into()));
    }
    if at > view.not_after {
        return Err(fault(format!("expired {} seconds ago", at - view.not_after))
            .advising("Renew our certificate."));
    }
    if at < view.not_before {
        return Err(fault(format!("becomes valid in {} seconds", view.not_before - at))
            .advising("Wait for notBefore, or set the clock."));
    }
    match view.client_purpose() {
        Purpose::Allowed | Purpose::Absent => {}
        Purpose::Any => {
            let why = "lists anyExtendedKeyUsage, so it was issued for no purpose in particular";
            return Err(fault(why.into()));
        }
        Purpose::Refused => {
            return Err(fault("does not allow clientAuth in its extendedKeyUsage".into()));
        }
    }
    if let Some(weakness) = view.key.weakness() {
        return Err(fault(format!("has a weak key: {weakness}")));
    }
    Ok(())
}

/// A server may take the chain only in the order of RFC 5246 section 7.4.2.
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
