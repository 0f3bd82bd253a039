//! Trust: the CA certificates and CRLs that verify a peer. A bundle is checked when it is loaded, because
//! path building does not check an anchor.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::TrustAnchor;
use sha2::{Digest as _, Sha256};

use super::public_roots;
use crate::clock::{self, utc_text};
use crate::error::{Error, Kind, key, presented};
use crate::keystore::pem;
use crate::material::pin::Pin;
use crate::material::source::{Origin, Snapshot, Source, absolute_path};
use crate::x509::Crl;
use crate::x509::{Certificate, KEY_CERT_SIGN, ParsedCertificate, comparable_name, name_text};

/// The private CA anchors, known intermediates and CRLs that verify a peer. Public web roots are refused.
/// Cheap to clone.
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
    crls: Vec<Crl>,
    /// Whether public web roots are allowed.
    public: bool,
    notes: Vec<String>,
    digest: [u8; 32],
}

pub(crate) struct Anchor {
    pub(crate) certificate: Certificate,
    pub(crate) webpki: TrustAnchor<'static>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl Trust {
    /// Reads PEM files: anchors, and optionally intermediates and CRLs.
    ///
    /// Every path must name a regular file of at most 1 MiB. The trust keeps the paths, and a
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
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// Reads a trust from the content of its files.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let Source::Trust { intermediates, crls, distrusted, .. } = &*origin.source else {
            unreachable!("a trust has the source of a trust");
        };
        let mut texts = snapshot.texts.iter().map(Vec::as_slice);
        let anchors = texts.next().unwrap_or_default();
        let intermediates = intermediates.as_ref().and_then(|_| texts.next());
        let crls = crls.as_ref().and_then(|_| texts.next());
        let read = Self::from_pem(anchors, intermediates, crls.as_slice())?;
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
    /// Fails with `pem_invalid`, `trust_invalid` (empty, no CA, weak key, all expired; the message
    /// has the position and the subject of the certificate), `public_root_in_trust`, `crl_unusable` or
    /// `clock_implausible`.
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
    /// for a consumer whose *server* certificate comes from a public CA.
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

    /// Warnings about a usable bundle, for the operator: an anchor that has expired and is not used, a
    /// duplicate anchor, an intermediate as anchor, a CRL that is not valid yet, a CRL with the name of a
    /// CA of the bundle that another key has signed.
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
        let mut inner = Inner {
            anchors: policy.anchors(anchors, &mut notes)?,
            intermediates: intermediates.map_or(Ok(Vec::new()), read_intermediates)?,
            crls: Vec::new(),
            public: !policy.refuse_public,
            notes,
            digest: [0; 32],
        };
        for text in crls {
            for (at, der) in pem::crls(text, "CRL")?.into_iter().enumerate() {
                inner.crls.push(Crl::read(der, at)?);
            }
        }
        inner.note_crls(policy.now);
        inner.digest = inner.fingerprint();
        Ok(Self { inner: Arc::new(inner), distrusted: Arc::default(), origin: None })
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

    pub(crate) fn crls(&self) -> &[Crl] {
        &self.inner.crls
    }

    /// Returns whether [`dangerous_public`](Self::dangerous_public) made it.
    pub(crate) fn is_public(&self) -> bool {
        self.inner.public
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
    /// Adds notes about CRLs that cannot be used now. A CRL may be for a CA that only peers present, so an
    /// unknown issuer is not reported.
    fn note_crls(&mut self, now: i64) {
        let anchors = self.anchors.iter().map(|anchor| &anchor.certificate);
        let cas: Vec<ParsedCertificate<'_>> =
            anchors.chain(&self.intermediates).map(Certificate::parsed).collect();
        let mut notes = Vec::new();
        for (at, crl) in self.crls.iter().enumerate() {
            let what = format!("CRL {} ({})", at + 1, presented(&name_text(&crl.issuer)));
            if crl.this_update > now {
                let from = utc_text(crl.this_update);
                notes.push(format!("{what} is not used before {from}, its thisUpdate"));
            }
            let mut issuers = cas
                .iter()
                .filter(|ca| crl.is_of(ca.subject, &comparable_name(ca.subject)))
                .peekable();
            if issuers.peek().is_some() && !issuers.any(|ca| crl.is_signed_by(ca)) {
                notes.push(format!(
                    "{what} has the name of a CA of this bundle, but another key signed it: it is not \
                     used for that CA"
                ));
            }
        }
        self.notes.extend(notes);
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let mut part = |label: u8, bytes: &[u8]| {
            digest.update([label]);
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(b'p', &[u8::from(self.public)]);
        self.anchors.iter().for_each(|anchor| part(b'a', anchor.certificate.der()));
        self.intermediates.iter().for_each(|certificate| part(b'i', certificate.der()));
        self.crls.iter().for_each(|crl| part(b'c', crl.der()));
        digest.finalize().into()
    }
}

/// The rules for loading a bundle.
struct LoadPolicy {
    /// Unix seconds.
    now: i64,
    refuse_public: bool,
}

impl LoadPolicy {
    /// Reads the anchors without duplicates, in the order of the bundle. Fails with `trust_invalid` if there
    /// is none.
    fn anchors(&self, bundle: &[u8], notes: &mut Vec<String>) -> Result<Vec<Anchor>, Error> {
        if bundle.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::new(Kind::TrustInvalid, "the trust bundle is empty"));
        }
        let mut anchors: Vec<Anchor> = Vec::new();
        for (at, certificate) in pem::certificates(bundle, "trust bundle")?.into_iter().enumerate()
        {
            let parsed = certificate.parsed();
            if self.refuse_public {
                public_roots::refuse(&parsed)?;
            }
            let what = format!("trust bundle: certificate {}", at + 1);
            check_ca(&parsed, &what, at)?;
            if parsed.has_purposes() && parsed.issuer == parsed.subject {
                let why = "is a root with extendedKeyUsage, which only a CA below it may have";
                return Err(fault(&what, &parsed, at, why));
            }
            if anchors.iter().any(|known| known.certificate == certificate) {
                notes.push(format!("{what} ({}) is in the bundle twice", parsed.subject_text()));
                continue;
            }
            self.note(&parsed, &what, notes);
            anchors.push(Anchor::new(certificate, at)?);
        }
        if anchors.iter().all(|anchor| anchor.not_after < self.now) {
            let last = &anchors[0];
            return Err(Error::new(
                Kind::TrustInvalid,
                "every certificate of the trust bundle has expired",
            )
            .noting(key::SUBJECT, last.certificate.subject_text())
            .noting(key::NOT_AFTER, last.not_after.saturating_mul(1000))
            .advising("Supply the CA's current certificate."));
        }
        Ok(anchors)
    }
}

impl LoadPolicy {
    /// Adds notes about an anchor that is usable, but expired or an intermediate.
    fn note(&self, parsed: &ParsedCertificate<'_>, what: &str, notes: &mut Vec<String>) {
        let subject = parsed.subject_text();
        if parsed.not_after < self.now {
            let end = utc_text(parsed.not_after);
            notes.push(format!("{what} ({subject}) expired on {end} and is not used"));
        }
        if parsed.issuer != parsed.subject {
            notes.push(format!(
                "{what} ({subject}) is an intermediate, issued by {}: OpenSSL does not \
                 accept an intermediate as an anchor, so peers that use it need the root",
                parsed.issuer_text()
            ));
        }
    }
}

fn read_intermediates(bundle: &[u8]) -> Result<Vec<Certificate>, Error> {
    let intermediates = pem::certificates(bundle, "intermediates")?;
    for (at, certificate) in intermediates.iter().enumerate() {
        check_ca(&certificate.parsed(), &format!("intermediates: certificate {}", at + 1), at)?;
    }
    Ok(intermediates)
}

impl Anchor {
    fn new(certificate: Certificate, at: usize) -> Result<Self, Error> {
        let parsed = certificate.parsed();
        let webpki = webpki::anchor_from_trusted_cert(&certificate.as_der())
            .map_err(|_| {
                fault(
                    &format!("trust bundle: certificate {}", at + 1),
                    &parsed,
                    at,
                    "cannot be an anchor",
                )
            })?
            .to_owned();
        let (not_before, not_after) = (parsed.not_before, parsed.not_after);
        Ok(Self { certificate, webpki, not_before, not_after })
    }

    pub(crate) fn is_valid_at(&self, at: i64) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// Checks the rules for a CA (RFC 5280 sections 4.2.1.3 and 4.2.1.9), and the strength of its key.
fn check_ca(parsed: &ParsedCertificate<'_>, what: &str, at: usize) -> Result<(), Error> {
    let refuse = |why: &str| Err(fault(what, parsed, at, why));
    if parsed.version != 3 {
        return refuse("is not of version 3, so it cannot be a CA");
    }
    if !parsed.is_ca {
        return refuse("is not a CA certificate (basicConstraints without CA:TRUE)");
    }
    if parsed.key_usage(KEY_CERT_SIGN) == Some(false) {
        return refuse("may not sign certificates (keyUsage without keyCertSign)");
    }
    if let Some(refusal) = parsed.key.refusal() {
        return refuse(&refusal);
    }
    if parsed.subject.is_empty() {
        return refuse("has no subject, so no certificate can name it as issuer");
    }
    if let Some(why) = parsed.profile_fault.or_else(|| parsed.constraints_fault()) {
        return refuse(why);
    }
    if parsed.unknown_critical.is_some() {
        return refuse("has a critical extension that is not supported");
    }
    Ok(())
}

fn fault(what: &str, parsed: &ParsedCertificate<'_>, at: usize, why: &str) -> Error {
    let subject = parsed.subject_text();
    Error::new(Kind::TrustInvalid, format!("{what} ({subject}) {why}"))
        .noting(key::POSITION, at + 1)
        .noting(key::SUBJECT, subject)
}
