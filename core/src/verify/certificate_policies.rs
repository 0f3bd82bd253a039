//! Certificate policies of a path (RFC 5280 sections 6.1.2 to 6.1.5), for a caller that accepts any
//! policy.
//!
//! Such a path fails only if a CA requires an explicit policy and the path has none, or if a mapping is
//! forbidden. So instead of a tree, each step keeps the set of policies that the next certificate may
//! assert (the graph of RFC 9618 reduced to its lowest level). Its size is bounded by the bytes of the
//! certificates.

use std::collections::{HashMap, HashSet};

use super::link::Link;
use crate::error::{Error, Kind, key};
use crate::x509::ANY_POLICY;
use crate::x509::der::Malformed;

/// Checks the policies of a path.
///
/// * `path`: from the leaf to the anchor. A self-signed anchor limits policies, but asserts none. An
///   intermediate as anchor counts as an intermediate.
///
/// Fails with `constraint_violated`, or with `certificate_invalid` if an extension is malformed.
pub(super) fn check(path: &[Link<'_>]) -> Result<(), Error> {
    if !path.iter().any(|certificate| certificate.restricts_policies()) {
        return Ok(());
    }
    let mut state = State::new(path.len());
    for (below, certificate) in path.iter().enumerate().rev() {
        let is_root = below + 1 == path.len() && certificate.is_self_issued();
        if !is_root {
            state.assert_policies(*certificate, below == 0)?;
        }
        if state.explicit_policy == 0 && state.valid.is_empty() {
            return Err(state.no_policy(*certificate));
        }
        if below > 0 {
            state.prepare_next(*certificate, is_root)?;
        }
    }
    state.finish(path[0])
}

/// The state of RFC 5280 section 6.1.2, with the anchor counted as a certificate of the path.
struct State<'a> {
    /// The policies that the next certificate may assert. Empty if no policy is valid any more.
    valid: HashSet<&'a [u8]>,
    /// The number of certificates that may still follow before the rule applies.
    explicit_policy: u64,
    policy_mapping: u64,
    inhibit_any: u64,
    /// The CA that requires an explicit policy.
    requires: Option<Link<'a>>,
}

impl<'a> State<'a> {
    fn new(length: usize) -> Self {
        let after_all = length as u64 + 1;
        Self {
            valid: HashSet::from([ANY_POLICY]),
            explicit_policy: after_all,
            policy_mapping: after_all,
            inhibit_any: after_all,
            requires: None,
        }
    }

    /// Reduces the valid policies to those of a certificate (section 6.1.3, d and e).
    fn assert_policies(&mut self, certificate: Link<'a>, is_leaf: bool) -> Result<(), Error> {
        let policies = certificate.policies().map_err(|why| certificate.invalid(why.0))?;
        let policies: HashSet<&[u8]> = policies.into_iter().flatten().collect();
        let any_counts = self.inhibit_any > 0 || (!is_leaf && certificate.is_self_issued());
        if policies.contains(ANY_POLICY) && any_counts {
            // Every expected policy goes on, and with anyPolicy expected every asserted one.
            if self.valid.contains(ANY_POLICY) {
                self.valid.extend(policies);
            }
        } else if self.valid.contains(ANY_POLICY) {
            self.valid = policies;
            self.valid.remove(ANY_POLICY);
        } else {
            self.valid.retain(|policy| policies.contains(policy));
        }
        Ok(())
    }

    /// Applies the mappings and limits of a CA to the certificates below it (section 6.1.4, a to j).
    fn prepare_next(&mut self, certificate: Link<'a>, is_root: bool) -> Result<(), Error> {
        let malformed = |why: Malformed| certificate.invalid(why.0);
        let mappings = certificate.policy_mappings().map_err(malformed)?;
        if mappings.iter().any(|(from, to)| *from == ANY_POLICY || *to == ANY_POLICY) {
            let why = "maps anyPolicy, which RFC 5280 section 6.1.4 forbids";
            return Err(certificate.fault(Kind::ConstraintViolated, why));
        }
        if !is_root {
            self.map(&mappings);
        }
        let limits = certificate.policy_limits().map_err(malformed)?;
        if !certificate.is_self_issued() {
            for counter in
                [&mut self.explicit_policy, &mut self.policy_mapping, &mut self.inhibit_any]
            {
                *counter = counter.saturating_sub(1);
            }
        }
        let lower = |counter: &mut u64, limit: Option<u64>| {
            let lowered = limit.is_some_and(|limit| limit < *counter);
            *counter = limit.unwrap_or(u64::MAX).min(*counter);
            lowered
        };
        if lower(&mut self.explicit_policy, limits.require_explicit_policy) {
            self.requires = Some(certificate);
        }
        lower(&mut self.policy_mapping, limits.inhibit_policy_mapping);
        lower(&mut self.inhibit_any, limits.inhibit_any_policy);
        Ok(())
    }

    /// Replaces each mapped policy by the policies that the certificates below use for it.
    fn map(&mut self, mappings: &[(&'a [u8], &'a [u8])]) {
        let mut targets: HashMap<&[u8], Vec<&'a [u8]>> = HashMap::new();
        for (from, to) in mappings {
            targets.entry(from).or_default().push(to);
        }
        let any = self.valid.contains(ANY_POLICY);
        let mapped: Vec<&[u8]> = targets
            .iter()
            .filter(|(from, _)| any || self.valid.contains(*from))
            .flat_map(|(_, to)| to.iter().copied())
            .collect();
        self.valid.retain(|policy| !targets.contains_key(policy));
        if self.policy_mapping > 0 {
            self.valid.extend(mapped);
        }
    }

    /// Applies the limits of the leaf itself (section 6.1.5, a and b).
    fn finish(mut self, leaf: Link<'a>) -> Result<(), Error> {
        let limits = leaf.policy_limits().map_err(|why| leaf.invalid(why.0))?;
        self.explicit_policy = self.explicit_policy.saturating_sub(1);
        if limits.require_explicit_policy == Some(0) {
            self.explicit_policy = 0;
            self.requires = Some(leaf);
        }
        if self.explicit_policy == 0 && self.valid.is_empty() {
            return Err(self.no_policy(leaf));
        }
        Ok(())
    }

    fn no_policy(&self, certificate: Link<'_>) -> Error {
        let by = match self.requires {
            Some(issuer) => format!("{} requires one", issuer.described()),
            None => "the path requires one".to_owned(),
        };
        let why = format!(
            "has no certificate policy that all certificates above it allow, but {by} \
             (policyConstraints)"
        );
        let error = certificate.fault(Kind::ConstraintViolated, &why);
        match self.requires {
            Some(issuer) => error.noting(key::ISSUER, issuer.subject_text()),
            None => error,
        }
    }
}
