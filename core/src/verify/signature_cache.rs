//! Remembers which signatures were found good, so that a peer seen before costs two hashes instead
//! of two public-key operations.
//!
//! Only the signature is remembered, under a digest of algorithm, key, message and signature: the
//! mathematics of it cannot change. Dates, names, purposes, CRLs and pins are judged every time.
//!
//! Only the signatures along the path of an accepted chain are remembered. A stranger whose chains are
//! refused could otherwise push out those of the peers that do come back.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use sha2::{Digest as _, Sha256};

use crate::process::{Lock, Once};
use crate::x509::algorithms;

/// How many signatures are remembered: 32 bytes each, twice, so about 1 MiB at the most.
pub(super) const CAPACITY: usize = 8192;

static ENABLED: AtomicBool = AtomicBool::new(true);

/// Turns the memory of signatures off or on again, in the whole process: a switch for measurements.
/// It is on at the start; what was remembered before it went off counts again when it is back.
pub fn remember_signatures(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

#[cfg(test)]
thread_local! {
    /// How many signatures this thread has really checked.
    pub(super) static CHECKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many signatures one verification may check: a presented chain needs at most ten.
pub(super) const MAX_SIGNATURES: usize = 16;

/// How many signatures one verification may still check, and which it has found good so far.
///
/// What it found good counts for the rest of the verification, so that a mesh of issuers does not
/// pay twice for one signature. The memory learns of it by [`Remembering::keep`] alone, once the
/// chain was accepted.
pub(super) struct Budget {
    left: AtomicUsize,
    exceeded: AtomicBool,
    /// Each check has a place for the digest of a signature that it found good.
    good: [Place; MAX_SIGNATURES],
}

/// A digest; zeros where there is none. Atomic because webpki's algorithms must be `Sync`: a
/// verification runs on one thread.
#[derive(Default)]
struct Place([AtomicU64; 4]);

impl Place {
    fn set(&self, digest: &[u8; 32]) {
        for (part, bytes) in self.0.iter().zip(digest.as_chunks::<8>().0) {
            part.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn holds(&self, digest: &[u8; 32]) -> bool {
        let parts = self.0.iter().map(|part| part.load(Ordering::Relaxed).to_ne_bytes());
        parts.eq(digest.as_chunks::<8>().0.iter().copied())
    }

    fn is_empty(&self) -> bool {
        self.holds(&[0; 32])
    }
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            left: AtomicUsize::new(MAX_SIGNATURES),
            exceeded: AtomicBool::new(false),
            good: Default::default(),
        }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Whether a signature was found good that the memory does not know.
    pub(super) fn has_learned(&self) -> bool {
        self.good.iter().any(|place| !place.is_empty())
    }

    /// The place of one more check, or `None` if there may be none.
    fn take(&self) -> Option<&Place> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        self.good.get(taken.ok()? - 1)
    }

    fn knows(&self, digest: &[u8; 32]) -> bool {
        self.good.iter().any(|place| place.holds(digest))
    }
}

/// An algorithm that remembers and counts.
pub(super) struct Remembering<'a> {
    pub(super) algorithm: &'static dyn SignatureVerificationAlgorithm,
    pub(super) budget: &'a Budget,
}

impl SignatureVerificationAlgorithm for Remembering<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let enabled = ENABLED.load(Ordering::Relaxed);
        let digest = enabled.then(|| self.digest(public_key, message, signature));
        if digest.is_some_and(|digest| memory().contains(&digest) || self.budget.knows(&digest)) {
            return Ok(());
        }
        let good = self.budget.take().ok_or(InvalidSignature)?;
        algorithms::count_check();
        #[cfg(test)]
        CHECKS.with(|checks| checks.set(checks.get() + 1));
        self.algorithm.verify_signature(public_key, message, signature)?;
        if let Some(digest) = digest {
            good.set(&digest);
        }
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

impl Remembering<'_> {
    /// Remembers a signature if this verification has found it good.
    pub(super) fn keep(&self, public_key: &[u8], message: &[u8], signature: &[u8]) {
        let digest = self.digest(public_key, message, signature);
        if self.budget.knows(&digest) {
            memory().insert(digest);
        }
    }

    fn digest(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        let key_algorithm = self.algorithm.public_key_alg_id();
        let signature_algorithm = self.algorithm.signature_alg_id();
        for part in
            [key_algorithm.as_ref(), signature_algorithm.as_ref(), public_key, signature, message]
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl std::fmt::Debug for Remembering<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.algorithm.fmt(f)
    }
}

/// The signatures found good, the oldest forgotten first.
#[derive(Default)]
struct Memory {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

struct Shared(Lock<Memory>);

fn memory() -> &'static Shared {
    static MEMORY: Once<Shared> = Once::new();
    MEMORY.get_or_init(|| Shared(Lock::default()))
}

impl Shared {
    fn contains(&self, digest: &[u8; 32]) -> bool {
        self.0.lock().known.contains(digest)
    }

    fn insert(&self, digest: [u8; 32]) {
        let mut memory = self.0.lock();
        if memory.known.insert(digest) {
            memory.order.push_back(digest);
            if memory.order.len() > CAPACITY
                && let Some(oldest) = memory.order.pop_front()
            {
                memory.known.remove(&oldest);
            }
        }
    }
}
