//! The reasons why a CRL cannot be used at all.

use super::der::Malformed;

/// Why parsing of a CRL fails.
pub(crate) enum CrlFault {
    /// It is not the DER that RFC 5280 prescribes.
    Malformed(Malformed),
    /// It is well-formed, but has a feature that this crate does not support.
    Unsupported { why: &'static str, remedy: &'static str },
}

impl From<Malformed> for CrlFault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
