//! Floor 8: an endpoint, the unit of everything. A handle stays the same while its values change;
//! each change makes a new generation, and every connection belongs to one.

mod generation;
pub(crate) mod identity_rollout;
mod peer_history;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde_json::{Value, json};

pub(crate) use generation::Generation;
pub use identity_rollout::{ConsumerRotation, RotationStatus};

use crate::admission::{Starting, Starts, Turns};
use crate::clock::{system_time, unix_seconds};
use crate::connection::Connection;
use crate::connection::pool::ConnectionLimit;
use crate::error::{Error, Retry, certain_secret};
use crate::event::Event;
use crate::material::expiry::Lifetime;
use crate::material::identity::Identity;
use crate::material::pin::{Pin, PinSlot, Pins};
use crate::material::signing::StandardWebhooks;
use crate::material::trust::Trust;
use crate::material::watch::Watch;
use crate::options::{self, Setting};
use crate::process::{Lock, Locked, PerProcess, own};
use crate::retry::StatusRetry;
use crate::tls::MinTls;
use crate::verify::{PeerIdentity, checked_uri};
use identity_rollout::{IdentityRollout, identity_pin};
use peer_history::PeerHistory;

/// How an endpoint differs from its dispatcher. Pins must be said, if only that there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointOptions {
    pins: PinChoice,
    trust: Option<Trust>,
    identity: Option<Identity>,
    min_tls: Option<MinTls>,
    server_uri: Option<String>,
    signing: Option<StandardWebhooks>,
    hold_payload: bool,
    concurrency: Option<usize>,
    owner: Option<String>,
    status_retry: StatusRetry,
}

/// How many deliveries to one consumer are under way at once unless it says otherwise.
const CONCURRENCY: usize = 8;

/// Whether there are pins must be said: none by oversight looks just like none by decision.
#[derive(Clone, Debug, Default, PartialEq)]
enum PinChoice {
    #[default]
    Missing,
    Declined,
    Pinned(Pins),
}

impl EndpointOptions {
    /// The keys the consumer may have; `None` is the decision to trust its CA alone.
    pub fn new(pins: Option<Pins>) -> Self {
        let pins = pins.map_or(PinChoice::Declined, PinChoice::Pinned);
        Self { pins, ..Self::default() }
    }

    /// The keys the consumer may have.
    pub fn pins(mut self, pins: Pins) -> Self {
        self.pins = PinChoice::Pinned(pins);
        self
    }

    /// Any key that the consumer's CA certifies.
    pub fn no_pins(mut self) -> Self {
        self.pins = PinChoice::Declined;
        self
    }

    /// Whom to believe about this consumer.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Whom to believe if nobody has been said.
    pub(crate) fn or_trust(mut self, trust: Option<Trust>) -> Self {
        self.trust = self.trust.or(trust);
        self
    }

    /// Who to be to this consumer.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The secrets that sign each delivery. Deliveries without an id are refused then.
    pub fn signing(mut self, signing: StandardWebhooks) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Whose endpoint this is, the consumer id by default. While others wait, the endpoints of one owner
    /// hold at most a quarter of `max_connections` and of the look-ups.
    ///
    /// * `owner`: 1 to 256 bytes without control characters.
    ///
    /// Fails with `option_invalid`.
    pub fn owner(mut self, owner: impl Into<String>) -> Result<Self, Error> {
        self.owner = Some(checked_owner(owner.into())?);
        Ok(self)
    }

    /// Whether trying again helps after a status of this consumer; what is not named here is as the
    /// dispatcher says.
    ///
    /// * `said`: a status from 300 to 599, or `3xx`, `4xx`, `5xx`, with the word for it.
    ///
    /// Fails with `option_invalid`.
    pub fn status_retry<S: Into<String>>(
        mut self,
        said: impl IntoIterator<Item = (S, Retry)>,
    ) -> Result<Self, Error> {
        self.set("status_retry", StatusRetry::setting(said))?;
        Ok(self)
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        match (name, value) {
            ("min_tls", Setting::Text(version)) => {
                let version = MinTls::from_name(&version)
                    .ok_or_else(|| options::fault(name, "must be 1.3 or 1.2"))?;
                self.min_tls = Some(version);
            }
            ("hold_payload", Setting::Flag(held)) => self.hold_payload = held,
            ("server_uri", Setting::Text(uri)) => self.server_uri = Some(checked_uri(uri)?),
            ("concurrency", Setting::Number(number)) => {
                self.concurrency = Some(options::count(name, number)?);
            }
            ("owner", Setting::Text(owner)) => self.owner = Some(checked_owner(owner)?),
            ("status_retry", value) => {
                self.status_retry = StatusRetry::read("endpoint", name, &value)?;
            }
            _ => return Err(options::mistyped("endpoint", name)),
        }
        Ok(())
    }

    pub(crate) fn chosen_concurrency(&self) -> usize {
        self.concurrency.unwrap_or(CONCURRENCY)
    }
}

fn checked_owner(owner: String) -> Result<String, Error> {
    check_id("owner", &owner)?;
    Ok(owner)
}

/// Checks a consumer id, or the id of an owner. Errors and events carry them, so nothing that can only be
/// a secret may become one.
///
/// Fails with `option_invalid`.
pub(crate) fn check_id(name: &str, id: &str) -> Result<(), Error> {
    if !(1..=256).contains(&id.len()) || id.chars().any(char::is_control) {
        return Err(options::fault(name, "must be 1 to 256 bytes without control characters"));
    }
    match certain_secret(id) {
        Some(what) => Err(options::fault(name, format_args!("looks like {what}"))
            .advising("Give a name that may stand in logs.")),
        None => Ok(()),
    }
}

/// A consumer that can be delivered to. A cheap handle; two are equal if they are the same endpoint.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    dispatcher: u64,
    consumer: Arc<str>,
    generation: ArcSwap<Generation>,
    turns: Turns,
    removed: AtomicBool,
    starts: Starts,
    /// Wakes the deliveries that have not started, to look at what may start now.
    changed: PerProcess<Arc<own::Notify>>,
    history: Lock<PeerHistory>,
    rollout: IdentityRollout,
}

/// What is known of an endpoint from its deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStatus {
    /// The pin of the key that the consumer showed last.
    pub pin_seen: Option<String>,
    /// The configured pins that no delivery has matched so far.
    pub pins_never_seen: Vec<String>,
    /// When the consumer's certificate, as last seen, expires.
    pub peer_not_after: Option<SystemTime>,
    /// Which of our identities the consumer took last: the pin of its certificate, `cert-sha256/…`.
    pub identity_accepted: Option<String>,
}

impl EndpointStatus {
    /// The status in the form that every language shows. Instants are Unix milliseconds.
    pub fn to_json(&self) -> Value {
        let millis = |at| unix_seconds(at).saturating_mul(1000);
        json!({
            "pin_seen": self.pin_seen,
            "pins_never_seen": self.pins_never_seen,
            "peer_not_after_ms": self.peer_not_after.map(millis),
            "identity_accepted": self.identity_accepted,
        })
    }
}

impl Endpoint {
    pub(crate) fn new(
        dispatcher: u64,
        consumer: &str,
        generation: Generation,
        concurrency: usize,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                dispatcher,
                consumer: consumer.into(),
                generation: ArcSwap::from_pointee(generation),
                turns: Turns::new(concurrency),
                removed: AtomicBool::new(false),
                starts: Starts::default(),
                changed: PerProcess::default(),
                history: Lock::default(),
                rollout: IdentityRollout::default(),
            }),
        }
    }

    /// The consumer id.
    pub fn consumer(&self) -> &str {
        &self.inner.consumer
    }

    pub(crate) fn consumer_arc(&self) -> Arc<str> {
        self.inner.consumer.clone()
    }

    /// The URL in its canonical spelling.
    pub fn url(&self) -> String {
        self.generation().url.text.clone()
    }

    /// What deliveries have shown.
    pub fn status(&self) -> EndpointStatus {
        let generation = self.generation();
        let history = self.history();
        let pins = generation.terms.pins.as_ref();
        EndpointStatus {
            pin_seen: history.pin.map(|pin| pin.to_string()),
            pins_never_seen: pins
                .into_iter()
                .flat_map(Pins::iter)
                .filter(|(pin, _)| !history.matched.contains(pin))
                .map(|(pin, _)| pin.to_string())
                .collect(),
            peer_not_after: history.not_after.map(system_time),
            identity_accepted: self.rollout().last().map(|(identity, _)| identity_pin(&identity)),
        }
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.inner.generation.load_full()
    }

    pub(crate) fn belongs_to(&self, dispatcher: u64) -> bool {
        self.inner.dispatcher == dispatcher
    }

    /// Falls into the lane of the runtime that all its connections live in.
    pub(crate) fn lane(&self) -> usize {
        // An address has low bits that are always the same.
        Arc::as_ptr(&self.inner).addr().wrapping_mul(0x9E37_79B9) >> 16
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    /// Takes new values; equal ones change nothing. No request starts under the former values after
    /// this call.
    pub(crate) fn update(&self, next: Generation, concurrency: usize) {
        // It is no part of a generation: connections are as good as before.
        self.inner.turns.set_limit(concurrency);
        let current = self.generation();
        if !current.equals(&next) {
            let next = next.succeeding(&current, self.accepted_identity());
            let former = self.inner.generation.swap(Arc::new(next));
            former.release();
            self.settle();
            former.close_idle();
            self.release_if_removed();
        }
    }

    /// Puts what its files hold now into use. Returns the generation that was replaced, if one was; no
    /// request starts on it after this call.
    pub(crate) fn renew(
        &self,
        number: &dyn Fn() -> u64,
        connection_limit: &Arc<ConnectionLimit>,
        watch: &Watch,
    ) -> Option<Arc<Generation>> {
        loop {
            let current = self.generation();
            let next = current.renewed(number(), connection_limit, watch)?;
            let next = next.succeeding(&current, self.accepted_identity());
            let former = self.inner.generation.compare_and_swap(&current, Arc::new(next));
            // Somebody may have given the endpoint other settings meanwhile, which stay.
            if Arc::ptr_eq(&former, &current) {
                current.release();
                self.release_if_removed();
                self.settle();
                return Some(current);
            }
        }
    }

    /// Shows this identity to the consumer no more, if it is the previous one. No request starts
    /// under it after this call.
    pub(crate) fn retire(&self, identity: &Identity) {
        if let Some(retired) = self.generation().retire(identity) {
            self.settle();
            retired.close_idle();
        }
    }

    /// Ends what has not started, and closes the idle connections. No request starts after this call.
    pub(crate) fn remove(&self) {
        self.inner.removed.store(true, Ordering::SeqCst);
        self.inner.turns.close();
        self.settle();
        let generation = self.generation();
        generation.close_idle();
        generation.release();
    }

    /// After a generation was swapped in: whoever holds a handle of a removed endpoint holds no files.
    fn release_if_removed(&self) {
        if self.is_removed() {
            self.generation().release();
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.inner.removed.load(Ordering::SeqCst)
    }

    /// Whether a request may start on this generation, as things are now.
    pub(crate) fn serves(&self, generation: &Generation) -> bool {
        !self.is_removed()
            && self.inner.generation.load().number == generation.number
            && !generation.is_retired()
    }

    /// Starts a request on this generation, if it may start: the one check between a connection and
    /// the first byte. The caller writes that byte, and drops what is returned.
    pub(crate) fn start(&self, generation: &Generation) -> Option<Starting<'_>> {
        let starting = self.inner.starts.begin();
        self.serves(generation).then_some(starting)
    }

    /// Returns once no request may start on this generation any more.
    pub(crate) async fn withdrawn(&self, generation: &Generation) {
        self.until(|| !self.serves(generation)).await;
    }

    /// Returns once the endpoint was removed.
    pub(crate) async fn removal(&self) {
        self.until(|| self.is_removed()).await;
    }

    async fn until(&self, changed_so: impl Fn() -> bool) {
        let changed = self.inner.changed.get().value.clone();
        loop {
            let mut notified = std::pin::pin!(changed.notified());
            notified.as_mut().enable();
            if changed_so() {
                return;
            }
            notified.await;
        }
    }

    /// Keeps a connection for later, unless its generation serves no more.
    pub(crate) fn keep(&self, connection: Box<Connection>, generation: &Generation) {
        let most = self.inner.turns.limit();
        generation.pool.put(connection, most, || self.serves(generation));
    }

    /// What may start has changed: waits for the requests that start at this moment, and ends the
    /// waiting of those that may not start any more.
    fn settle(&self) {
        self.inner.starts.settle();
        self.inner.changed.get().value.notify_waiters();
    }

    /// Whether the consumer may refuse the identity of this generation while another one is at hand:
    /// it has given no answer under it yet, or has refused it since.
    pub(crate) fn doubts(&self, generation: &Generation) -> bool {
        (generation.has_previous() || generation.is_fallback())
            && !self.rollout().takes(generation.identity(), generation.mark())
    }

    /// Which of our identities the consumer takes.
    pub(crate) fn rollout(&self) -> &IdentityRollout {
        &self.inner.rollout
    }

    fn accepted_identity(&self) -> Option<Identity> {
        self.inner.rollout.last().map(|(identity, _)| identity)
    }

    /// The pin that matched last.
    pub(crate) fn last_pin(&self) -> Option<(String, PinSlot)> {
        self.history().last.map(|(pin, slot)| (pin.to_string(), slot))
    }

    /// What the pins lack while the consumer's certificate nears its end.
    pub(crate) fn lacking_pins(&self) -> Vec<Event> {
        let generation = self.generation();
        let pins = generation.terms.pins.as_ref();
        let lacking = pins.map(|pins| self.history().lacking(pins)).unwrap_or_default();
        lacking.into_iter().map(|event| event.of_consumer(self.consumer())).collect()
    }

    fn history(&self) -> Locked<'_, PeerHistory> {
        self.inner.history.lock()
    }

    /// The lifetime of the consumer's certificate as last seen.
    pub(crate) fn peer_lifetime(&self) -> Option<Lifetime> {
        let history = self.history();
        let (not_before, not_after) = (history.not_before?, history.not_after?);
        Some(Lifetime::of_consumer(self.consumer(), not_before, not_after))
    }

    /// What a handshake has shown of the consumer, whether it succeeded or not; returns what an
    /// operator should hear about it.
    pub(crate) fn noted(
        &self,
        generation: &Generation,
        shaken: Result<&PeerIdentity, &Error>,
    ) -> Vec<Event> {
        match shaken {
            Ok(peer) => {
                let events = self.history().peer(peer, generation.terms.pins.as_ref());
                events.into_iter().map(|event| event.of_consumer(self.consumer())).collect()
            }
            Err(error) => {
                let pin = error.context().get("observed_pin").and_then(|pin| pin.as_str());
                if let Some(pin) = pin.and_then(|pin| Pin::parse(pin).ok()) {
                    self.history().pin = Some(pin);
                }
                Vec::new()
            }
        }
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({:?}, {:?})", self.consumer(), self.generation().url.shown())
    }
}
