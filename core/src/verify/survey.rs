//! Every fault of a peer's chain, for a diagnosis. It makes the steps of [`verify`](super::verify) and goes
//! on after one that fails.

use super::link::Link;
use super::path::Path;
use super::signature_cache::SignatureLimit;
use super::{
    Expectation, candidates, check_leaf, check_pins, exact, failure, presented_leaf, search,
};
use crate::error::Error;
use crate::x509::Presented;

/// Returns every fault of a chain of DER certificates, leaf first: of the dates, the certificate, the path
/// with its CRLs, the name and the pins. The first one is that of [`verify`](super::verify). Empty if the
/// chain passes all of them.
pub(crate) fn faults(chain: &[&[u8]], expected: &Expectation<'_>) -> Vec<Error> {
    let (leaf, others) = match presented_leaf(chain) {
        Ok(read) => read,
        Err(unreadable) => return vec![unreadable],
    };
    let link = Link::leaf(leaf.parsed());
    let mut faults: Vec<Error> =
        failure::check_dates(&link, expected.at).err().into_iter().collect();
    let own = check_leaf(&link, &expected.leaf_rules()).err();
    let (path, broken) = match find_path(&leaf, others, expected) {
        Ok(path) => (path, None),
        Err(fault) => (Path::default(), Some(fault)),
    };
    let mut both = [own, broken];
    if let [Some(own), Some(broken)] = &both
        && failure::rank(own) < failure::rank(broken)
    {
        both.reverse();
    }
    faults.extend(both.into_iter().flatten());
    faults.extend(expected.names.check(leaf.parsed()).err());
    let is_valid = faults.is_empty();
    faults.extend(check_pins(&leaf, &path, expected, is_valid).err());
    faults
}

fn find_path(
    leaf: &Presented<'_>,
    others: &[&[u8]],
    expected: &Expectation<'_>,
) -> Result<Path, Error> {
    if let Some(certificate) = expected.trust.exact_certificate() {
        return exact::check_certificate(leaf, certificate).map(|()| Path::default());
    }
    let issuers = candidates(others, expected.trust)?;
    let limit = SignatureLimit::new();
    let search = search::Search {
        leaf,
        issuers: &issuers,
        presented: others.len(),
        expected,
        limit: &limit,
    };
    search.build()
}
