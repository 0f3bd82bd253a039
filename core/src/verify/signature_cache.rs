//! Caches valid signatures, so that a known peer costs two hashes instead of two public-key operations.
//!
//! The key of an entry is a digest of algorithm, key, message and signature. The result of such a check
//! cannot change. Dates, names, purposes, CRLs and pins are checked every time.
//!
//! Only signatures along the path of an accepted chain are cached. Otherwise an attacker could evict the
//! entries of real peers with chains that are refused.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use sha2::{Digest as _, Sha256};

use crate::metrics;
use crate::process::{Lock, Once};
use crate::x509::algorithms;

/// The most entries of the cache. Each is stored twice with 32 bytes, so the cache takes about 1 MiB.
pub(super) const CAPACITY: usize = 8192;

static ENABLED: AtomicBool = AtomicBool::new(true);

/// Turns the signature cache off or on, for the whole process. Meant for measurements.
///
/// The cache is on at the start. Its entries stay while it is off, and count again afterwards.
pub fn remember_signatures(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

#[cfg(test)]
thread_local! {
    /// The number of signatures that this thread has checked without the cache.
    pub(super) static CHECKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The most signatures that one verification may check. A presented chain needs at most ten.
pub(super) const MAX_SIGNATURES: usize = 16;

/// Limits the signature checks of one verification, and holds the valid signatures that it has found.
///
/// A valid signature is not checked again during the verification, which matters for cross-signed
/// issuers. It enters the cache only through [`CachingAlgorithm::store`], after the chain was accepted.
pub(super) struct SignatureLimit {
    left: AtomicUsize,
    exceeded: AtomicBool,
    /// Each check has a slot for the digest of a valid signature.
    valid: [DigestSlot; MAX_SIGNATURES],
}

/// A digest, or zeros if the slot is empty. Atomic only because webpki's algorithms must be `Sync`; a
/// verification runs on one thread.
#[derive(Default)]
struct DigestSlot([AtomicU64; 4]);

impl DigestSlot {
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

impl SignatureLimit {
    pub(super) fn new() -> Self {
        Self {
            left: AtomicUsize::new(MAX_SIGNATURES),
            exceeded: AtomicBool::new(false),
            valid: Default::default(),
        }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Returns whether it holds a valid signature that may not be in the cache.
    pub(super) fn has_new_signatures(&self) -> bool {
        self.valid.iter().any(|slot| !slot.is_empty())
    }

    /// Takes one check from the limit. Returns its slot, or `None` if the limit is used up.
    fn take_check(&self) -> Option<&DigestSlot> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        self.valid.get(taken.ok()? - 1)
    }

    fn contains(&self, digest: &[u8; 32]) -> bool {
        self.valid.iter().any(|slot| slot.holds(digest))
    }
}

/// A signature algorithm with the cache and the limit.
pub(super) struct CachingAlgorithm<'a> {
    pub(super) algorithm: &'static dyn SignatureVerificationAlgorithm,
    pub(super) limit: &'a SignatureLimit,
}

impl SignatureVerificationAlgorithm for CachingAlgorithm<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let enabled = ENABLED.load(Ordering::Relaxed);
        let digest = enabled.then(|| self.digest(public_key, message, signature));
        let is_known =
            digest.is_some_and(|digest| cache().contains(&digest) || self.limit.contains(&digest));
        metrics::count_signature(is_known);
        if is_known {
            return Ok(());
        }
        let slot = self.limit.take_check().ok_or(InvalidSignature)?;
        algorithms::count_check();
        #[cfg(test)]
        CHECKS.with(|checks| checks.set(checks.get() + 1));
        self.algorithm.verify_signature(public_key, message, signature)?;
        if let Some(digest) = digest {
            slot.set(&digest);
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

impl CachingAlgorithm<'_> {
    /// Adds a signature to the cache if this verification has found it valid.
    pub(super) fn store(&self, public_key: &[u8], message: &[u8], signature: &[u8]) {
        let digest = self.digest(public_key, message, signature);
        if self.limit.contains(&digest) {
            cache().insert(digest);
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

impl std::fmt::Debug for CachingAlgorithm<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.algorithm.fmt(f)
    }
}

/// The digests of valid signatures. The oldest entry is evicted first.
#[derive(Default)]
struct Entries {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

struct SignatureCache(Lock<Entries>);

fn cache() -> &'static SignatureCache {
    static CACHE: Once<SignatureCache> = Once::new();
    CACHE.get_or_init(|| SignatureCache(Lock::default()))
}

impl SignatureCache {
    fn contains(&self, digest: &[u8; 32]) -> bool {
        self.0.lock().known.contains(digest)
    }

    fn insert(&self, digest: [u8; 32]) {
        let mut entries = self.0.lock();
        if entries.known.insert(digest) {
            entries.order.push_back(digest);
            if entries.order.len() > CAPACITY
                && let Some(oldest) = entries.order.pop_front()
            {
                entries.known.remove(&oldest);
            }
        }
    }
}
