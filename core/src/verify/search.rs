//! The input of a search for a path. `path` performs the search, and `failure` explains a search that
//! found none.

use super::Expectation;
use super::signature_cache::SignatureLimit;
use crate::x509::Presented;

/// A search for a path from a leaf to an anchor.
pub(super) struct Search<'a> {
    pub(super) leaf: &'a Presented<'a>,
    /// The certificates that may stand between leaf and anchor.
    pub(super) issuers: &'a [Presented<'a>],
    pub(super) expected: &'a Expectation<'a>,
    pub(super) limit: &'a SignatureLimit,
}
