//! Staged rotation: a consumer that does not take our new certificate yet is met with the previous
//! one, while that is valid and nobody has retired it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Dispatcher, Inner, lock};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind};
use crate::event::{Event, EventName};
use crate::identity::Identity;
use crate::staging::{ConsumerRotation, RotationStatus, may_fall_back};

/// For how long the previous identity is shown at once where files are not polled.
const PAUSE: Duration = Duration::from_secs(10);

/// The identities that are shown to nobody any more.
#[derive(Default)]
pub(super) struct Retired {
    digests: Mutex<HashSet<[u8; 32]>>,
}

/// A refusal of our certificate after which another one is shown.
pub(super) struct Refused {
    pub(super) by: Arc<Generation>,
    pub(super) error: Error,
}

impl Dispatcher {
    /// Which of our identities each consumer took last, as this process has seen it.
    pub fn rotation_status(&self) -> RotationStatus {
        let consumers = self.inner.all_endpoints().into_iter().map(|endpoint| {
            let generation = endpoint.generation();
            let rotation = ConsumerRotation::new(
                generation.identity(),
                endpoint.staging().last(),
                endpoint.last_pin(),
            );
            (endpoint.consumer().to_owned(), rotation)
        });
        RotationStatus { consumers: consumers.collect() }
    }

    /// Shows a previous identity to nobody any more, for instance before its certificate is revoked.
    /// Returns the consumers that depended on it, which there are only if it was forced.
    ///
    /// * `identity`: one that was in use before; the one in use now cannot be retired.
    /// * `force`: also if consumers depend on it: those that took it last.
    ///
    /// Fails with `identity_in_use`, whose context lists the `consumers`, or with `handle_closed`.
    pub fn retire(&self, identity: &Identity, force: bool) -> Result<Vec<String>, Error> {
        self.check_open()?;
        let endpoints = self.inner.all_endpoints();
        let current = |endpoint: &&Endpoint| endpoint.generation().identity() == identity;
        let users: Vec<String> =
            endpoints.iter().filter(current).map(|it| it.consumer().to_owned()).collect();
        if !users.is_empty() {
            let why = "the identity is in use now; it can be retired once another one is";
            return Err(still_used(why, &users));
        }
        let depends = |endpoint: &&Endpoint| {
            endpoint.staging().last().is_some_and(|(accepted, _)| accepted == *identity)
        };
        let mut dependents: Vec<String> =
            endpoints.iter().filter(depends).map(|it| it.consumer().to_owned()).collect();
        dependents.sort();
        if !dependents.is_empty() && !force {
            let why = format!("{} consumers took the identity last", dependents.len());
            return Err(still_used(why, &dependents));
        }
        lock(&self.inner.rotation.retired.digests).insert(identity.digest());
        for endpoint in &endpoints {
            endpoint.generation().forget_previous(identity);
        }
        Ok(dependents)
    }
}

fn still_used(why: impl Into<String>, consumers: &[String]) -> Error {
    Error::new(Kind::IdentityInUse, why).noting("consumers", consumers)
}

impl Inner {
    /// What a delivery travels on: the endpoint's generation, or the one with the previous identity
    /// where the consumer has just refused the new one.
    ///
    /// * `refused`: what this very delivery was refused before.
    pub(super) fn shown(
        &self,
        endpoint: &Endpoint,
        refused: Option<&Refused>,
        now: i64,
    ) -> Arc<Generation> {
        let generation = endpoint.generation();
        let behind = match refused {
            Some(refused) => !refused.by.is_fallback(),
            None => generation.has_previous() && endpoint.staging().is_behind(),
        };
        let previous = if behind { self.previous(&generation, now) } else { None };
        previous.unwrap_or(generation)
    }

    /// Whether a delivery that failed is to be tried once more with another identity of ours, or what
    /// to fail with.
    pub(super) fn refused(
        &self,
        endpoint: &Endpoint,
        by: &Arc<Generation>,
        error: Error,
        before: Option<Refused>,
        now: i64,
    ) -> Result<Refused, Error> {
        if let Some(before) = before {
            // The first refusal is about who we are now, and may say that the payload was sent.
            let first = error.kind() == Kind::ClientCertificateRejected
                || before.error.sent() > error.sent();
            return Err(if first { before.error } else { error });
        }
        if !may_fall_back(&error) {
            return Err(error);
        }
        if by.is_fallback() {
            // It takes the previous one no more, so perhaps the new one.
            endpoint.staging().caught_up();
        } else if self.previous(by, now).is_none() {
            return Err(error);
        }
        Ok(Refused { by: by.clone(), error })
    }

    /// The same generation with the previous identity, if that may still be shown.
    pub(super) fn previous(&self, generation: &Generation, now: i64) -> Option<Arc<Generation>> {
        let previous = generation.previous(&self.budget)?;
        let identity = previous.identity();
        let valid = identity.check(now).is_ok();
        let retired = lock(&self.rotation.retired.digests).contains(&identity.digest());
        (valid && !retired).then_some(previous)
    }

    /// A consumer gave a final answer that was no certificate page.
    pub(super) fn accepted(
        &self,
        endpoint: &Endpoint,
        generation: &Generation,
        refused: Option<&Refused>,
        now: i64,
    ) {
        let staging = endpoint.staging();
        let changed = staging.accepted(generation.identity(), generation.mark(), now);
        let Some(refused) = refused.filter(|_| generation.is_fallback()) else {
            if changed && !generation.is_fallback() {
                staging.caught_up();
            }
            return;
        };
        let pause = self.options.reload.unwrap_or(PAUSE);
        if staging.fell_behind(refused.by.identity(), pause) {
            let (new, previous) = (refused.by.identity().leaf(), generation.identity().leaf());
            let via = refused.error.context().get("via").cloned().unwrap_or_default();
            self.tell(&[Event::new(EventName::RotatedButUndistributed)
                .of_consumer(endpoint.consumer())
                .with("identity", new.subject())
                .with("previous", previous.subject())
                .with("not_after_ms", previous.not_after().saturating_mul(1000))
                .with("via", via)]);
        }
    }
}
