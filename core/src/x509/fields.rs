//! The fields of a certificate, as slices of its DER or as places in it.
//!
//! A certificate is parsed once. An owned certificate keeps the places of its fields, so that it gives
//! out slices without parsing its DER again.

use rustls_pki_types::SignatureVerificationAlgorithm;

use super::key::{Key, key_parts};

/// The fields of a certificate. `B` is a slice of the DER, or a [`Span`] in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<B> {
    pub(crate) version: u8,
    pub(crate) serial: B,
    /// The content of the Name, without its tag and length, as webpki represents it.
    pub(crate) issuer: B,
    pub(crate) subject: B,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    /// The whole SubjectPublicKeyInfo.
    pub(crate) spki: B,
    pub(crate) key: Key,
    pub(crate) is_ca: bool,
    pub(crate) path_length: Option<u64>,
    /// The content of the extension.
    pub(crate) name_constraints: Option<B>,
    pub(super) certificate_policies: Option<B>,
    pub(super) policy_mappings: Option<B>,
    pub(super) policy_constraints: Option<B>,
    pub(super) inhibit_any_policy: Option<B>,
    pub(super) key_usage: Option<B>,
    pub(super) extended_key_usage: Option<B>,
    pub(super) subject_alt_name: Option<B>,
    pub(crate) subject_key_id: Option<B>,
    pub(crate) authority_key_id: Option<B>,
    /// The value of the extension, not yet parsed.
    pub(crate) crl_distribution_points: Option<B>,
    pub(crate) unknown_critical: Option<B>,
    /// A violation of the extension profile of RFC 5280 section 4.2.
    pub(crate) profile_fault: Option<&'static str>,
    pub(crate) signed: Signed<B>,
}

/// Signed bytes, the content of the algorithm identifier, and the signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<B> {
    pub(crate) message: B,
    pub(crate) algorithm: B,
    pub(crate) signature: B,
}

/// The place of a field in the DER of its certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

impl<B: Copy> Fields<B> {
    fn map<C>(&self, convert: impl Fn(B) -> C) -> Fields<C> {
        Fields {
            version: self.version,
            serial: convert(self.serial),
            issuer: convert(self.issuer),
            subject: convert(self.subject),
            not_before: self.not_before,
            not_after: self.not_after,
            spki: convert(self.spki),
            key: self.key,
            is_ca: self.is_ca,
            path_length: self.path_length,
            name_constraints: self.name_constraints.map(&convert),
            certificate_policies: self.certificate_policies.map(&convert),
            policy_mappings: self.policy_mappings.map(&convert),
            policy_constraints: self.policy_constraints.map(&convert),
            inhibit_any_policy: self.inhibit_any_policy.map(&convert),
            key_usage: self.key_usage.map(&convert),
            extended_key_usage: self.extended_key_usage.map(&convert),
            subject_alt_name: self.subject_alt_name.map(&convert),
            subject_key_id: self.subject_key_id.map(&convert),
            authority_key_id: self.authority_key_id.map(&convert),
            crl_distribution_points: self.crl_distribution_points.map(&convert),
            unknown_critical: self.unknown_critical.map(&convert),
            profile_fault: self.profile_fault,
            signed: Signed {
                message: convert(self.signed.message),
                algorithm: convert(self.signed.algorithm),
                signature: convert(self.signed.signature),
            },
        }
    }
}

impl Fields<&[u8]> {
    /// Returns the places of the fields in `der`, of which all of them are slices.
    pub(super) fn spans(&self, der: &[u8]) -> Fields<Span> {
        self.map(|part| Span::of(part, der))
    }
}

impl Fields<Span> {
    /// Returns the fields as slices of `der`, a copy of the bytes in which their places were found.
    pub(super) fn within<'a>(&self, der: &'a [u8]) -> Fields<&'a [u8]> {
        self.map(|span| span.within(der))
    }
}

impl Span {
    /// A certificate has at most 16 MiB, so both numbers fit.
    fn of(part: &[u8], der: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(der.as_ptr().addr());
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self { start: narrow(start), length: narrow(part.len()) }
    }

    pub(super) fn within(self, der: &[u8]) -> &[u8] {
        &der[self.start as usize..][..self.length as usize]
    }
}

impl Signed<&[u8]> {
    /// Returns whether the key of this SubjectPublicKeyInfo made the signature with one of these
    /// algorithms.
    pub(crate) fn is_made_by(
        &self,
        spki: &[u8],
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let Some((key_algorithm, key)) = key_parts(spki) else {
            return false;
        };
        algorithms
            .iter()
            .filter(|known| known.signature_alg_id().as_ref() == self.algorithm)
            .filter(|known| known.public_key_alg_id().as_ref() == key_algorithm)
            .any(|known| known.verify_signature(key, self.message, self.signature).is_ok())
    }
}
