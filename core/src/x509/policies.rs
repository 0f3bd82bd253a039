//! The policy extensions as data (RFC 5280 sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14).

use super::der::{self, Malformed, Reader};
use super::parsed::ParsedCertificate;

/// The object identifier of anyPolicy.
pub(crate) const ANY_POLICY: &[u8] = &[0x55, 0x1d, 0x20, 0x00];

/// An issuerDomainPolicy, and the subjectDomainPolicy that takes its place below.
pub(crate) type Mapping<'a> = (&'a [u8], &'a [u8]);

/// What policyConstraints and inhibitAnyPolicy demand, in certificates that may still follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyLimits {
    pub(crate) require_explicit_policy: Option<u64>,
    pub(crate) inhibit_policy_mapping: Option<u64>,
    pub(crate) inhibit_any_policy: Option<u64>,
}

impl<'a> ParsedCertificate<'a> {
    /// Returns whether the certificate can make the policies of a path fail.
    pub(crate) fn restricts_policies(&self) -> bool {
        self.policy_constraints.is_some() || self.policy_mappings.is_some()
    }

    /// Returns the policies, or `None` if the extension is absent.
    pub(crate) fn policies(&self) -> Result<Option<Vec<&'a [u8]>>, Malformed> {
        let Some(extension) = self.certificate_policies else { return Ok(None) };
        let mut list = Reader::new(extension);
        let mut policies = Vec::new();
        while !list.is_empty() {
            policies.push(list.nested(der::SEQUENCE)?.content(der::OID)?);
        }
        Ok(Some(policies))
    }

    pub(crate) fn policy_mappings(&self) -> Result<Vec<Mapping<'a>>, Malformed> {
        let mut list = Reader::new(self.policy_mappings.unwrap_or_default());
        let mut mappings = Vec::new();
        while !list.is_empty() {
            let mut pair = list.nested(der::SEQUENCE)?;
            mappings.push((pair.content(der::OID)?, pair.content(der::OID)?));
            pair.end()?;
        }
        Ok(mappings)
    }

    pub(crate) fn policy_limits(&self) -> Result<PolicyLimits, Malformed> {
        let mut limits = PolicyLimits::default();
        if let Some(extension) = self.policy_constraints {
            let mut reader = Reader::new(extension);
            let mut number = |tag| -> Result<Option<u64>, Malformed> {
                let element = reader.optional(der::context(tag, false))?;
                element.map(|element| der::unsigned(element.content)).transpose()
            };
            limits.require_explicit_policy = number(0)?;
            limits.inhibit_policy_mapping = number(1)?;
            reader.end()?;
        }
        limits.inhibit_any_policy = self.inhibit_any_policy.map(der::unsigned).transpose()?;
        Ok(limits)
    }
}
