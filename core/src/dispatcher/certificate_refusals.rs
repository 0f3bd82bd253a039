//! Counts the consumers that refuse our certificate. If one refuses it, the fault is that consumer's.
//! If several refuse the same identity, the fault is ours.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Blame, Error, Kind, key};
use crate::material::identity::Identity;
use crate::process::Lock;

/// How many consumers must refuse an identity before the error blames us.
const BLAME_US_FROM: usize = 3;

/// The consumers that refused an identity, by its digest.
#[derive(Default)]
pub(super) struct CertificateRefusals {
    refused: Lock<HashMap<[u8; 32], HashSet<String>>>,
    /// Whether there ever was a refusal. Without one, deliveries do not take the lock.
    any: AtomicBool,
}

impl CertificateRefusals {
    /// Records a refusal of our certificate, and blames us once enough consumers have refused the same
    /// identity. Returns other errors unchanged.
    pub(super) fn judge(&self, identity: &Identity, consumer: &str, error: Error) -> Error {
        if error.kind() != Kind::ClientCertificateRejected {
            return error;
        }
        self.any.store(true, Ordering::Relaxed);
        let mut refused = self.refused.lock();
        let consumers = refused.entry(identity.digest()).or_default();
        consumers.insert(consumer.to_owned());
        let count = consumers.len();
        let error = error.noting(key::REFUSED_BY, count);
        if count < BLAME_US_FROM { error } else { error.blamed(Blame::Ours) }
    }

    /// Records that this consumer accepts the identity now.
    pub(super) fn accepted(&self, identity: &Identity, consumer: &str) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut refused = self.refused.lock();
        if let Some(consumers) = refused.get_mut(&identity.digest()) {
            consumers.remove(consumer);
            if consumers.is_empty() {
                refused.remove(&identity.digest());
            }
        }
    }

    /// Removes a consumer whose endpoint was removed.
    pub(super) fn forget(&self, consumer: &str) {
        self.refused.lock().retain(|_, consumers| {
            consumers.remove(consumer);
            !consumers.is_empty()
        });
    }
}
