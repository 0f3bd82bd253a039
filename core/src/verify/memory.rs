//! Remembers which signatures were found good, so that a peer seen before costs two hashes instead
//! of two public-key operations.
//!
//! Only the signature is remembered, under a digest of algorithm, key, message and signature: the
//! mathematics of it cannot change. Dates, names, purposes, CRLs and pins are judged every time.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use sha2::{Digest as _, Sha256};

use crate::process::{Lock, Once};

/// How many signatures are remembered: 32 bytes each, twice, so about 1 MiB at the most.
const CAPACITY: usize = 8192;

static ENABLED: AtomicBool = AtomicBool::new(true);

/// Turns the memory of signatures off or on again, in the whole process: a switch for measurements.
/// It is on at the start; what was remembered before it went off counts again when it is back.
pub fn remember_signatures(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// How many signatures this process has checked.
#[cfg(feature = "testing")]
static CHECKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[cfg(feature = "testing")]
pub(crate) fn signatures_checked() -> u64 {
    CHECKED.load(Ordering::Relaxed)
}

#[cfg(test)]
thread_local! {
    /// How many signatures this thread has really checked.
    pub(super) static CHECKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many signatures one verification may still check.
pub(super) struct Budget {
    left: AtomicUsize,
    exceeded: AtomicBool,
}

impl Budget {
    pub(super) fn new(checks: usize) -> Self {
        Self { left: AtomicUsize::new(checks), exceeded: AtomicBool::new(false) }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok();
        if !taken {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        taken
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
        if digest.is_some_and(|digest| memory().contains(&digest)) {
            return Ok(());
        }
        if !self.budget.take() {
            return Err(InvalidSignature);
        }
        #[cfg(feature = "testing")]
        CHECKED.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        CHECKS.with(|checks| checks.set(checks.get() + 1));
        self.algorithm.verify_signature(public_key, message, signature)?;
        if let Some(digest) = digest {
            memory().insert(digest);
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
