//! The options of an endpoint.

use crate::admission::{Rate, TurnLimits};
use crate::connection::MAX_BODY;
use crate::error::{Error, Retry, certain_secret};
use crate::material::identity::Identity;
use crate::material::pin::Pins;
use crate::material::signing::{Signatures, Signing};
use crate::material::trust::Trust;
use crate::net::Host;
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::retry::StatusRetry;
use crate::tls::MinTls;
use crate::verify::{CrlPolicy, checked_server_name, checked_uri};

/// The options of an endpoint. The choice of pins is required, even if it is none. The dispatcher's identity
/// and trust apply if the endpoint sets none.
///
/// ```
/// use webhook_mtls::{EndpointOptions, MinTls, Pins};
///
/// let pins = Pins::new(["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])?;
/// let options = EndpointOptions::new(Some(pins))
///     .min_tls(MinTls::V1_2)
///     .hold_payload(true)
///     .concurrency(2)?
///     .owner("customer-17")?;
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointOptions {
    pub(super) pins: PinChoice,
    pub(super) trust: Option<Trust>,
    pub(super) crl_policy: Option<CrlPolicy>,
    pub(super) identity: Option<Identity>,
    pub(super) min_tls: MinTls,
    pub(super) post_quantum: bool,
    pub(super) server_name: Option<Host>,
    pub(super) server_uri: Option<String>,
    pub(super) signing: Signatures,
    pub(super) hold_payload: bool,
    pub(super) response_excerpt: usize,
    pub(super) concurrency: usize,
    pub(super) rate: Option<Rate>,
    pub(super) owner: Option<String>,
    pub(super) status_retry: StatusRetry,
}

impl Default for EndpointOptions {
    /// Makes options without a choice of pins, which [`Dispatcher::endpoint`](crate::Dispatcher::endpoint)
    /// refuses.
    fn default() -> Self {
        Self {
            pins: PinChoice::Missing,
            trust: None,
            crl_policy: None,
            identity: None,
            min_tls: MinTls::V1_3,
            post_quantum: true,
            server_name: None,
            server_uri: None,
            signing: Signatures::default(),
            hold_payload: false,
            response_excerpt: 1024,
            concurrency: 8,
            rate: None,
            owner: None,
            status_retry: StatusRetry::default(),
        }
    }
}

/// The choice of pins. It is required, because no pins by oversight would look like no pins by decision.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PinChoice {
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

    /// Sets the certificates of this consumer that a CRL must cover, by default as the dispatcher's options say.
    pub fn crl_policy(mut self, policy: CrlPolicy) -> Self {
        self.crl_policy = Some(policy);
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

    /// Sets how each delivery is signed: by Standard Webhooks, by a token, or after a second call by both. A
    /// value replaces one of the same type.
    ///
    /// * `signing`: [`StandardWebhooks`](crate::StandardWebhooks), which refuses deliveries without an id, or
    ///   [`JwtBearer`](crate::JwtBearer), which refuses deliveries with a header `authorization`.
    pub fn signing(mut self, signing: impl Into<Signing>) -> Self {
        self.signing.set(signing.into());
        self
    }

    /// Sets the oldest TLS version to accept, by default TLS 1.3.
    pub fn min_tls(mut self, version: MinTls) -> Self {
        self.min_tls = version;
        self
    }

    /// Sets whether to offer the key exchange X25519MLKEM768, by default `true`. Without it, the first message
    /// fits into one packet, for a firewall that drops or resets connections with a larger one.
    pub fn post_quantum(mut self, offer: bool) -> Self {
        self.post_quantum = offer;
        self
    }

    /// Sets the name that the handshake asks for (SNI) and that the consumer's certificate must contain, by
    /// default the URL's host. The URL's host is still looked up, connected to, and sent as `host`.
    ///
    /// * `name`: a DNS name, or an IP address, which is not sent as SNI. Together with `server_uri`, the
    ///   certificate must contain both.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the text is neither.
    pub fn server_name(mut self, name: impl AsRef<str>) -> Result<Self, Error> {
        self.server_name = Some(checked_server_name(name.as_ref())?);
        Ok(self)
    }

    /// Sets the SAN URI that the consumer's certificate must contain, instead of the URL's host name.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless it is an absolute URI of printable ASCII, and a SPIFFE ID if its scheme is
    /// `spiffe`.
    pub fn server_uri(mut self, uri: impl Into<String>) -> Result<Self, Error> {
        self.server_uri = Some(checked_uri(uri.into())?);
        Ok(self)
    }

    /// Sets whether to hold the payload until the consumer answers the request head with 100 Continue, for
    /// at most one second.
    pub fn hold_payload(mut self, hold: bool) -> Self {
        self.hold_payload = hold;
        self
    }

    /// Sets how many bytes of a response's body receipts and errors show, by default 1024.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the size is above 65 536 bytes, which is as much as is read.
    pub fn response_excerpt(mut self, bytes: usize) -> Result<Self, Error> {
        if bytes > MAX_BODY {
            return Err(options::fault(
                "response_excerpt",
                format_args!("must be a whole number of bytes from 0 to {MAX_BODY}"),
            ));
        }
        self.response_excerpt = bytes;
        Ok(self)
    }

    /// Sets the most deliveries to this consumer at once, by default 8.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the count is 1 to 1 000 000.
    pub fn concurrency(mut self, count: usize) -> Result<Self, Error> {
        self.concurrency = options::count("concurrency", count)?;
        Ok(self)
    }

    /// Sets the most deliveries to this consumer in a second, by default without a limit. The deliveries of a
    /// tenth of a second may start together, so up to 10 a second they are evenly spaced. A further delivery
    /// waits in line, without a connection. One that would start after its deadline fails with `overloaded` at
    /// once.
    ///
    /// * `per_second`: the limit of each process. A probe counts as a delivery.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the number is 0.001 to 1 000 000.
    pub fn rate(mut self, per_second: f64) -> Result<Self, Error> {
        self.rate = Some(Rate::new(per_second)?);
        Ok(self)
    }

    /// Sets the owner of this endpoint, by default the consumer id. While other owners wait, the endpoints of
    /// one owner hold at most a quarter of `max_connections` and of the DNS lookups.
    ///
    /// * `owner`: 1 to 256 bytes without control characters.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the text is too long, has a control character, or is certainly a secret.
    pub fn owner(mut self, owner: impl Into<String>) -> Result<Self, Error> {
        let owner = owner.into();
        check_id("owner", &owner)?;
        self.owner = Some(owner);
        Ok(self)
    }

    /// Sets the retry verdict for statuses of this consumer. The dispatcher's rules apply to all others.
    ///
    /// * `rules`: pairs of a status (300 to 599, or `3xx`, `4xx`, `5xx`) and its verdict.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if a rule names another status, or one status twice.
    pub fn status_retry<S: Into<String>>(
        mut self,
        rules: impl IntoIterator<Item = (S, Retry)>,
    ) -> Result<Self, Error> {
        self.status_retry = StatusRetry::from_rules(rules)?;
        Ok(self)
    }

    pub(crate) fn turn_limits(&self) -> TurnLimits {
        TurnLimits { concurrency: self.concurrency, rate: self.rate }
    }
}

impl SetByName for EndpointOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "endpoint", name, value };
        match name {
            "min_tls" => {
                let given = value.text()?;
                let version = MinTls::from_name(&given)
                    .ok_or_else(|| Error::unknown_word(name, &given, &["1.3", "1.2"]))?;
                Ok(self.min_tls(version))
            }
            "crl_policy" => Ok(self.crl_policy(CrlPolicy::from_option(&value.text()?)?)),
            "post_quantum" => Ok(self.post_quantum(value.flag()?)),
            "hold_payload" => Ok(self.hold_payload(value.flag()?)),
            "response_excerpt" => self.response_excerpt(value.count_from(0)?),
            "server_name" => self.server_name(value.text()?),
            "server_uri" => self.server_uri(value.text()?),
            "concurrency" => self.concurrency(value.count()?),
            "rate" => self.rate(value.number()?),
            "owner" => self.owner(value.text()?),
            "status_retry" => self.status_retry(StatusRetry::rules(value)?),
            _ => Err(options::mistyped("endpoint", name)),
        }
    }
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

#[cfg(test)]
impl options::current::Current for EndpointOptions {
    fn current(&self, name: &str) -> String {
        use crate::options::current::or_unset;
        let has_rules = self.status_retry != StatusRetry::default();
        match name {
            "pins" => or_unset((self.pins != PinChoice::Missing).then_some(&()), "required"),
            "identity" => or_unset(self.identity.as_ref(), "the dispatcher's"),
            "trust" => or_unset(self.trust.as_ref(), "the dispatcher's"),
            "crl_policy" => self.crl_policy.map_or("the dispatcher's", CrlPolicy::name).to_owned(),
            "min_tls" => self.min_tls.name().to_owned(),
            "post_quantum" => self.post_quantum.to_string(),
            "server_name" => or_unset(self.server_name.as_ref(), "the URL's host"),
            "server_uri" => or_unset(self.server_uri.as_ref(), "none"),
            "hold_payload" => self.hold_payload.to_string(),
            "response_excerpt" => self.response_excerpt.to_string(),
            "signing" => or_unset((!self.signing.is_empty()).then_some(&()), "none"),
            "concurrency" => self.concurrency.to_string(),
            "rate" => {
                self.rate.map_or_else(|| "none".to_owned(), |rate| rate.per_second().to_string())
            }
            "owner" => or_unset(self.owner.as_ref(), "the consumer id"),
            "status_retry" => or_unset(has_rules.then_some(&()), "the dispatcher's"),
            other => panic!("an endpoint has no option {other}"),
        }
    }
}
