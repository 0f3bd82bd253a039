//! A generation: the material of an endpoint at one time, and the connections that it opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwapOption, Guard};

use super::{EndpointOptions, PinChoice};
use crate::connection::pool::{ConnectionLimit, Pool};
use crate::error::{Error, Kind};
use crate::material::identity::Identity;
use crate::material::pin::Pins;
use crate::material::signing::StandardWebhooks;
use crate::material::source::Source;
use crate::material::trust::Trust;
use crate::material::watch::{Watch, Watched};
use crate::net::Url;
use crate::options;
use crate::retry::StatusRetry;
use crate::tls::{MinTls, Terms};

/// The material of an endpoint at one time, whole.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) url: Url,
    pub(crate) terms: Arc<Terms>,
    pub(crate) pool: Pool,
    settings: RequestSettings,
    /// The files of its material, while it is the generation of an endpoint.
    watched: ArcSwapOption<Vec<Watched>>,
    /// Who we were before, for a consumer that does not take who we are now.
    previous: Option<Identity>,
    /// The same with the previous identity, once it is needed.
    fallback: ArcSwapOption<Generation>,
    is_fallback: bool,
    /// Its identity was retired: nothing starts on it any more.
    retired: AtomicBool,
}

/// How requests are made and answers read, and on whose behalf, beside the terms of the connection.
#[derive(Clone, PartialEq)]
struct RequestSettings {
    owner: Arc<str>,
    signing: Option<StandardWebhooks>,
    hold_payload: bool,
    status_retry: StatusRetry,
}

impl Generation {
    /// * `consumer`: the consumer id, which is the owner where none is said.
    pub(crate) fn new(
        number: u64,
        consumer: &str,
        url: &str,
        options: EndpointOptions,
        defaults: (Option<&Identity>, Option<&Trust>),
        connection_limit: &Arc<ConnectionLimit>,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let pins = match options.pins {
            PinChoice::Pinned(pins) => Some(pins),
            PinChoice::Declined => None,
            PinChoice::Missing => {
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
            Error::new(Kind::UrlInvalid, format!("the host of {} cannot be verified", url.shown()))
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
        let owner = options.owner.as_deref().unwrap_or(consumer).into();
        let settings =
            RequestSettings { owner, signing, hold_payload: options.hold_payload, status_retry };
        let made = Self::of(number, url, terms, settings, connection_limit);
        Ok(made.watched_by(watch))
    }

    /// The same with the material that its files hold now, or `None` if they hold what it has.
    pub(crate) fn renewed(
        &self,
        number: u64,
        connection_limit: &Arc<ConnectionLimit>,
        watch: &Watch,
    ) -> Option<Self> {
        let former = &*self.terms;
        let terms = Terms {
            pins: former.pins.as_ref().map(|pins| watch.pins(pins)),
            trust: watch.trust(&former.trust),
            identity: watch.identity(&former.identity),
            ..former.clone()
        };
        (terms != *former).then(|| self.under(number, terms, connection_limit).watched_by(watch))
    }

    /// The same under other terms.
    fn under(&self, number: u64, terms: Terms, connection_limit: &Arc<ConnectionLimit>) -> Self {
        Self::of(number, self.url.clone(), terms, self.settings.clone(), connection_limit)
    }

    fn of(
        number: u64,
        url: Url,
        terms: Terms,
        settings: RequestSettings,
        connection_limit: &Arc<ConnectionLimit>,
    ) -> Self {
        let (terms, pool) = (Arc::new(terms), Pool::new(connection_limit, &settings.owner));
        let (previous, fallback, is_fallback) = (None, ArcSwapOption::empty(), false);
        let (watched, retired) = (ArcSwapOption::empty(), AtomicBool::new(false));
        Self {
            number,
            url,
            terms,
            pool,
            settings,
            watched,
            previous,
            fallback,
            is_fallback,
            retired,
        }
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
    pub(super) fn release(&self) {
        self.watched.store(None);
    }

    /// Whether connections and requests of the one would be those of the other. Equal material of
    /// other files is not the same: it will change at other times.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.url == other.url
            && *self.terms == *other.terms
            && self.settings == other.settings
            && self.sources().eq(other.sources())
    }

    /// Succeeds a generation: remembers who we were.
    ///
    /// * `accepted`: the identity that the consumer took last.
    pub(super) fn succeeding(mut self, former: &Self, accepted: Option<Identity>) -> Self {
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
    pub(crate) fn previous(&self, connection_limit: &Arc<ConnectionLimit>) -> Option<Arc<Self>> {
        let previous = self.previous.as_ref()?;
        if let Some(made) = self.fallback.load_full() {
            return Some(made);
        }
        let terms = Terms { identity: previous.clone(), ..(*self.terms).clone() };
        let made = self.under(self.number, terms, connection_limit);
        let made = Arc::new(Self { is_fallback: true, ..made });
        // Another delivery may have made it meanwhile, and opened connections.
        let former = self.fallback.compare_and_swap(&None::<Arc<Self>>, Some(made.clone()));
        Some(Guard::into_inner(former).unwrap_or(made))
    }

    /// Says of an identity that a consumer took whose it was; never 0.
    pub(crate) fn mark(&self) -> u64 {
        self.number * 2 + u64::from(self.is_fallback)
    }

    /// Closes what is idle, under either identity.
    pub(crate) fn close_idle(&self) {
        self.pool.clear();
        if let Some(fallback) = self.fallback.load_full() {
            fallback.pool.clear();
        }
    }

    /// Lets nothing start under this identity any more, if it is the previous one. Returns the
    /// generation that it was shown by.
    pub(crate) fn retire(&self, identity: &Identity) -> Option<Arc<Self>> {
        let fallback = self.fallback.load_full().filter(|it| it.identity() == identity)?;
        fallback.retired.store(true, Ordering::SeqCst);
        Some(fallback)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Whether payloads wait for the consumer's word.
    pub(crate) fn holds_payload(&self) -> bool {
        self.settings.hold_payload
    }

    pub(crate) fn signing(&self) -> Option<&StandardWebhooks> {
        self.settings.signing.as_ref()
    }

    /// What was said of this consumer's answers.
    pub(crate) fn status_retry(&self) -> &StatusRetry {
        &self.settings.status_retry
    }

    /// The files that its material was read from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        let Terms { identity, trust, pins, .. } = &*self.terms;
        let origins = [identity.origin(), trust.origin(), pins.as_ref().and_then(Pins::origin)];
        origins.into_iter().flatten().map(|origin| &origin.source)
    }

    /// The customer whose endpoints share a part of what the dispatcher has to give.
    pub(crate) fn owner(&self) -> &Arc<str> {
        &self.settings.owner
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.terms.identity
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.terms.trust
    }
}
