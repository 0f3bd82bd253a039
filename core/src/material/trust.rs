//! Trust: the CA certificates and CRLs that verify a peer. A bundle is checked when it is loaded, because
//! path building does not check an anchor.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::anchors::{self, Anchor, LoadPolicy};
use super::crl_set::{self, CrlSet};
use crate::clock::{self, utc_text};
use crate::error::{Error, Kind, key};
use crate::keystore::mistaken;
use crate::material::pin::Pin;
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::x509::{Certificate, ParsedCertificate};

/// The private CA anchors, known intermediates and CRLs that verify a peer, or exactly one certificate of a
/// peer. Public web roots are refused. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{Kind, Trust};
/// # let ca = webhook_mtls::testing::Lab::start()?.trust_pem();
///
/// let trust = Trust::from_pem(ca.as_bytes(), None, &[])?;
/// let error = Trust::from_pem(b"", None, &[]).unwrap_err();
/// assert_eq!(error.kind(), Kind::TrustInvalid);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Trust {
    inner: Arc<Inner>,
    /// Sorted digests of SubjectPublicKeyInfos.
    distrusted: Arc<[[u8; 32]]>,
    origin: Option<Arc<Origin>>,
}

struct Inner {
    anchors: Vec<Anchor>,
    intermediates: Vec<Certificate>,
    crls: CrlSet,
    /// Whether public web roots are allowed.
    public: bool,
    /// Whether the only anchor is the certificate of the peer itself.
    exact: bool,
    notes: Vec<String>,
    digest: [u8; 32],
}

impl Trust {
    /// Reads PEM files: anchors, and optionally intermediates and CRLs.
    ///
    /// Every path must name a regular file of at most 1 MiB, or 64 MiB for CRLs. The trust keeps the paths, and a
    /// dispatcher or verifier that uses it watches the files.
    ///
    /// # Errors
    ///
    /// Fails as [`from_pem`](Self::from_pem) does, with `pem_invalid` if a file cannot be read
    /// within five seconds, and with `overloaded` if this process has no descriptor or thread left.
    pub fn from_files(
        anchors: impl AsRef<Path>,
        intermediates: Option<&Path>,
        crls: Option<&Path>,
    ) -> Result<Self, Error> {
        let source = Arc::new(Source::Trust {
            anchors: absolute_path(anchors.as_ref(), "trust")?,
            intermediates: intermediates
                .map(|path| absolute_path(path, "intermediates"))
                .transpose()?,
            crls: crls.map(|path| absolute_path(path, "CRL")).transpose()?,
            distrusted: Arc::default(),
            exact: false,
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// Trusts one certificate and no CA: for a peer with a self-signed certificate, or for one certificate of
    /// a CA that is not trusted. Its dates, names, purpose and pins are checked as for any other peer.
    ///
    /// The peer must present this certificate itself: one that it has issued is refused. It may be a CA
    /// certificate, because `openssl req -x509` makes one. No CRL applies to it. To revoke it, replace the trust.
    ///
    /// * `certificate`: PEM text or DER with exactly one certificate.
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid`, `trust_invalid` (several certificates, weak key) or `clock_implausible`.
    pub fn exact(certificate: &[u8]) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let anchor = anchors::exact(certificate, clock::now()?, &mut notes)
            .map_err(|error| mistaken::explain_certificates(error, certificate))?;
        crl_set::note_beside_exact(certificate, &mut notes);
        Ok(Self::of(Inner {
            anchors: vec![anchor],
            intermediates: Vec::new(),
            crls: CrlSet::default(),
            public: false,
            exact: true,
            notes,
            digest: [0; 32],
        }))
    }

    /// Reads the certificate of [`exact`](Self::exact) from a file, which is watched as those of
    /// [`from_files`](Self::from_files).
    ///
    /// # Errors
    ///
    /// Fails as [`exact`](Self::exact) does, and as [`from_files`](Self::from_files) does if the file cannot
    /// be read.
    pub fn exact_from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let source = Arc::new(Source::Trust {
            anchors: absolute_path(path.as_ref(), "trust")?,
            intermediates: None,
            crls: None,
            distrusted: Arc::default(),
            exact: true,
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// Reads a trust from the content of its files.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let Source::Trust { intermediates, crls, distrusted, exact, .. } = &*origin.source else {
            unreachable!("a trust has the source of a trust");
        };
        let mut texts = snapshot.texts.iter().map(Vec::as_slice);
        let anchors = texts.next().unwrap_or_default();
        let intermediates = intermediates.as_ref().and_then(|_| texts.next());
        let crls = crls.as_ref().and_then(|_| texts.next());
        let read = if *exact {
            Self::exact(anchors)
                .map_err(|error| origin.source.blame(Some(0), &snapshot.texts, error))?
        } else {
            Self::from_pem(anchors, intermediates, crls.as_slice()).map_err(|error| {
                let at = if Self::from_pem(anchors, None, &[]).is_err() {
                    0
                } else if Self::from_pem(anchors, intermediates, &[]).is_err() {
                    1
                } else {
                    origin.source.files().len() - 1
                };
                origin.source.blame(Some(at), &snapshot.texts, error)
            })?
        };
        let distrusted = distrusted.clone();
        Self { origin: Some(Arc::new(origin)), distrusted, ..read }.check_anchor_left()
    }

    /// Reads PEM text (or DER).
    ///
    /// * `anchors`: the trusted CA certificates. An intermediate may be an anchor.
    /// * `intermediates`: CA certificates that complete a path to an anchor if the peer does not send
    ///   them. They are not trusted by themselves.
    /// * `crls`: certificate revocation lists. A text may hold several.
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid`, `trust_invalid` (empty, no CA, weak key; the message has the position and the
    /// subject of the certificate), `public_root_in_trust`, `crl_unusable` or `clock_implausible`. A trust
    /// of expired anchors loads with notes, because a verifier may judge at an earlier instant; a
    /// dispatcher and an endpoint refuse it with `trust_invalid`.
    pub fn from_pem(
        anchors: &[u8],
        intermediates: Option<&[u8]>,
        crls: &[&[u8]],
    ) -> Result<Self, Error> {
        Self::load(
            anchors,
            intermediates,
            crls,
            &LoadPolicy { now: clock::now()?, refuse_public: true },
        )
    }

    /// Reads PEM text (or DER) as [`from_pem`](Self::from_pem) does, but allows public web roots:
    /// for a consumer whose *server* certificate comes from a public CA. A root that cannot be used, such
    /// as one with a weak key, is skipped with a note.
    ///
    /// Anyone who controls a domain name can get a certificate below such a root. An endpoint accepts
    /// this trust only together with pins. A dispatcher and a verifier refuse it.
    ///
    /// # Errors
    ///
    /// Fails as [`from_pem`](Self::from_pem) does, except with `public_root_in_trust`.
    pub fn dangerous_public(
        anchors: &[u8],
        intermediates: Option<&[u8]>,
        crls: &[&[u8]],
    ) -> Result<Self, Error> {
        Self::load(
            anchors,
            intermediates,
            crls,
            &LoadPolicy { now: clock::now()?, refuse_public: false },
        )
    }

    /// Returns the same trust without the CAs that have one of these keys. No path may contain them, as
    /// an anchor or below one. Meant for a compromised intermediate that no CRL covers.
    ///
    /// * `issuers`: the pins of their keys, `sha256/…`. They are added to the keys that are distrusted
    ///   already.
    ///
    /// # Errors
    ///
    /// Fails with `pin_invalid`, or with `trust_invalid` if no anchor is left.
    pub fn distrusting<I>(mut self, issuers: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut distrusted = self.distrusted.to_vec();
        for (at, issuer) in issuers.into_iter().enumerate() {
            let fault = |why: &str| {
                let message = format!("distrusted pin {} {why}", at + 1);
                Error::new(Kind::PinInvalid, message)
                    .noting(key::POSITION, at + 1)
                    .advising("Pass the pin of the issuer's key, sha256/…")
            };
            match Pin::read(issuer.as_ref()).map_err(|why| fault(&why))? {
                Pin::Spki(digest) => distrusted.push(digest),
                Pin::Certificate(_) => {
                    return Err(fault(
                        "is the pin of a certificate; distrust an issuer by its key",
                    ));
                }
            }
        }
        distrusted.sort_unstable();
        distrusted.dedup();
        self.distrusted = distrusted.into();
        // A reload of the files must distrust the same keys.
        self.origin = self.origin.map(|origin| Arc::new(origin.distrusting(&self.distrusted)));
        self.check_anchor_left()
    }

    fn check_anchor_left(self) -> Result<Self, Error> {
        if self.inner.anchors.iter().all(|anchor| self.distrusts(&anchor.certificate.parsed())) {
            return Err(Error::new(
                Kind::TrustInvalid,
                "every certificate of the trust bundle is distrusted",
            )
            .noting(key::SUBJECT, self.inner.anchors[0].certificate.subject_text()));
        }
        Ok(self)
    }

    /// Warnings about a usable bundle, for the operator: an anchor that has expired and is not used, one
    /// with a critical extension that is not supported, a duplicate anchor, an intermediate as anchor, a public root that is skipped, and CRLs that cannot be
    /// used: not in force yet, of no CA of the bundle, signed by another key than that of the CA with its
    /// name, for attribute certificates, or among the certificates.
    pub fn notes(&self) -> &[String] {
        &self.inner.notes
    }

    fn load(
        anchors: &[u8],
        intermediates: Option<&[u8]>,
        crls: &[&[u8]],
        policy: &LoadPolicy,
    ) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let found = policy
            .anchors(anchors, &mut notes)
            .map_err(|error| mistaken::explain_certificates(error, anchors))?;
        let known =
            intermediates.map(|text| anchors::intermediates(text, &mut notes)).transpose()?;
        let mut inner = Inner {
            anchors: found,
            intermediates: known.unwrap_or_default(),
            crls: CrlSet::default(),
            public: !policy.refuse_public,
            exact: false,
            notes,
            digest: [0; 32],
        };
        inner.crls = CrlSet::read(crls, &mut inner.notes)?;
        for (text, what) in
            [(anchors, "trust bundle"), (intermediates.unwrap_or_default(), "intermediates")]
        {
            inner.crls.has_misplaced |= crl_set::note_misplaced(text, what, &mut inner.notes);
        }
        inner.note_crls(policy.now);
        Ok(Self::of(inner))
    }

    fn of(mut inner: Inner) -> Self {
        inner.digest = inner.fingerprint();
        Self { inner: Arc::new(inner), distrusted: Arc::default(), origin: None }
    }

    /// Checks that a usable anchor is not expired at the instant `at` (Unix seconds). Loading does not check it, because
    /// a verifier may judge a chain at an earlier instant.
    ///
    /// Fails with `trust_invalid`.
    pub(crate) fn check_current(&self, at: i64) -> Result<(), Error> {
        let is_current = |anchor: &Anchor| at <= anchor.not_after && !anchor.is_unsupported;
        if self.inner.anchors.iter().any(is_current) {
            return Ok(());
        }
        let first = self.inner.anchors.iter().find(|anchor| !anchor.is_unsupported);
        let first = first.unwrap_or(&self.inner.anchors[0]);
        let (subject, end) = (first.certificate.subject_text(), utc_text(first.not_after));
        let what = if self.inner.exact {
            "the trusted certificate"
        } else {
            "every certificate of the trust"
        };
        let message = format!("{what} has expired: {subject} expired on {end}");
        Err(Error::new(Kind::TrustInvalid, message)
            .noting(key::SUBJECT, subject)
            .noting(key::NOT_AFTER, first.not_after.saturating_mul(1000))
            .advising(if self.inner.exact {
                "Supply the peer's current certificate."
            } else {
                "Supply the CA's current certificate."
            }))
    }

    /// The files that the trust was read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// A digest of anchors, intermediates and CRLs.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.inner.digest
    }

    pub(crate) fn anchors(&self) -> &[Anchor] {
        &self.inner.anchors
    }

    pub(crate) fn intermediates(&self) -> &[Certificate] {
        &self.inner.intermediates
    }

    pub(crate) fn crls(&self) -> &CrlSet {
        &self.inner.crls
    }

    /// Returns whether [`dangerous_public`](Self::dangerous_public) made it.
    pub(crate) fn is_public(&self) -> bool {
        self.inner.public
    }

    /// Returns the pins of the distrusted keys.
    pub(crate) fn distrusted(&self) -> Vec<String> {
        self.distrusted.iter().map(|digest| Pin::Spki(*digest).to_string()).collect()
    }

    /// The only certificate that a peer may present, if [`exact`](Self::exact) made the trust.
    pub(crate) fn exact_certificate(&self) -> Option<&Certificate> {
        self.inner.anchors.first().filter(|_| self.inner.exact).map(|anchor| &anchor.certificate)
    }

    pub(crate) fn distrusts(&self, issuer: &ParsedCertificate<'_>) -> bool {
        !self.distrusted.is_empty() && self.distrusted.contains(&issuer.spki_digest())
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.inner.digest == other.inner.digest && self.distrusted == other.distrusted
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.inner.anchors.iter().map(|anchor| &anchor.certificate)).finish()
    }
}

impl Inner {
    /// Adds notes about CRLs that cannot be used now.
    fn note_crls(&mut self, now: i64) {
        let anchors = self.anchors.iter().map(|anchor| &anchor.certificate);
        let cas: Vec<ParsedCertificate<'_>> =
            anchors.chain(&self.intermediates).map(Certificate::parsed).collect();
        self.notes.extend(self.crls.notes_for(&cas, now));
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut part = |label: u8, bytes: &[u8]| {
            digest.update([label]);
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(b'p', &[u8::from(self.public), u8::from(self.exact)]);
        self.anchors.iter().for_each(|anchor| part(b'a', anchor.certificate.der()));
        self.intermediates.iter().for_each(|certificate| part(b'i', certificate.der()));
        self.crls.iter().for_each(|crl| part(b'c', crl.der()));
        part(b'm', &[u8::from(self.crls.has_misplaced)]);
        digest.finalize().into()
    }
}
