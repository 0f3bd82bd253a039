//! A certificate that a peer presented: its DER together with the fields that were read from it.

use super::der::Malformed;
use super::parsed::ParsedCertificate;

/// Borrowed DER and its fields, which always belong together. Made once per presented certificate.
#[derive(Debug)]
pub(crate) struct Presented<'a> {
    pub(super) der: &'a [u8],
    pub(super) parsed: ParsedCertificate<'a>,
}

impl<'a> Presented<'a> {
    /// Parses a certificate.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { der, parsed: ParsedCertificate::read(der)? })
    }

    pub(crate) fn der(&self) -> &'a [u8] {
        self.der
    }

    pub(crate) fn parsed(&self) -> &ParsedCertificate<'a> {
        &self.parsed
    }
}
