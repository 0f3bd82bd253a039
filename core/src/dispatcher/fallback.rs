//! Staged rotation: a consumer that does not take our new certificate yet is met with the previous
//! one, while that is valid and nobody has retired it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Dispatcher, Inner};
use crate::endpoint::identity_rollout::{ConsumerRotation, RotationStatus, may_fall_back};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind};
use crate::event::{Event, EventName};
use crate::material::identity::Identity;
use crate::process::Lock;

/// For how long the previous identity is shown at once where files are not polled.
const PAUSE: Duration = Duration::from_secs(10);

/// The identities that are shown to nobody any more.
#[derive(Default)]
pub(super) struct Retired {
    digests: Lock<HashSet<[u8; 32]>>,
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
                endpoint.rollout().last(),
                endpoint.last_pin(),
            );
            (endpoint.consumer().to_owned(), rotation)
        });
        RotationStatus { consumers: consumers.collect() }
    }

    /// Shows a previous identity to nobody any more, for instance before its certificate is revoked.
    /// Returns the consumers that depended on it, which there are only if it was forced. No request
    /// starts under it once this has returned.
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
            endpoint.rollout().last().is_some_and(|(accepted, _)| accepted == *identity)
        };
        let mut dependents: Vec<String> =
            endpoints.iter().filter(depends).map(|it| it.consumer().to_owned()).collect();
        dependents.sort();
        if !dependents.is_empty() && !force {
            let why = format!("{} consumers took the identity last", dependents.len());
            return Err(still_used(why, &dependents));
        }
        // In this order: a generation that is made from now on sees that the identity was retired.
        self.inner.rotation.retired.digests.lock().insert(identity.digest());
        for endpoint in &endpoints {
            endpoint.retire(identity);
        }
        Ok(dependents)
    }
}

fn still_used(why: impl Into<String>, consumers: &[String]) -> Error {
    Error::new(Kind::IdentityInUse, why).noting("consumers", consumers)
}

impl Inner {
    /// What a delivery travels on: the endpoint's generation, or the one with the previous identity
    /// where the consumer has just refused the new one. `None` if the identity that was to be tried
    /// after a refusal may not be shown any more.
    ///
    /// * `generation`: the endpoint's.
    /// * `refused`: what this very delivery was refused before.
    pub(super) fn shown(
        &self,
        endpoint: &Endpoint,
        generation: Arc<Generation>,
        refused: Option<&Refused>,
        now: i64,
    ) -> Option<Arc<Generation>> {
        match refused {
            Some(refused) if refused.by.is_fallback() => Some(generation),
            Some(_) => self.previous(&generation, now),
            None => {
                let behind = generation.has_previous() && endpoint.rollout().is_behind();
                let previous = if behind { self.previous(&generation, now) } else { None };
                Some(previous.unwrap_or(generation))
            }
        }
    }

    /// Whether a delivery that failed is to be tried once more with another identity of ours, or what
    /// to fail with.
    ///
    /// * `withheld`: the payload is still here.
    pub(super) fn refused(
        &self,
        endpoint: &Endpoint,
        by: &Arc<Generation>,
        (error, withheld): (Error, bool),
        before: Option<Refused>,
        now: i64,
    ) -> Result<Refused, Error> {
        if let Some(before) = before {
            // The first refusal is about who we are now, and may say that the payload was sent.
            let first = error.kind() == Kind::ClientCertificateRejected
                || before.error.sent() > error.sent();
            return Err(if first { before.error } else { error });
        }
        if !may_fall_back(&error, withheld) {
            return Err(error);
        }
        if by.is_fallback() {
            // It takes the previous one no more, so perhaps the new one.
            endpoint.rollout().caught_up();
        } else if self.previous(by, now).is_none() {
            return Err(error);
        }
        Ok(Refused { by: by.clone(), error })
    }

    /// The same generation with the previous identity, if that may still be shown.
    pub(super) fn previous(&self, generation: &Generation, now: i64) -> Option<Arc<Generation>> {
        let previous = generation.previous(&self.connection_limit)?;
        let identity = previous.identity();
        let valid = identity.check(now).is_ok();
        let retired = self.rotation.retired.digests.lock().contains(&identity.digest());
        (valid && !retired).then_some(previous)
    }

    /// The consumer refused the identity of this generation.
    ///
    /// * `late`: after the payload had left under an identity in doubt. The payload stays where it
    ///   is; the next delivery begins with the other identity.
    pub(super) fn doubt(&self, endpoint: &Endpoint, generation: &Generation, late: bool, now: i64) {
        let rollout = endpoint.rollout();
        rollout.refused(generation.identity());
        if late && generation.is_fallback() {
            rollout.caught_up();
        } else if late && let Some(previous) = self.previous(generation, now) {
            self.fell_behind(endpoint, generation.identity(), previous.identity(), "http".into());
        }
    }

    /// A consumer gave a final answer that was no certificate page.
    pub(super) fn accepted(
        &self,
        endpoint: &Endpoint,
        generation: &Generation,
        refused: Option<&Refused>,
        now: i64,
    ) {
        let rollout = endpoint.rollout();
        let changed = rollout.accepted(generation.identity(), generation.mark(), now);
        let Some(refused) = refused.filter(|_| generation.is_fallback()) else {
            if changed && !generation.is_fallback() {
                rollout.caught_up();
            }
            return;
        };
        let via = refused.error.context().get("via").cloned().unwrap_or_default();
        self.fell_behind(endpoint, refused.by.identity(), generation.identity(), via);
    }

    /// The consumer does not take the new identity yet: for a while the previous one is shown at once.
    fn fell_behind(&self, endpoint: &Endpoint, new: &Identity, previous: &Identity, via: Value) {
        let pause = self.options.reload.unwrap_or(PAUSE);
        if !endpoint.rollout().fell_behind(new, pause) {
            return;
        }
        let previous = previous.leaf();
        self.tell(&[Event::new(EventName::RotatedButUndistributed)
            .of_consumer(endpoint.consumer())
            .with("identity", new.leaf().subject())
            .with("previous", previous.subject())
            .with("not_after_ms", previous.not_after().saturating_mul(1000))
            .with("via", via)]);
    }
}
