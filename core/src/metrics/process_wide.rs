//! What all dispatchers and verifiers of a process share: the signature cache, refused trust bundles, and
//! the versions of the libraries.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::Metrics;
use super::table::row;
use crate::process::{Once, PerProcess};

/// The versions in the lock file of a release. A test compares them.
const RUSTLS: &str = "0.23.46";
const AWS_LC_RS: &str = "1.19.0";

#[derive(Default)]
struct ProcessCells {
    signature_hits: AtomicU64,
    signature_misses: AtomicU64,
    public_roots: AtomicU64,
}

fn cells() -> &'static PerProcess<ProcessCells> {
    static CELLS: Once<PerProcess<ProcessCells>> = Once::new();
    CELLS.get_or_init(PerProcess::default)
}

/// Counts a look at the signature cache.
pub(crate) fn count_signature(is_hit: bool) {
    let cells = cells().get();
    let cell = if is_hit { &cells.value.signature_hits } else { &cells.value.signature_misses };
    cell.fetch_add(1, Relaxed);
}

/// Counts a trust bundle that contains a public web root.
pub(crate) fn count_public_root() {
    cells().get().value.public_roots.fetch_add(1, Relaxed);
}

/// Adds what the process has counted.
pub(crate) fn add_process_wide(metrics: &mut Metrics) {
    let cells = cells().get();
    let read = |cell: &AtomicU64| cell.load(Relaxed);
    metrics.count(row::SIGNATURE_CACHE, &["hit"], read(&cells.value.signature_hits));
    metrics.count(row::SIGNATURE_CACHE, &["miss"], read(&cells.value.signature_misses));
    metrics.count(row::PUBLIC_ROOTS, &[], read(&cells.value.public_roots));
    metrics.count(row::BUILD, &[env!("CARGO_PKG_VERSION"), RUSTLS, AWS_LC_RS], 1);
}
