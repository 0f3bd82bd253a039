//! Who does not take our certificate. One consumer's word is about that consumer; what several say
//! of the same identity is about us.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Blame, Error, Kind};
use crate::material::identity::Identity;
use crate::process::Lock;

/// How many consumers must refuse an identity before the fault is taken to be ours.
const ENOUGH: usize = 3;

/// The consumers that refused, by the digest of the identity.
#[derive(Default)]
pub(super) struct Refusals {
    refused: Lock<HashMap<[u8; 32], HashSet<String>>>,
    /// Whether there ever was a refusal: as a rule none, and deliveries pass without the lock.
    any: AtomicBool,
}

impl Refusals {
    /// Blames a refusal of our certificate on us once enough consumers refused the same one. Other
    /// errors pass unchanged.
    pub(super) fn judge(&self, identity: &Identity, consumer: &str, error: Error) -> Error {
        if error.kind() != Kind::ClientCertificateRejected {
            return error;
        }
        self.any.store(true, Ordering::Relaxed);
        let mut refused = self.refused.lock();
        let consumers = refused.entry(identity.digest()).or_default();
        consumers.insert(consumer.to_owned());
        let count = consumers.len();
        let error = error.noting("refused_by", count);
        if count < ENOUGH { error } else { error.blamed(Blame::Ours) }
    }

    /// This consumer takes it now.
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

    /// There is no such consumer any more.
    pub(super) fn forget(&self, consumer: &str) {
        self.refused.lock().retain(|_, consumers| {
            consumers.remove(consumer);
            !consumers.is_empty()
        });
    }
}
