//! An endpoint and its generations. An endpoint handle stays valid while its values change. Each
//! change creates a new generation, and every connection belongs to one generation.

pub(crate) mod fleet;
mod generation;
pub(crate) mod identity_rollout;
mod options;
mod peer_history;
mod status;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use fleet::merge;
pub(crate) use generation::{Defaults, Generation};
pub use identity_rollout::{ConsumerRotation, RotationStatus};
pub use options::EndpointOptions;
pub(crate) use options::check_id;
pub use status::EndpointStatus;

pub use crate::admission::CircuitState;

use crate::admission::{EndpointAccess, Starting, Starts, TurnLimits};
use crate::clock::{self, system_time};
use crate::connection::Connection;
use crate::connection::pool::ConnectionLimit;
use crate::error::{Error, key};
use crate::event::Event;
use crate::material::expiry::Lifetime;
use crate::material::identity::Identity;
use crate::material::pin::{Pin, PinSlot, Pins};
use crate::material::watch::Watch;
use crate::metrics::EndpointCells;
use crate::process::{Lock, Locked, PerProcess, own};
use crate::verify::PeerIdentity;
use identity_rollout::{IdentityRollout, identity_pin};
use peer_history::PeerHistory;

/// A handle of an endpoint, cheap to clone. Two handles are equal if they refer to the same endpoint.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use webhook_mtls::{EndpointOptions, Pins};
/// # use webhook_mtls::testing::Lab;
/// # let lab = Lab::start()?;
/// # let acme = lab.consumer("acme")?;
/// # let dispatcher = lab.dispatcher();
/// # let (url, pin) = (acme.url(), acme.pin());
///
/// let options = EndpointOptions::new(Some(Pins::new([pin])?));
/// let endpoint = dispatcher.endpoint("acme", &url, options.clone())?;
/// // Equal values return the same endpoint, with its connections.
/// assert_eq!(dispatcher.endpoint("acme", &url, options)?, endpoint);
/// assert_eq!(endpoint.consumer(), "acme");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    access: EndpointAccess,
    consumer: Arc<str>,
    generation: ArcSwap<Generation>,
    starts: Starts,
    /// Wakes the deliveries that have not started, so that they check whether they still may.
    changed: PerProcess<Arc<own::Notify>>,
    /// `None` before the first handshake: an idle endpoint takes less memory.
    history: Lock<Option<Box<PeerHistory>>>,
    rollout: IdentityRollout,
    /// The counts of this endpoint, if it has metrics of its own.
    cells: Option<Box<PerProcess<EndpointCells>>>,
}

impl Endpoint {
    pub(crate) fn new(
        dispatcher: u64,
        consumer: &str,
        generation: Generation,
        limits: TurnLimits,
        has_metrics: bool,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                access: EndpointAccess::new(dispatcher, limits),
                consumer: consumer.into(),
                generation: ArcSwap::from_pointee(generation),
                starts: Starts::default(),
                changed: PerProcess::default(),
                history: Lock::default(),
                rollout: IdentityRollout::default(),
                cells: has_metrics.then(Box::default),
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

    /// What the deliveries of this process have shown.
    pub fn status(&self) -> EndpointStatus {
        let generation = self.generation();
        let history = self.history();
        let history = PeerHistory::or_empty(history.as_deref());
        let pins = generation.terms.pins.as_ref();
        let (circuit, open_until) = self.access().circuit().state(clock::now_millis());
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
            circuit,
            circuit_open_until: open_until.map(clock::time_of_millis),
        }
    }

    /// Counts a delivery that has ended, if the endpoint has metrics of its own.
    pub(crate) fn count_end(&self, has_succeeded: bool) {
        if let Some(cells) = &self.inner.cells {
            cells.get().value.count(has_succeeded);
        }
    }

    /// Returns how many deliveries of this process have succeeded and failed. `None` if the endpoint has no
    /// metrics of its own.
    pub(crate) fn ends(&self) -> Option<(u64, u64)> {
        Some(self.inner.cells.as_ref()?.get().value.read())
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        self.inner.generation.load_full()
    }

    /// What decides whether a delivery to this endpoint is admitted.
    pub(crate) fn access(&self) -> &EndpointAccess {
        &self.inner.access
    }

    /// Selects the lane of the runtime that drives all connections of this endpoint.
    pub(crate) fn lane(&self) -> usize {
        // The low bits of an address are always zero.
        Arc::as_ptr(&self.inner).addr().wrapping_mul(0x9E37_79B9) >> 16
    }

    /// Applies new values. Equal values keep the generation and its connections. No request starts under the
    /// former values after this call.
    pub(crate) fn update(&self, next: Generation, limits: TurnLimits) {
        // The limits are not part of a generation: connections stay usable.
        self.access().turns().set_limits(limits);
        let current = self.generation();
        if !current.equals(&next) {
            let next = self.succeeding(next, &current);
            let former = self.inner.generation.swap(Arc::new(next));
            self.reset_circuit();
            former.release();
            self.settle();
            former.close_idle();
            self.release_if_removed();
        }
    }

    /// Applies the current contents of the endpoint's files. Returns the replaced generation, if the contents
    /// have changed. No request starts on it after this call.
    pub(crate) fn renew(
        &self,
        number: &dyn Fn() -> u64,
        connection_limit: &Arc<ConnectionLimit>,
        watch: &Watch,
    ) -> Option<Arc<Generation>> {
        loop {
            let current = self.generation();
            let next = current.renewed(number(), connection_limit, watch)?;
            let next = self.succeeding(next, &current);
            let former = self.inner.generation.compare_and_swap(&current, Arc::new(next));
            // If another thread has changed the endpoint meanwhile, its values stay, and this starts again.
            if Arc::ptr_eq(&former, &current) {
                self.reset_circuit();
                current.release();
                self.release_if_removed();
                self.settle();
                return Some(current);
            }
        }
    }

    /// Prepares the successor of a generation. Another server, or the same one for another identity, is
    /// waited for again after a handshake.
    fn succeeding(&self, next: Generation, current: &Generation) -> Generation {
        if current.url != next.url || current.identity() != next.identity() {
            self.rollout().set_silent(false);
        }
        next.succeeding(current, self.accepted_identity())
    }

    /// Stops presenting this identity if it is the previous one. No request starts under it after this
    /// call.
    pub(crate) fn retire(&self, identity: &Identity) {
        if let Some(retired) = self.generation().retire(identity) {
            self.settle();
            retired.close_idle();
        }
    }

    /// Fails the deliveries that have not started, and closes the idle connections. No request starts after
    /// this call.
    pub(crate) fn remove(&self) {
        self.access().remove();
        self.settle();
        let generation = self.generation();
        generation.close_idle();
        generation.release();
    }

    /// Releases a new generation's files if the endpoint was removed meanwhile. A handle of a removed endpoint
    /// must not keep files watched.
    fn release_if_removed(&self) {
        if self.is_removed() {
            self.generation().release();
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.access().is_removed()
    }

    /// Whether a request may start on this generation now.
    pub(crate) fn serves(&self, generation: &Generation) -> bool {
        !self.is_removed()
            && self.inner.generation.load().number == generation.number
            && !generation.is_retired()
    }

    /// Starts a request on this generation, or returns `None` if it may not start. This is the only check
    /// between taking a connection and the first byte. The caller writes that byte, then drops the returned
    /// guard.
    pub(crate) fn start(&self, generation: &Generation) -> Option<Starting<'_>> {
        let starting = self.inner.starts.begin();
        self.serves(generation).then_some(starting)
    }

    /// Waits until no request may start on this generation.
    pub(crate) async fn withdrawn(&self, generation: &Generation) {
        self.until(|| !self.serves(generation)).await;
    }

    /// Waits until the endpoint is removed.
    pub(crate) async fn removal(&self) {
        self.until(|| self.is_removed()).await;
    }

    async fn until(&self, condition: impl Fn() -> bool) {
        let changed = self.inner.changed.get().value.clone();
        loop {
            let mut notified = std::pin::pin!(changed.notified());
            notified.as_mut().enable();
            if condition() {
                return;
            }
            notified.await;
        }
    }

    /// Returns a connection to its pool if its generation still serves.
    pub(crate) fn keep(&self, connection: Box<Connection>, generation: &Generation) {
        let max = self.access().turns().limit();
        generation.pool.put(connection, max, || self.serves(generation));
    }

    /// Completes a change of the values: waits for the requests that are starting, then wakes the deliveries
    /// that have not started.
    fn settle(&self) {
        self.inner.starts.settle();
        self.inner.changed.get().value.notify_waiters();
    }

    /// Whether the identity of this generation is in doubt: the consumer has not answered under it or has
    /// refused it since, and another identity is available or the consumer's list of CAs excludes ours. A
    /// fresh connection is also in doubt after one was lost, until the next response.
    ///
    /// * `fresh`: the connection has carried no request.
    /// * `excluded`: the consumer's list of CAs does not name an issuer of this identity.
    pub(crate) fn is_in_doubt(&self, generation: &Generation, fresh: bool, excluded: bool) -> bool {
        let rollout = self.rollout();
        let suspected = generation.has_previous() || generation.is_fallback() || excluded;
        fresh && rollout.is_lost(generation.mark())
            || suspected && !rollout.accepts(generation.identity(), generation.mark())
    }

    /// Which of our identities the consumer accepts.
    pub(crate) fn rollout(&self) -> &IdentityRollout {
        &self.inner.rollout
    }

    fn accepted_identity(&self) -> Option<Identity> {
        self.inner.rollout.last().map(|(identity, _)| identity)
    }

    /// The pin that matched last.
    pub(crate) fn last_pin(&self) -> Option<(String, PinSlot)> {
        PeerHistory::or_empty(self.history().as_deref())
            .last
            .map(|(pin, slot)| (pin.to_string(), slot))
    }

    /// Events about insufficient pins, for a consumer whose certificate is about to expire.
    pub(crate) fn pin_warnings(&self) -> Vec<Event> {
        let generation = self.generation();
        let pins = generation.terms.pins.as_ref();
        let history = self.history();
        let history = PeerHistory::or_empty(history.as_deref());
        let warnings = pins.map(|pins| history.warnings(pins)).unwrap_or_default();
        warnings.into_iter().map(|event| event.of_consumer(self.consumer())).collect()
    }

    fn history(&self) -> Locked<'_, Option<Box<PeerHistory>>> {
        self.inner.history.lock()
    }

    /// The lifetime of the certificate that the consumer presented last.
    pub(crate) fn peer_lifetime(&self) -> Option<Lifetime> {
        let history = self.history();
        let history = history.as_ref()?;
        let (not_before, not_after) = (history.not_before?, history.not_after?);
        Some(Lifetime::of_consumer(self.consumer(), not_before, not_after))
    }

    /// Records the result of a handshake, successful or not. Returns the events for the operator.
    pub(crate) fn record_handshake(
        &self,
        generation: &Generation,
        handshake: Result<&PeerIdentity, &Error>,
    ) -> Vec<Event> {
        match handshake {
            Ok(peer) => {
                let pins = generation.terms.pins.as_ref();
                let events = self.history().get_or_insert_default().record(peer, pins);
                events.into_iter().map(|event| event.of_consumer(self.consumer())).collect()
            }
            Err(error) => {
                let pin = error.fact(key::OBSERVED_PIN);
                if let Some(pin) = pin.and_then(|pin| Pin::parse(pin).ok()) {
                    self.history().get_or_insert_default().pin = Some(pin);
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
