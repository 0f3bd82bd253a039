//! Floor 3: whom we believe. A bundle is judged when it is loaded, because path building believes
//! an anchor without looking at it.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::TrustAnchor;
use sha2::{Digest as _, Sha256};

use super::public_roots;
use crate::clock;
use crate::error::{Error, Kind, presented};
use crate::keystore::pem;
use crate::material::pin::Pin;
use crate::material::source::{Origin, Snapshot, Source, named};
use crate::x509::Crl;
use crate::x509::{Certificate, KEY_CERT_SIGN, ParsedCertificate, comparable_name, name_text};

/// The private CA anchors, known intermediates and CRLs that judge a peer. Never the web's public
/// roots. Cheap to clone.
#[derive(Clone)]
pub struct Trust {
    inner: Arc<Inner>,
    /// Digests of SubjectPublicKeyInfos, in order.
    distrusted: Arc<[[u8; 32]]>,
    origin: Option<Arc<Origin>>,
}

struct Inner {
    anchors: Vec<Anchor>,
    intermediates: Vec<Certificate>,
    crls: Vec<Crl>,
    /// Whether public web roots were let in.
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
    /// Reads PEM files: anchors, and where given, intermediates and CRLs.
    ///
    /// Every path must name a regular file of at most 1 MiB. The paths are remembered, and a
    /// dispatcher or verifier that uses the trust watches them. Fails as [`from_pem`](Self::from_pem)
    /// does, with `pem_invalid` if a file cannot be read within five seconds, and with `overloaded` if
    /// this process has no descriptor or thread left.
    pub fn from_files(
        anchors: impl AsRef<Path>,
        intermediates: Option<&Path>,
        crls: Option<&Path>,
    ) -> Result<Self, Error> {
        let source = Arc::new(Source::Trust {
            anchors: named(anchors.as_ref(), "trust")?,
            intermediates: intermediates.map(|path| named(path, "intermediates")).transpose()?,
            crls: crls.map(|path| named(path, "CRL")).transpose()?,
            distrusted: Arc::default(),
        });
        let snapshot = source.read()?;
        Self::from_snapshot(&snapshot, snapshot.origin(source))
    }

    /// What the files of a trust held.
    pub(crate) fn from_snapshot(snapshot: &Snapshot, origin: Origin) -> Result<Self, Error> {
        let Source::Trust { intermediates, crls, distrusted, .. } = &*origin.source else {
            unreachable!("a trust is read from its own files");
        };
        let mut texts = snapshot.texts.iter().map(Vec::as_slice);
        let anchors = texts.next().unwrap_or_default();
        let intermediates = intermediates.as_ref().and_then(|_| texts.next());
        let crls = crls.as_ref().and_then(|_| texts.next());
        let read = Self::from_pem(anchors, intermediates, crls.as_slice())?;
        let distrusted = distrusted.clone();
        Self { origin: Some(Arc::new(origin)), distrusted, ..read }.with_an_anchor_left()
    }

    /// Reads PEM text (or DER).
    ///
    /// * `anchors`: the CA certificates that are believed. An intermediate may be one.
    /// * `intermediates`: CA certificates that help to reach an anchor where a peer does not send
    ///   them. They are not believed by themselves.
    /// * `crls`: certificate revocation lists, several a text if need be.
    ///
    /// Fails with `pem_invalid`, `trust_invalid` (empty, no CA, weak key, all expired; the message
    /// names the certificate by position and subject), `public_root_in_trust`, `crl_unusable` or
    /// `clock_implausible`.
    pub fn from_pem(
        anchors: &[u8],
        intermediates: Option<&[u8]>,
        crls: &[&[u8]],
    ) -> Result<Self, Error> {
        Self::judged(
            anchors,
            intermediates,
            crls,
            &Loading { now: clock::now()?, refuse_public: true },
        )
    }

    /// Reads PEM text (or DER) as [`from_pem`](Self::from_pem) does, and takes public web roots, too:
    /// for a consumer whose *server* certificate comes from a public CA.
    ///
    /// Whoever controls a name on the web gets a certificate below such a root. An endpoint takes
    /// this trust only together with pins; a dispatcher and a verifier refuse it.
    ///
    /// Fails as [`from_pem`](Self::from_pem) does, but for `public_root_in_trust`.
    pub fn dangerous_public(
        anchors: &[u8],
        intermediates: Option<&[u8]>,
        crls: &[&[u8]],
    ) -> Result<Self, Error> {
        Self::judged(
            anchors,
            intermediates,
            crls,
            &Loading { now: clock::now()?, refuse_public: false },
        )
    }

    /// The same trust, but for CAs whose key is one of these: no path leads over them any more, as
    /// anchor or below one. For a compromised intermediate that no CRL covers.
    ///
    /// * `issuers`: the pins of their keys, `sha256/…`; they are added to those distrusted already.
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
                    .noting("position", at + 1)
                    .advising("Give the pin of the issuer's key, sha256/…")
            };
            match Pin::read(issuer.as_ref()).map_err(|why| fault(&why))? {
                Pin::Spki(digest) => distrusted.push(digest),
                Pin::Certificate(_) => {
                    return Err(fault("is of a certificate; an issuer is distrusted by its key"));
                }
            }
        }
        distrusted.sort_unstable();
        distrusted.dedup();
        self.distrusted = distrusted.into();
        // What its files hold later is to be distrusted as well.
        self.origin = self.origin.map(|origin| Arc::new(origin.distrusting(&self.distrusted)));
        self.with_an_anchor_left()
    }

    fn with_an_anchor_left(self) -> Result<Self, Error> {
        if self.inner.anchors.iter().all(|anchor| self.distrusts(&anchor.certificate.parsed())) {
            return Err(Error::new(
                Kind::TrustInvalid,
                "every certificate of the trust bundle is distrusted",
            )
            .noting("subject", self.inner.anchors[0].certificate.subject_text()));
        }
        Ok(self)
    }

    /// What an operator should know of the bundle although it is sound: an anchor that has expired
    /// and is not used, one that stands there twice, an intermediate as anchor, a CRL that is not valid
    /// yet or that bears the name of a CA of the bundle and another key's signature.
    pub fn notes(&self) -> &[String] {
        &self.inner.notes
    }

    fn judged(
        anchors: &[u8],
        intermediates: Option<&[u8]>,
        crls: &[&[u8]],
        loading: &Loading,
    ) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let mut inner = Inner {
            anchors: loading.anchors(anchors, &mut notes)?,
            intermediates: intermediates.map_or(Ok(Vec::new()), read_intermediates)?,
            crls: Vec::new(),
            public: !loading.refuse_public,
            notes,
            digest: [0; 32],
        };
        for text in crls {
            for (at, der) in pem::crls(text, "CRL")?.into_iter().enumerate() {
                inner.crls.push(Crl::read(der, at)?);
            }
        }
        inner.note_crls(loading.now);
        inner.digest = inner.fingerprint();
        Ok(Self { inner: Arc::new(inner), distrusted: Arc::default(), origin: None })
    }

    /// A bundle of the public corpus: judged at its own time, public roots and all.
    #[cfg(test)]
    pub(crate) fn of_corpus(anchors: &[u8], crls: &[&[u8]], now: i64) -> Result<Self, Error> {
        Self::judged(anchors, None, crls, &Loading { now, refuse_public: false })
    }

    /// The files it was read from.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// The same for equal values.
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

    /// Whether it was made by [`dangerous_public`](Self::dangerous_public).
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
    /// Notes the CRLs that say nothing now. Whether one names a CA that peers present is not known yet.
    fn note_crls(&mut self, now: i64) {
        let anchors = self.anchors.iter().map(|anchor| &anchor.certificate);
        let cas: Vec<ParsedCertificate<'_>> =
            anchors.chain(&self.intermediates).map(Certificate::parsed).collect();
        let mut notes = Vec::new();
        for (at, crl) in self.crls.iter().enumerate() {
            let what = format!("CRL {} ({})", at + 1, presented(&name_text(&crl.issuer)));
            if crl.this_update > now {
                let early = crl.this_update - now;
                notes.push(format!("{what} is not used yet: its thisUpdate is in {early} seconds"));
            }
            let mut named = cas
                .iter()
                .filter(|ca| crl.is_of(ca.subject, &comparable_name(ca.subject)))
                .peekable();
            if named.peek().is_some() && !named.any(|ca| crl.is_signed_by(ca)) {
                notes.push(format!(
                    "{what} bears the name of a CA of this bundle, and another key signed it: it is not \
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

/// How a bundle is judged.
struct Loading {
    /// Unix seconds.
    now: i64,
    refuse_public: bool,
}

impl Loading {
    /// Each once, in the order of the bundle; never an empty list.
    fn anchors(&self, bundle: &[u8], notes: &mut Vec<String>) -> Result<Vec<Anchor>, Error> {
        if bundle.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::new(Kind::TrustInvalid, "the trust bundle is empty"));
        }
        let mut anchors: Vec<Anchor> = Vec::new();
        for (at, certificate) in pem::certificates(bundle, "trust bundle")?.into_iter().enumerate()
        {
            let view = certificate.parsed();
            if self.refuse_public {
                public_roots::refuse(&view)?;
            }
            let what = format!("trust bundle: certificate {}", at + 1);
            judge_ca(&view, &what, at)?;
            if view.has_purposes() && view.issuer == view.subject {
                let why =
                    "is a root that limits its purpose (extendedKeyUsage); only a CA below it may";
                return Err(fault(&what, &view, at, why));
            }
            if anchors.iter().any(|known| known.certificate == certificate) {
                notes.push(format!("{what} ({}) stands there twice", view.subject_text()));
                continue;
            }
            self.note(&view, &what, notes);
            anchors.push(Anchor::new(certificate, at)?);
        }
        if anchors.iter().all(|anchor| anchor.not_after < self.now) {
            let last = &anchors[0];
            return Err(Error::new(
                Kind::TrustInvalid,
                "every certificate of the trust bundle has expired",
            )
            .noting("subject", last.certificate.subject_text())
            .noting("not_after_ms", last.not_after.saturating_mul(1000))
            .advising("Supply the CA's current certificate."));
        }
        Ok(anchors)
    }
}

impl Loading {
    /// Sound, and yet worth knowing.
    fn note(&self, view: &ParsedCertificate<'_>, what: &str, notes: &mut Vec<String>) {
        let subject = view.subject_text();
        if view.not_after < self.now {
            let late = self.now - view.not_after;
            notes.push(format!("{what} ({subject}) expired {late} seconds ago and is not used"));
        }
        if view.issuer != view.subject {
            notes.push(format!(
                "{what} ({subject}) is an intermediate, issued by {}: peers that use OpenSSL take \
                 no intermediate as an anchor, so give them the root",
                view.issuer_text()
            ));
        }
    }
}

fn read_intermediates(bundle: &[u8]) -> Result<Vec<Certificate>, Error> {
    let intermediates = pem::certificates(bundle, "intermediates")?;
    for (at, certificate) in intermediates.iter().enumerate() {
        judge_ca(&certificate.parsed(), &format!("intermediates: certificate {}", at + 1), at)?;
    }
    Ok(intermediates)
}

impl Anchor {
    fn new(certificate: Certificate, at: usize) -> Result<Self, Error> {
        let view = certificate.parsed();
        let webpki = webpki::anchor_from_trusted_cert(&certificate.as_der())
            .map_err(|_| {
                fault(
                    &format!("trust bundle: certificate {}", at + 1),
                    &view,
                    at,
                    "cannot be an anchor",
                )
            })?
            .to_owned();
        let (not_before, not_after) = (view.not_before, view.not_after);
        Ok(Self { certificate, webpki, not_before, not_after })
    }

    pub(crate) fn is_valid_at(&self, at: i64) -> bool {
        self.not_before <= at && at <= self.not_after
    }
}

/// What RFC 5280 section 4.2.1.9 and 4.2.1.3 ask of a CA, and what we ask of its key.
fn judge_ca(view: &ParsedCertificate<'_>, what: &str, at: usize) -> Result<(), Error> {
    let refuse = |why: &str| Err(fault(what, view, at, why));
    if view.version != 3 {
        return refuse("is not of version 3, so it cannot say that it is a CA");
    }
    if !view.is_ca {
        return refuse("is no CA certificate (basicConstraints without CA:TRUE)");
    }
    if view.key_usage(KEY_CERT_SIGN) == Some(false) {
        return refuse("may not sign certificates (keyUsage without keyCertSign)");
    }
    if let Some(weakness) = view.key.weakness() {
        return refuse(&format!("has a weak key: {weakness}"));
    }
    if view.subject.is_empty() {
        return refuse("has no subject, so nothing can name it as its issuer");
    }
    if let Some(why) = view.profile_fault.or_else(|| view.constraints_fault()) {
        return refuse(why);
    }
    if view.unknown_critical.is_some() {
        return refuse("has a critical extension that is not understood");
    }
    Ok(())
}

fn fault(what: &str, view: &ParsedCertificate<'_>, at: usize, why: &str) -> Error {
    let subject = view.subject_text();
    Error::new(Kind::TrustInvalid, format!("{what} ({subject}) {why}"))
        .noting("position", at + 1)
        .noting("subject", subject)
}
