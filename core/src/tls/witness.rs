//! What one handshake shows, for a diagnosis: the chain as sent, each of its faults, and what the consumer
//! says about our certificate.

use std::sync::{Arc, PoisonError};

use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;

use super::authorities::CertificateAuthorities;
use crate::error::Error;
use crate::process::own;
use crate::verify::{Expectation, MAX_CHAIN, faults};
use crate::x509::Certificate;

/// Records what the resolver and the verifier of one connection see. Clones share one record.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    seen: Arc<own::Mutex<Seen>>,
    /// Why our certificate must not be presented, although the consumer is right.
    withheld: Option<Error>,
    /// Present no certificate, although one is requested.
    is_anonymous: bool,
}

/// What one handshake has shown so far.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// The certificates of the consumer that could be read, leaf first.
    pub(crate) chain: Vec<Certificate>,
    /// How many certificates it sent.
    pub(crate) chain_length: usize,
    /// Every fault of the consumer's chain.
    pub(crate) faults: Vec<Error>,
    /// Whether the consumer requested our certificate. `None` until it has, or can no longer do so.
    pub(crate) requested: Option<bool>,
    /// The CAs that it named in the request.
    pub(crate) authorities: CertificateAuthorities,
    /// The signature schemes that it accepts from our key, by their IANA names.
    pub(crate) accepted_schemes: Vec<String>,
    /// Whether our key supports one of them.
    pub(crate) key_fits: bool,
    /// The signature scheme of the consumer's key. `None` if a fault ended the handshake before.
    pub(crate) scheme: Option<String>,
    /// Whether a staple of OCSP came with the chain.
    pub(crate) is_stapled: bool,
}

impl Seen {
    /// Whether the consumer has passed every check, so that our certificate was presented.
    pub(crate) fn is_complete(&self) -> bool {
        self.chain_length > 0 && self.faults.is_empty()
    }
}

impl Witness {
    /// * `withheld`: the fault of our identity, if it has one. It is then never presented.
    pub(crate) fn new(withheld: Option<Error>) -> Self {
        Self { withheld, ..Self::default() }
    }

    /// The witness of a connection on which we present no certificate.
    pub(crate) fn anonymous() -> Self {
        Self { is_anonymous: true, ..Self::default() }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.is_anonymous
    }

    /// Returns what was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    pub(super) fn request(
        &self,
        authorities: &CertificateAuthorities,
        schemes: &[SignatureScheme],
        key_fits: bool,
    ) {
        let mut seen = self.lock();
        seen.requested = Some(true);
        seen.authorities = authorities.clone();
        seen.accepted_schemes = schemes.iter().copied().filter_map(scheme_name).collect();
        seen.key_fits = key_fits;
    }

    /// Records a chain with all its faults. Fails with the first one, so that our certificate is not
    /// presented.
    ///
    /// * `unsatisfied`: the fault of the consumer's request for our certificate. It gets the pin of the
    ///   consumer's key.
    pub(super) fn judge(
        &self,
        chain: &[&[u8]],
        expected: &Expectation<'_>,
        unsatisfied: impl FnOnce(&dyn Fn() -> String) -> Option<Error>,
    ) -> Result<(), Error> {
        let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok());
        let mut faults = faults(chain, expected);
        faults
            .extend(unsatisfied(&|| leaf.as_ref().map(Certificate::spki_pin).unwrap_or_default()));
        let mut seen = self.lock();
        seen.requested.get_or_insert(false);
        seen.chain_length = chain.len();
        let readable = chain.iter().take(MAX_CHAIN);
        seen.chain = readable.map_while(|der| Certificate::from_der(der).ok()).collect();
        seen.faults.clone_from(&faults);
        faults.into_iter().next().map_or(Ok(()), Err)
    }

    /// Fails if our certificate must not be presented.
    pub(super) fn may_present(&self) -> Result<(), Error> {
        self.withheld.clone().map_or(Ok(()), Err)
    }

    pub(super) fn signed(&self, scheme: SignatureScheme) {
        self.lock().scheme = scheme_name(scheme);
    }

    pub(super) fn stapled(&self) {
        self.lock().is_stapled = true;
    }

    fn lock(&self) -> own::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same record.
impl PartialEq for Witness {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seen, &other.seen)
    }
}

/// The IANA name of a scheme. That of rustls differs in a few words.
fn scheme_name(scheme: SignatureScheme) -> Option<String> {
    const WORDS: [(&str, &str); 4] = [
        ("nistp256", "secp256r1"),
        ("nistp384", "secp384r1"),
        ("nistp521", "secp521r1"),
        ("rsa_pss_sha", "rsa_pss_rsae_sha"),
    ];
    let name = scheme.as_str()?.to_lowercase();
    Some(WORDS.iter().fold(name, |name, (theirs, iana)| name.replace(theirs, iana)))
}

/// The form in which a verifier of rustls gets a chain.
pub(super) fn ders<'a>(
    leaf: &'a CertificateDer<'_>,
    intermediates: &'a [CertificateDer<'_>],
) -> Vec<&'a [u8]> {
    let mut chain = Vec::with_capacity(1 + intermediates.len());
    chain.push(leaf.as_ref());
    chain.extend(intermediates.iter().map(AsRef::as_ref));
    chain
}
