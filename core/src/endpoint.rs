//! Floor 8: an endpoint, the unit of everything. A handle stays the same while its values change;
//! each change makes a new generation, and every connection belongs to one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::{Value, json};

use crate::clock::{system_time, unix_seconds};
use crate::connection::pool::{Budget, Pool};
use crate::connection::{StatusRetry, Turns};
use crate::error::{Error, Kind, Retry};
use crate::event::Event;
use crate::expiry::Lifetime;
use crate::identity::Identity;
use crate::net::Url;
use crate::options::{self, Setting};
use crate::pin::{Pin, PinSlot, Pins};
use crate::seen::Seen;
use crate::signing::StandardWebhooks;
use crate::source::Source;
use crate::staging::{Staging, identity_pin};
use crate::tls::{MinTls, Terms};
use crate::trust::Trust;
use crate::verify::{PeerIdentity, checked_uri};
use crate::watch::{Watch, Watched};

/// How an endpoint differs from its dispatcher. Pins must be said, if only that there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointOptions {
    pins: Pinning,
    trust: Option<Trust>,
    identity: Option<Identity>,
    min_tls: Option<MinTls>,
    server_uri: Option<String>,
    signing: Option<StandardWebhooks>,
    hold_payload: bool,
    concurrency: Option<usize>,
    status_retry: StatusRetry,
}

/// How many deliveries to one consumer are under way at once unless it says otherwise.
const CONCURRENCY: usize = 8;

/// Whether there are pins must be said: none by oversight looks just like none by decision.
#[derive(Clone, Debug, Default, PartialEq)]
enum Pinning {
    #[default]
    Unsaid,
    Declined,
    Pinned(Pins),
}

impl EndpointOptions {
    /// The keys the consumer may have; `None` is the decision to trust its CA alone.
    pub fn new(pins: Option<Pins>) -> Self {
        let pins = pins.map_or(Pinning::Declined, Pinning::Pinned);
        Self { pins, ..Self::default() }
    }

    /// The keys the consumer may have.
    pub fn pins(mut self, pins: Pins) -> Self {
        self.pins = Pinning::Pinned(pins);
        self
    }

    /// Any key that the consumer's CA certifies.
    pub fn no_pins(mut self) -> Self {
        self.pins = Pinning::Declined;
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

/// A consumer that can be delivered to. A cheap handle; two are equal if they are the same endpoint.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    dispatcher: u64,
    consumer: Arc<str>,
    generation: ArcSwap<Generation>,
    turns: ArcSwap<Turns>,
    removed: AtomicBool,
    seen: Mutex<Seen>,
    staging: Staging,
}

/// The material of an endpoint at one time, whole.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) url: Url,
    pub(crate) terms: Arc<Terms>,
    pub(crate) pool: Pool,
    manner: Manner,
    /// The files of its material, while it is the generation of an endpoint.
    watched: ArcSwapOption<Vec<Watched>>,
    /// Who we were before, for a consumer that does not take who we are now.
    previous: Option<Identity>,
    /// The same with the previous identity, once it is needed.
    fallback: OnceLock<Option<Arc<Generation>>>,
    is_fallback: bool,
}

/// How requests are made and answers read, beside the terms of the connection.
#[derive(Clone, PartialEq)]
struct Manner {
    signing: Option<StandardWebhooks>,
    hold_payload: bool,
    status_retry: StatusRetry,
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

impl Generation {
    pub(crate) fn new(
        number: u64,
        url: &str,
        options: EndpointOptions,
        defaults: (Option<&Identity>, Option<&Trust>),
        budget: &Arc<Budget>,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let pins = match options.pins {
            Pinning::Pinned(pins) => Some(pins),
            Pinning::Declined => None,
            Pinning::Unsaid => {
                let advice = "Give the consumer's pins, or say explicitly that there are none.";
                return Err(options::fault("pins", "must be said").advising(advice));
            }
        };
        let own = |noun: &str| {
            options::fault(noun, "is missing: neither the endpoint nor its dispatcher has one")
        };
        let trust = options.trust.as_ref().or(defaults.1).ok_or_else(|| own("trust"))?;
        let identity = options.identity.as_ref().or(defaults.0).ok_or_else(|| own("identity"))?;
        if trust.is_public() && pins.is_none() {
            return Err(options::fault("trust", "made by dangerous_public needs pins beside it")
                .advising("Pin the consumer's keys, or trust its private CA."));
        }
        let url = Url::parse(url)?;
        let server_name = url.host.server_name().ok_or_else(|| {
            Error::new(Kind::UrlInvalid, format!("the host of {} cannot be verified", url.text))
        })?;
        let terms = Terms {
            identity: watch.identity(identity),
            trust: watch.trust(trust),
            pins: pins.as_ref().map(|pins| watch.pins(pins)),
            server_name,
            server_uri: options.server_uri.map(String::into_boxed_str),
            min_tls: options.min_tls.unwrap_or(MinTls::V1_3),
        };
        let (signing, status_retry) = (options.signing, options.status_retry);
        let manner = Manner { signing, hold_payload: options.hold_payload, status_retry };
        let made = Self::of(number, url, terms, manner, budget);
        Ok(made.watched_by(watch))
    }

    /// The same with the material that its files hold now, or `None` if they hold what it has.
    pub(crate) fn renewed(&self, number: u64, budget: &Arc<Budget>, watch: &Watch) -> Option<Self> {
        let former = &*self.terms;
        let terms = Terms {
            pins: former.pins.as_ref().map(|pins| watch.pins(pins)),
            trust: watch.trust(&former.trust),
            identity: watch.identity(&former.identity),
            ..former.clone()
        };
        (terms != *former).then(|| self.under(number, terms, budget).watched_by(watch))
    }

    /// The same under other terms.
    fn under(&self, number: u64, terms: Terms, budget: &Arc<Budget>) -> Self {
        Self::of(number, self.url.clone(), terms, self.manner.clone(), budget)
    }

    fn of(number: u64, url: Url, terms: Terms, manner: Manner, budget: &Arc<Budget>) -> Self {
        let (terms, pool) = (Arc::new(terms), Pool::new(budget));
        let (previous, fallback, is_fallback) = (None, OnceLock::new(), false);
        let watched = ArcSwapOption::empty();
        Self { number, url, terms, pool, manner, watched, previous, fallback, is_fallback }
    }

    /// The same, whose files are watched until it is dropped or released.
    fn watched_by(self, watch: &Watch) -> Self {
        let Terms { identity, trust, pins, .. } = &*self.terms;
        let watched = [
            watch.watch_identity(identity),
            watch.watch_trust(trust),
            pins.as_ref().and_then(|pins| watch.watch_pins(pins)),
        ];
        let watched: Vec<Watched> = watched.into_iter().flatten().collect();
        if !watched.is_empty() {
            self.watched.store(Some(Arc::new(watched)));
        }
        self
    }

    /// Its endpoint uses it no more: its files need not be watched on its behalf.
    fn release(&self) {
        self.watched.store(None);
    }

    /// Whether connections and requests of the one would be those of the other. Equal material of
    /// other files is not the same: it will change at other times.
    fn equals(&self, other: &Self) -> bool {
        self.url == other.url
            && *self.terms == *other.terms
            && self.manner == other.manner
            && self.sources().eq(other.sources())
    }

    /// Succeeds a generation: remembers who we were.
    ///
    /// * `accepted`: the identity that the consumer took last.
    fn succeeding(mut self, former: &Self, accepted: Option<Identity>) -> Self {
        self.previous = if self.identity() == former.identity() {
            former.previous.clone()
        } else {
            let accepted = accepted.filter(|accepted| accepted != self.identity());
            Some(accepted.unwrap_or_else(|| former.identity().clone()))
        };
        self
    }

    pub(crate) fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    pub(crate) fn is_fallback(&self) -> bool {
        self.is_fallback
    }

    /// The same with the previous identity, if there is one, and with its own pool. It is current as
    /// long as this one is.
    pub(crate) fn previous(&self, budget: &Arc<Budget>) -> Option<Arc<Self>> {
        let made = || {
            let terms = Terms { identity: self.previous.clone()?, ..(*self.terms).clone() };
            let made = self.under(self.number, terms, budget);
            Some(Arc::new(Self { is_fallback: true, ..made }))
        };
        self.fallback.get_or_init(made).clone()
    }

    /// Says of an identity that a consumer took whose it was; never 0.
    pub(crate) fn mark(&self) -> u64 {
        self.number * 2 + u64::from(self.is_fallback)
    }

    /// Closes what is idle, under either identity.
    pub(crate) fn close_idle(&self) {
        self.pool.clear();
        if let Some(Some(fallback)) = self.fallback.get() {
            fallback.pool.clear();
        }
    }

    /// Closes what is idle under this previous identity.
    pub(crate) fn forget_previous(&self, identity: &Identity) {
        if let Some(Some(fallback)) = self.fallback.get()
            && fallback.identity() == identity
        {
            fallback.pool.clear();
        }
    }

    /// Whether payloads wait for the consumer's word.
    pub(crate) fn holds_payload(&self) -> bool {
        self.manner.hold_payload
    }

    pub(crate) fn signing(&self) -> Option<&StandardWebhooks> {
        self.manner.signing.as_ref()
    }

    /// What was said of this consumer's answers.
    pub(crate) fn status_retry(&self) -> &StatusRetry {
        &self.manner.status_retry
    }

    /// The files that its material was read from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        let Terms { identity, trust, pins, .. } = &*self.terms;
        let origins = [identity.origin(), trust.origin(), pins.as_ref().and_then(Pins::origin)];
        origins.into_iter().flatten().map(|origin| &origin.source)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.terms.identity
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.terms.trust
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
                turns: ArcSwap::from_pointee(Turns::new(concurrency)),
                removed: AtomicBool::new(false),
                seen: Mutex::default(),
                staging: Staging::default(),
            }),
        }
    }

    /// The consumer id.
    pub fn consumer(&self) -> &str {
        &self.inner.consumer
    }

    pub(crate) fn shared_consumer(&self) -> Arc<str> {
        self.inner.consumer.clone()
    }

    /// The URL in its canonical spelling.
    pub fn url(&self) -> String {
        self.generation().url.text.clone()
    }

    /// What deliveries have shown.
    pub fn status(&self) -> EndpointStatus {
        let generation = self.generation();
        let seen = self.seen();
        let pins = generation.terms.pins.as_ref();
        EndpointStatus {
            pin_seen: seen.pin.map(|pin| pin.to_string()),
            pins_never_seen: pins
                .into_iter()
                .flat_map(Pins::iter)
                .filter(|(pin, _)| !seen.matched.contains(pin))
                .map(|(pin, _)| pin.to_string())
                .collect(),
            peer_not_after: seen.not_after.map(system_time),
            identity_accepted: self.staging().last().map(|(identity, _)| identity_pin(&identity)),
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

    pub(crate) fn turns(&self) -> Arc<Turns> {
        self.inner.turns.load_full()
    }

    /// Takes new values; equal ones change nothing.
    pub(crate) fn update(&self, made: Generation, concurrency: usize) {
        // It is no part of a generation: connections are as good as before.
        if self.turns().limit() != concurrency {
            self.inner.turns.store(Arc::new(Turns::new(concurrency)));
        }
        let current = self.generation();
        if !current.equals(&made) {
            let made = made.succeeding(&current, self.accepted_identity());
            let former = self.inner.generation.swap(Arc::new(made));
            former.release();
            former.close_idle();
            self.release_if_removed();
        }
    }

    /// Puts what its files hold now into use. Returns the generation that was replaced, if one was.
    pub(crate) fn renew(
        &self,
        number: &dyn Fn() -> u64,
        budget: &Arc<Budget>,
        watch: &Watch,
    ) -> Option<Arc<Generation>> {
        loop {
            let current = self.generation();
            let made = current.renewed(number(), budget, watch)?;
            let made = made.succeeding(&current, self.accepted_identity());
            let former = self.inner.generation.compare_and_swap(&current, Arc::new(made));
            // Somebody may have given the endpoint other settings meanwhile, which stay.
            if Arc::ptr_eq(&former, &current) {
                current.release();
                self.release_if_removed();
                return Some(current);
            }
        }
    }

    /// Which of our identities the consumer takes.
    pub(crate) fn staging(&self) -> &Staging {
        &self.inner.staging
    }

    fn accepted_identity(&self) -> Option<Identity> {
        self.inner.staging.last().map(|(identity, _)| identity)
    }

    /// The pin that matched last.
    pub(crate) fn last_pin(&self) -> Option<(String, PinSlot)> {
        self.seen().last.map(|(pin, slot)| (pin.to_string(), slot))
    }

    /// What the pins lack while the consumer's certificate nears its end.
    pub(crate) fn lacking_pins(&self) -> Vec<Event> {
        let generation = self.generation();
        let pins = generation.terms.pins.as_ref();
        let lacking = pins.map(|pins| self.seen().lacking(pins)).unwrap_or_default();
        lacking.into_iter().map(|event| event.of_consumer(self.consumer())).collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lifetime of the consumer's certificate as last seen.
    pub(crate) fn peer_lifetime(&self) -> Option<Lifetime> {
        let seen = self.seen();
        let (not_before, not_after) = (seen.not_before?, seen.not_after?);
        Some(Lifetime::of_consumer(self.consumer(), not_before, not_after))
    }

    /// Closes the idle connections; no delivery starts from now on.
    pub(crate) fn remove(&self) {
        self.inner.removed.store(true, Ordering::SeqCst);
        let generation = self.generation();
        generation.close_idle();
        generation.release();
    }

    /// After a generation was swapped in: whoever holds a handle of a removed endpoint holds no files.
    fn release_if_removed(&self) {
        if self.inner.removed.load(Ordering::SeqCst) {
            self.generation().release();
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.inner.removed.load(Ordering::Acquire)
    }

    pub(crate) fn is_current(&self, generation: &Generation) -> bool {
        self.inner.generation.load().number == generation.number
    }

    /// What a handshake has shown of the consumer, whether it succeeded or not; returns what an
    /// operator should hear about it.
    pub(crate) fn noted(&self, shaken: Result<&PeerIdentity, &Error>) -> Vec<Event> {
        match shaken {
            Ok(peer) => {
                let generation = self.generation();
                let events = self.seen().peer(peer, generation.terms.pins.as_ref());
                events.into_iter().map(|event| event.of_consumer(self.consumer())).collect()
            }
            Err(error) => {
                let pin = error.context().get("observed_pin").and_then(|pin| pin.as_str());
                if let Some(pin) = pin.and_then(|pin| Pin::parse(pin).ok()) {
                    self.seen().pin = Some(pin);
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
        write!(f, "Endpoint({} at {})", self.consumer(), self.url())
    }
}
