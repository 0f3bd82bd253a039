//! The options of an endpoint.

use crate::error::{Error, Retry, certain_secret};
use crate::material::identity::Identity;
use crate::material::pin::Pins;
use crate::material::signing::StandardWebhooks;
use crate::material::trust::Trust;
use crate::options::{self, Setting};
use crate::retry::StatusRetry;
use crate::tls::MinTls;
use crate::verify::checked_uri;

/// The options of an endpoint. The choice of pins is required, even if it is none. The dispatcher's identity
/// and trust apply if the endpoint sets none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointOptions {
    pub(super) pins: PinChoice,
    pub(super) trust: Option<Trust>,
    pub(super) identity: Option<Identity>,
    pub(super) min_tls: Option<MinTls>,
    pub(super) server_uri: Option<String>,
    pub(super) signing: Option<StandardWebhooks>,
    pub(super) hold_payload: bool,
    concurrency: Option<usize>,
    pub(super) owner: Option<String>,
    pub(super) status_retry: StatusRetry,
}

/// The default number of concurrent deliveries to one endpoint.
const CONCURRENCY: usize = 8;

/// The choice of pins. It is required, because no pins by oversight would look like no pins by decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum PinChoice {
    #[default]
    Missing,
    Declined,
    Pinned(Pins),
}

impl EndpointOptions {
    /// Creates options with the consumer's pins. `None` is the explicit choice to rely on the CA alone.
    pub fn new(pins: Option<Pins>) -> Self {
        let pins = pins.map_or(PinChoice::Declined, PinChoice::Pinned);
        Self { pins, ..Self::default() }
    }

    /// Sets the consumer's pins.
    pub fn pins(mut self, pins: Pins) -> Self {
        self.pins = PinChoice::Pinned(pins);
        self
    }

    /// Accepts any key that the consumer's CA certifies.
    pub fn no_pins(mut self) -> Self {
        self.pins = PinChoice::Declined;
        self
    }

    /// Sets the trust for this consumer.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Sets the default trust, used if the endpoint sets none.
    pub(crate) fn or_trust(mut self, trust: Option<Trust>) -> Self {
        self.trust = self.trust.or(trust);
        self
    }

    /// Sets the identity to present to this consumer.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the secrets that sign each delivery. The endpoint then refuses deliveries without an id.
    pub fn signing(mut self, signing: StandardWebhooks) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Sets the owner of this endpoint, by default the consumer id. While other owners wait, the endpoints of
    /// one owner hold at most a quarter of `max_connections` and of the DNS lookups.
    ///
    /// * `owner`: 1 to 256 bytes without control characters.
    ///
    /// Fails with `option_invalid`.
    pub fn owner(mut self, owner: impl Into<String>) -> Result<Self, Error> {
        self.owner = Some(checked_owner(owner.into())?);
        Ok(self)
    }

    /// Sets the retry verdict for statuses of this consumer. The dispatcher's rules apply to all others.
    ///
    /// * `rules`: pairs of a status (300 to 599, or `3xx`, `4xx`, `5xx`) and its verdict.
    ///
    /// Fails with `option_invalid`.
    pub fn status_retry<S: Into<String>>(
        mut self,
        rules: impl IntoIterator<Item = (S, Retry)>,
    ) -> Result<Self, Error> {
        self.set("status_retry", StatusRetry::setting(rules))?;
        Ok(self)
    }

    /// Sets an option by its name in the table of options. Fails with `option_invalid`.
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

/// Checks a consumer id or an owner id. Errors and events contain these ids, so a text that is certainly a
/// secret is refused.
///
/// Fails with `option_invalid`.
pub(crate) fn check_id(name: &str, id: &str) -> Result<(), Error> {
    if !(1..=256).contains(&id.len()) || id.chars().any(char::is_control) {
        return Err(options::fault(name, "must be 1 to 256 bytes without control characters"));
    }
    match certain_secret(id) {
        Some(what) => Err(options::fault(name, format_args!("looks like {what}"))
            .advising("Give a name that may appear in logs.")),
        None => Ok(()),
    }
}
