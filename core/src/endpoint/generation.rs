//! A generation: the material of an endpoint at one time, and the connections opened with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwapOption, Guard};

use super::options::{EndpointOptions, PinChoice};
use crate::clock;
use crate::connection::pool::{ConnectionLimit, Pool};
use crate::error::Error;
use crate::error::spelling::no_pins;
use crate::material::identity::Identity;
use crate::material::jwt_bearer::JwtBearer;
use crate::material::pin::Pins;
use crate::material::signing::Signatures;
use crate::material::source::Source;
use crate::material::trust::Trust;
use crate::material::watch::{Watch, Watched};
use crate::net::Url;
use crate::options;
use crate::retry::StatusRetry;
use crate::tls::Terms;
use crate::verify::{CrlPolicy, Expected};

/// The complete material of an endpoint at one time, with its own pool.
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) url: Url,
    pub(crate) terms: Arc<Terms>,
    pub(crate) pool: Pool,
    settings: RequestSettings,
    /// The watched files of its material. Empty once the endpoint no longer uses this generation.
    watched: ArcSwapOption<Vec<Watched>>,
    /// The previous identity, for a consumer that does not accept the current one yet.
    previous: Option<Identity>,
    /// This generation with the previous identity. It is built on first use.
    fallback: ArcSwapOption<Generation>,
    is_fallback: bool,
    /// The identity was retired: no request starts on this generation.
    retired: AtomicBool,
}

/// The settings of requests and responses, and the owner. They do not affect connections.
#[derive(Clone, PartialEq)]
struct RequestSettings {
    owner: Arc<str>,
    signing: Signatures,
    hold_payload: bool,
    response_excerpt: usize,
    status_retry: StatusRetry,
}

/// The dispatcher's options that apply to endpoints without their own.
#[derive(Clone, Copy)]
pub(crate) struct Defaults<'a> {
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) trust: Option<&'a Trust>,
    pub(crate) crl_policy: CrlPolicy,
}

impl Generation {
    /// Builds a generation from options. Fails with `option_invalid` or `url_invalid`.
    ///
    /// * `consumer`: the consumer id, which is the default owner.
    /// * `defaults`: the dispatcher's options that apply if the endpoint sets none.
    pub(crate) fn new(
        number: u64,
        consumer: &str,
        url: &str,
        options: EndpointOptions,
        defaults: Defaults<'_>,
        connection_limit: &Arc<ConnectionLimit>,
        watch: &Watch,
    ) -> Result<Self, Error> {
        let pins = match options.pins {
            PinChoice::Pinned(pins) => Some(pins),
            PinChoice::Declined => None,
            PinChoice::Missing => {
                let advice = format!(
                    "Give the consumer's pins, or rely on its CA alone and say so: {}.",
                    no_pins()
                );
                return Err(options::fault("pins", "is missing").advising(advice));
            }
        };
        let own = |noun: &str| {
            options::fault(noun, "is missing: neither the endpoint nor its dispatcher has one")
        };
        let trust = options.trust.as_ref().or(defaults.trust).ok_or_else(|| own("trust"))?;
        let identity =
            options.identity.as_ref().or(defaults.identity).ok_or_else(|| own("identity"))?;
        if trust.is_public() && pins.is_none() {
            return Err(options::fault("trust", "from dangerous_public requires pins")
                .advising("Pin the consumer's keys, or trust its private CA."));
        }
        let trust = watch.trust(trust);
        trust.check_current(clock::now()?)?;
        let url = Url::parse(url)?;
        let terms = Terms {
            identity: watch.identity(identity),
            trust,
            pins: pins.as_ref().map(|pins| watch.pins(pins)),
            server_name: options.server_name.as_ref().unwrap_or(&url.host).clone(),
            expected: Expected::of_consumer(
                &url.host,
                options.server_name.as_ref(),
                options.server_uri.as_deref(),
            ),
            crl_policy: options.crl_policy.unwrap_or(defaults.crl_policy),
            min_tls: options.min_tls,
            post_quantum: options.post_quantum,
            witness: None,
        };
        let (signing, status_retry) = (renewed(&options.signing, watch), options.status_retry);
        let owner = options.owner.as_deref().unwrap_or(consumer).into();
        let settings = RequestSettings {
            owner,
            signing,
            hold_payload: options.hold_payload,
            response_excerpt: options.response_excerpt,
            status_retry,
        };
        let made = Self::of(number, url, terms, settings, connection_limit);
        Ok(made.watched_by(watch))
    }

    /// Builds a generation with the current contents of the files. Returns `None` if they have not changed.
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
        let signing = renewed(&self.settings.signing, watch);
        if terms == *former && signing == self.settings.signing {
            return None;
        }
        let settings = RequestSettings { signing, ..self.settings.clone() };
        Some(self.under(number, terms, settings, connection_limit).watched_by(watch))
    }

    /// Builds a generation with the same URL.
    fn under(
        &self,
        number: u64,
        terms: Terms,
        settings: RequestSettings,
        connection_limit: &Arc<ConnectionLimit>,
    ) -> Self {
        Self::of(number, self.url.clone(), terms, settings, connection_limit)
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

    /// Watches the files of this generation until it is dropped or released.
    fn watched_by(self, watch: &Watch) -> Self {
        let Terms { identity, trust, pins, .. } = &*self.terms;
        let signing = &self.settings.signing;
        let watched = [
            watch.watch_identity(identity),
            watch.watch_trust(trust),
            pins.as_ref().and_then(|pins| watch.watch_pins(pins)),
            signing.token.as_ref().and_then(|token| watch.watch_signing_key(token.key())),
        ];
        let watched: Vec<Watched> = watched.into_iter().flatten().collect();
        if !watched.is_empty() {
            self.watched.store(Some(Arc::new(watched)));
        }
        self
    }

    /// Stops watching the files on behalf of this generation.
    pub(super) fn release(&self) {
        self.watched.store(None);
    }

    /// Whether both generations have the same URL, terms, settings and source files. Equal material from other
    /// files differs, because it can change at another time.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.url == other.url
            && *self.terms == *other.terms
            && self.settings == other.settings
            && self.sources().eq(other.sources())
    }

    /// Makes this the successor of a generation: keeps the previous identity.
    ///
    /// * `accepted`: the identity that the consumer accepted last.
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

    /// This generation with the previous identity and a pool of its own, or `None` if there is no previous
    /// identity. It serves as long as this generation does.
    pub(crate) fn previous(&self, connection_limit: &Arc<ConnectionLimit>) -> Option<Arc<Self>> {
        let previous = self.previous.as_ref()?;
        if let Some(made) = self.fallback.load_full() {
            return Some(made);
        }
        let terms = Terms { identity: previous.clone(), ..(*self.terms).clone() };
        let made = self.under(self.number, terms, self.settings.clone(), connection_limit);
        let made = Arc::new(Self { is_fallback: true, ..made });
        // Another delivery may have built it meanwhile, and opened connections in its pool.
        let former = self.fallback.compare_and_swap(&None::<Arc<Self>>, Some(made.clone()));
        Some(Guard::into_inner(former).unwrap_or(made))
    }

    /// Identifies this generation and its use as a fallback in [`IdentityRollout`](super::IdentityRollout).
    /// Never 0.
    pub(crate) fn mark(&self) -> u64 {
        self.number * 2 + u64::from(self.is_fallback)
    }

    /// Closes the idle connections under both identities.
    pub(crate) fn close_idle(&self) {
        self.pool.clear();
        if let Some(fallback) = self.fallback.load_full() {
            fallback.pool.clear();
        }
    }

    /// Stops all starts under this identity if it is the previous one. Returns the generation that presented
    /// it.
    pub(crate) fn retire(&self, identity: &Identity) -> Option<Arc<Self>> {
        let fallback = self.fallback.load_full().filter(|it| it.identity() == identity)?;
        fallback.retired.store(true, Ordering::SeqCst);
        Some(fallback)
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// Whether payloads are held until the consumer accepts the head.
    pub(crate) fn holds_payload(&self) -> bool {
        self.settings.hold_payload
    }

    /// The most bytes of a response's body that receipts and errors show.
    pub(crate) fn response_excerpt(&self) -> usize {
        self.settings.response_excerpt
    }

    /// How the deliveries are signed.
    pub(crate) fn signing(&self) -> &Signatures {
        &self.settings.signing
    }

    /// The endpoint's retry rules for statuses.
    pub(crate) fn status_retry(&self) -> &StatusRetry {
        &self.settings.status_retry
    }

    /// The sources that the material was read from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        let Terms { identity, trust, pins, .. } = &*self.terms;
        let origins = [
            identity.origin(),
            trust.origin(),
            pins.as_ref().and_then(Pins::origin),
            self.settings.signing.token.as_deref().and_then(JwtBearer::origin),
        ];
        origins.into_iter().flatten().map(|origin| &origin.source)
    }

    /// The owner: its endpoints share one part of the dispatcher's permits and lookups.
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

/// Returns the same ways to sign, with the current keys of their files.
fn renewed(signing: &Signatures, watch: &Watch) -> Signatures {
    let token = signing.token.as_ref();
    let token = token.map(|token| Arc::new(token.with_key(watch.signing_key(token.key()))));
    Signatures { standard: signing.standard.clone(), token }
}
