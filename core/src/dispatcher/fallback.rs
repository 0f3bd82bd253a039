//! Falls back to the previous identity for a consumer that does not accept our new certificate yet,
//! while the previous one is valid and not retired.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Dispatcher, Inner};
use crate::clock;
use crate::endpoint::fleet::{FleetStatus, Needs, process_status};
use crate::endpoint::identity_rollout::{
    ConsumerRotation, RotationStatus, identity_pin, may_be_refusal, may_fall_back,
};
use crate::endpoint::{Endpoint, Generation};
use crate::error::{Error, Kind, Sent, key};
use crate::event::{Event, EventName};
use crate::material::identity::Identity;
use crate::process::Lock;

/// How long deliveries start with the previous identity, if files are not polled.
const FALLBACK_PERIOD: Duration = Duration::from_secs(10);

/// The identities that must not be presented any more.
#[derive(Default)]
pub(super) struct RetiredIdentities {
    digests: Lock<HashSet<[u8; 32]>>,
}

/// An attempt whose certificate was refused; the next attempt presents another one.
pub(super) struct RefusedAttempt {
    pub(super) by: Arc<Generation>,
    pub(super) error: Error,
}

/// How an attempt failed.
pub(super) struct Failure {
    pub(super) error: Error,
    /// The identity was in doubt, or the request had not begun.
    pub(super) in_doubt: bool,
    /// The payload was held, and not sent.
    pub(super) withheld: bool,
}

impl Dispatcher {
    /// Returns which of our identities each consumer accepted last, as seen by this process.
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

    /// Returns the status of this process as JSON: what [`rotation_status`](Self::rotation_status),
    /// [`Endpoint::status`] and [`expiries`](Self::expiries) say. [`merge`](crate::endpoint::merge) makes one
    /// of those of several processes.
    ///
    /// * `process`: the name of this process, which no other one of the fleet has: 1 to 256 bytes without
    ///   control characters.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the name is no such text, and with `clock_implausible`.
    pub fn process_status(&self, process: &str) -> Result<Value, Error> {
        let endpoints = self.inner.all_endpoints().into_iter();
        let endpoints = endpoints.map(|one| (one.consumer().to_owned(), one.status())).collect();
        let (rotation, expiries) = (self.rotation_status(), self.expiries()?);
        process_status(process, clock::now_millis(), &rotation, &endpoints, &expiries)
    }

    /// Retires a previous identity, for instance before its certificate is revoked: it is presented to
    /// no consumer any more. After this returns, no request starts under it. Returns the consumers that
    /// depended on it; the list is empty unless `force` was set.
    ///
    /// * `identity`: a previous identity. The identity in use cannot be retired.
    /// * `force`: retire it even if consumers depend on it, that is, accepted it last.
    ///
    /// # Errors
    ///
    /// Fails with `identity_in_use`, whose context lists the `consumers`, or with `handle_closed`.
    pub fn retire(&self, identity: &Identity, force: bool) -> Result<Vec<String>, Error> {
        self.retire_unless_needed(identity, None, force)
    }

    /// Retires a previous identity as [`retire`](Self::retire) does, if no process of the fleet needs it.
    /// Each process that may present the identity makes this call; it takes effect in its own process.
    /// Returns the consumers that depended on the identity, in any process; the list is empty unless
    /// `force` was set.
    ///
    /// * `identity`: a previous identity. The identity in use cannot be retired, neither in this process
    ///   nor in one of the fleet.
    /// * `fleet`: the JSON text of [`merge`](crate::endpoint::merge) for the statuses of all processes. The
    ///   status of each may be at most five minutes old, and at most a minute ahead of our clock.
    /// * `force`: retire it even if consumers depend on it, that is, accepted it last. Statuses that are
    ///   old or malformed are refused all the same.
    ///
    /// # Errors
    ///
    /// Fails with `identity_in_use`, whose context lists the `consumers` and the `processes`, with
    /// `option_invalid` if `fleet` is no merged status or a status in it is too old or ahead of our clock,
    /// with `handle_closed`, or with `clock_implausible`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use webhook_mtls::{Identity, testing::{Lab, Leaf}};
    /// # let lab = Lab::start()?;
    /// # let dispatcher = lab.dispatcher();
    /// # let issued = lab.authority().issue(Leaf::client("previous"))?;
    /// # let previous = Identity::from_pem(issued.chain_pem.as_bytes(), issued.key_pem.as_bytes(), None)?;
    /// let statuses = [dispatcher.process_status("web-1")?, dispatcher.process_status("web-2")?];
    /// let fleet = webhook_mtls::endpoint::merge(statuses.map(|status| status.to_string()))?;
    /// let dependents = dispatcher.retire_in_fleet(&previous, &fleet.to_string(), false)?;
    /// assert!(dependents.is_empty());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn retire_in_fleet(
        &self,
        identity: &Identity,
        fleet: &str,
        force: bool,
    ) -> Result<Vec<String>, Error> {
        self.retire_unless_needed(identity, Some(&FleetStatus::from_json(fleet)?), force)
    }

    fn retire_unless_needed(
        &self,
        identity: &Identity,
        fleet: Option<&FleetStatus>,
        force: bool,
    ) -> Result<Vec<String>, Error> {
        self.check_open()?;
        let endpoints = self.inner.all_endpoints();
        let current = |endpoint: &&Endpoint| endpoint.generation().identity() == identity;
        let users: Vec<String> =
            endpoints.iter().filter(current).map(|it| it.consumer().to_owned()).collect();
        if !users.is_empty() {
            // `force` does not help here, which the usual remedy names.
            return Err(identity_in_use("the identity is in use", &users)
                .advising("Replace the identity of the listed consumers before you retire it."));
        }
        let depends = |endpoint: &&Endpoint| {
            endpoint.rollout().last().is_some_and(|(accepted, _)| accepted == *identity)
        };
        let mut dependents: BTreeSet<String> =
            endpoints.iter().filter(depends).map(|it| it.consumer().to_owned()).collect();
        let seen = fleet.map(|fleet| accepted_in_fleet(identity, fleet)).transpose()?;
        let seen = seen.unwrap_or_default();
        dependents.extend(seen.consumers);
        let dependents = Vec::from_iter(dependents);
        if !dependents.is_empty() && !force {
            let why = format!("{} consumers accepted this identity last", dependents.len());
            let refused = identity_in_use(why, &dependents);
            return Err(match fleet {
                Some(_) => refused.noting(key::PROCESSES, Vec::from_iter(seen.processes)),
                None => refused,
            });
        }
        // In this order, so that a generation made from now on sees the retirement.
        self.inner.reload.retired.digests.lock().insert(identity.digest());
        for endpoint in &endpoints {
            endpoint.retire(identity);
        }
        Ok(dependents)
    }
}

/// Returns the consumers that accepted an identity last, as the processes of a fleet have seen it. Fails
/// with `identity_in_use` if a process presents it, and with `option_invalid` if a status is untimely.
fn accepted_in_fleet(identity: &Identity, fleet: &FleetStatus) -> Result<Needs, Error> {
    fleet.check_dates()?;
    let pin = identity_pin(identity);
    let wanted = fleet.wanted(&pin);
    if wanted.processes.is_empty() {
        return Ok(fleet.accepted(&pin));
    }
    let (count, all) = (wanted.processes.len(), fleet.processes.len());
    let why = format!("{count} of {all} processes present this identity");
    Err(identity_in_use(why, &Vec::from_iter(wanted.consumers))
        .noting(key::PROCESSES, Vec::from_iter(wanted.processes))
        .advising(
            "Replace the identity in the listed processes, or end them. Then merge the statuses again.",
        ))
}

fn identity_in_use(why: impl Into<String>, consumers: &[String]) -> Error {
    Error::new(Kind::IdentityInUse, why).noting(key::CONSUMERS, consumers)
}

impl Inner {
    /// Returns the generation for the next attempt: the endpoint's own, or the same one with the
    /// previous identity if the consumer has refused the new one recently. Returns `None` if the
    /// identity to try after a refusal may not be presented any more.
    ///
    /// * `generation`: the endpoint's own generation.
    /// * `refused`: the refused attempt of this delivery, if there is one.
    pub(super) fn choose_generation(
        &self,
        endpoint: &Endpoint,
        generation: Arc<Generation>,
        refused: Option<&RefusedAttempt>,
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

    /// Decides whether a failed delivery is attempted again with another identity. Fails with the error
    /// of the delivery if not.
    ///
    pub(super) fn after_refusal(
        &self,
        endpoint: &Endpoint,
        by: &Arc<Generation>,
        Failure { error, in_doubt, withheld }: Failure,
        before: Option<RefusedAttempt>,
        now: i64,
    ) -> Result<RefusedAttempt, Error> {
        if let Some(before) = before {
            // The first refusal concerns our current identity, and may record that the payload was sent.
            let first = error.kind() == Kind::ClientCertificateRejected
                || may_be_refusal(&error) && error.sent() == Sent::Nothing
                || before.error.sent() > error.sent();
            return Err(if first { before.error } else { error });
        }
        if !may_fall_back(&error, in_doubt, withheld) {
            return Err(error);
        }
        if by.is_fallback() {
            // The consumer does not accept the previous identity any more; it may accept the new one.
            endpoint.rollout().caught_up();
        } else if self.previous(by, now).is_none() {
            return Err(error);
        }
        Ok(RefusedAttempt { by: by.clone(), error })
    }

    /// Returns the same generation with the previous identity, if that is valid and not retired.
    fn previous(&self, generation: &Generation, now: i64) -> Option<Arc<Generation>> {
        let previous = generation.previous(&self.connection_limit)?;
        let identity = previous.identity();
        let valid = identity.check(now).is_ok();
        let retired = self.reload.retired.digests.lock().contains(&identity.digest());
        (valid && !retired).then_some(previous)
    }

    /// Records that the consumer refused the identity of this generation.
    ///
    /// * `late`: the refusal came after the payload was sent under an identity in doubt. The payload is
    ///   not sent again; the next delivery starts with the other identity.
    pub(super) fn record_refused(
        &self,
        endpoint: &Endpoint,
        generation: &Generation,
        late: bool,
        now: i64,
    ) {
        let rollout = endpoint.rollout();
        rollout.refused(generation.identity());
        if late && generation.is_fallback() {
            rollout.caught_up();
        } else if late && let Some(previous) = self.previous(generation, now) {
            self.fell_behind(endpoint, generation.identity(), previous.identity(), "http".into());
        }
    }

    /// Records a final response that does not refuse our certificate.
    pub(super) fn record_accepted(
        &self,
        endpoint: &Endpoint,
        generation: &Generation,
        refused: Option<&RefusedAttempt>,
        now: i64,
    ) {
        let rollout = endpoint.rollout();
        let changed = rollout.accepted(generation.identity(), generation.mark(), now);
        let Some(refused) = refused.filter(|_| generation.is_fallback()) else {
            // A response under a former generation shows nothing about the current identity.
            if changed && !generation.is_fallback() && endpoint.serves(generation) {
                rollout.caught_up();
            }
            return;
        };
        // A close that was not judged a refusal is one: the previous identity was accepted.
        let via = refused.error.fact(key::VIA).map_or("close", String::as_str).into();
        self.fell_behind(endpoint, refused.by.identity(), generation.identity(), via);
    }

    /// Records that the consumer does not accept the new identity yet. For a while, deliveries start
    /// with the previous one.
    fn fell_behind(&self, endpoint: &Endpoint, new: &Identity, previous: &Identity, via: Value) {
        let period = self.options.reload.unwrap_or(FALLBACK_PERIOD);
        if !endpoint.rollout().fell_behind(new, period) {
            return;
        }
        let issuer = |identity: &Identity| identity.leaf().parsed().issuer_text();
        let issuers = (issuer(new), issuer(previous));
        let previous = previous.leaf();
        self.emit(&[Event::new(EventName::RotatedButUndistributed)
            .of_consumer(endpoint.consumer())
            .with("identity", new.leaf().subject())
            .with("issuer", issuers.0)
            .with("previous", previous.subject())
            .with("previous_issuer", issuers.1)
            .with("not_after_ms", previous.not_after().saturating_mul(1000))
            .with("via", via)]);
    }
}
