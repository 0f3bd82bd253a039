//! The options of a dispatcher and of a delivery: setters for the table of options.

use std::sync::Arc;
use std::time::Duration;

use super::{CancelToken, Trace};
use crate::admission::CircuitLimits;
use crate::connection::Deadlines;
use crate::connection::observer::Observers;
use crate::error::{Error, Form, Retry, shown};
use crate::log::LogSinks;
use crate::material::identity::Identity;
use crate::material::trust::Trust;
use crate::net::{Egress, Proxy, Route};
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::retry::StatusRetry;
use crate::verify::CrlPolicy;

/// The options of a [`Dispatcher`](crate::Dispatcher). An endpoint or a delivery can override some.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use webhook_mtls::{Dispatcher, DispatcherOptions, Egress, Retry};
/// # use webhook_mtls::testing::Lab;
/// # let lab = Lab::start()?;
///
/// let options = DispatcherOptions::new()
///     .identity(lab.identity())
///     .trust(lab.trust())
///     .egress(Egress::public().allow(["10.20.0.0/16"])?)
///     .connect_timeout(Duration::from_secs(2))?
///     .max_connections(64)?
///     .status_retry([("409", Retry::Never), ("5xx", Retry::Later)])?;
/// let dispatcher = Dispatcher::new(options)?;
///
/// let refused = DispatcherOptions::new().connect_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!(refused.context()["option"], "connect_timeout");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct DispatcherOptions {
    pub(super) identity: Option<Identity>,
    pub(super) trust: Option<Trust>,
    pub(super) crl_policy: CrlPolicy,
    pub(super) route: Route,
    pub(super) proxy_credentials: Option<String>,
    pub(super) proxy_by_name: bool,
    pub(super) deadlines: Deadlines,
    pub(super) max_connections: usize,
    pub(super) max_waiting: usize,
    pub(super) circuit: CircuitLimits,
    pub(super) status_retry: StatusRetry,
    pub(super) reload: Option<Duration>,
    pub(super) expiry_warning: f64,
    pub(super) observers: Observers,
    pub(super) log: LogSinks,
    pub(super) metrics_endpoints: usize,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            identity: None,
            trust: None,
            crl_policy: CrlPolicy::IfPresent,
            route: Route::default(),
            proxy_credentials: None,
            proxy_by_name: false,
            deadlines: Deadlines {
                connect: Duration::from_secs(5),
                handshake: Duration::from_secs(5),
                write: Duration::from_secs(10),
                response: Duration::from_secs(15),
                total: Duration::from_secs(30),
            },
            max_connections: 256,
            max_waiting: 4096,
            circuit: CircuitLimits {
                failures: 5,
                open: Duration::from_secs(30),
                ceiling: Duration::from_secs(600),
            },
            status_retry: StatusRetry::default(),
            reload: Some(Duration::from_secs(10)),
            expiry_warning: 0.2,
            observers: Observers::default(),
            log: LogSinks::default(),
            metrics_endpoints: 0,
        }
    }
}

impl DispatcherOptions {
    /// Makes the default options: no identity, no trust, egress `public`, a total deadline of 30 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the identity for endpoints without their own.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the trust for endpoints without their own.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Sets the certificates that a CRL must cover, for endpoints without their own policy. By default no
    /// CRL is required.
    pub fn crl_policy(mut self, policy: CrlPolicy) -> Self {
        self.crl_policy = policy;
        self
    }

    /// Sets the proxy for all connections. The dispatcher still resolves names and applies the egress
    /// policy itself.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.route.proxy = Some(proxy);
        self
    }

    /// Sets the egress policy: the addresses that the dispatcher may connect to.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.route.egress = egress;
        self
    }

    /// Sets `user:password` for the proxy, if its URL must not contain them.
    /// [`Dispatcher::new`](crate::Dispatcher::new) fails with `option_invalid` if there is no proxy, if
    /// the proxy has credentials already, or if the text has no colon.
    pub fn proxy_credentials(mut self, credentials: impl Into<String>) -> Self {
        self.proxy_credentials = Some(credentials.into());
        self
    }

    /// Sets whether CONNECT asks the proxy for the consumer's name instead of a checked address, by default
    /// `false`. The same as [`Proxy::by_name`], which says what it gives up.
    /// [`Dispatcher::new`](crate::Dispatcher::new) fails with `option_invalid` if there is no proxy.
    pub fn proxy_by_name(mut self, by_name: bool) -> Self {
        self.proxy_by_name = by_name;
        self
    }

    /// Sets the total deadline of one delivery, by default 30 s. It bounds the other four timeouts.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.deadlines.total = options::duration("timeout", timeout)?;
        Ok(self)
    }

    /// Sets the time limit to resolve the host and open a TCP connection, by default 5 s.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn connect_timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.deadlines.connect = options::duration("connect_timeout", timeout)?;
        Ok(self)
    }

    /// Sets the time limit of the TLS handshake, by default 5 s.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.deadlines.handshake = options::duration("handshake_timeout", timeout)?;
        Ok(self)
    }

    /// Sets the time limit to write the request to the kernel, by default 10 s.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn write_timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.deadlines.write = options::duration("write_timeout", timeout)?;
        Ok(self)
    }

    /// Sets the time limit from the last byte of the request to the response head, by default 15 s.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn response_timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.deadlines.response = options::duration("response_timeout", timeout)?;
        Ok(self)
    }

    /// Sets the most open connections, including idle ones, by default 256.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the count is 1 to 1 000 000.
    pub fn max_connections(mut self, count: usize) -> Result<Self, Error> {
        self.max_connections = options::count("max_connections", count)?;
        Ok(self)
    }

    /// Sets the most deliveries that may wait for a turn or a connection, by default 4096. One owner has
    /// at most a quarter of them. Beyond the limit a delivery fails with `overloaded`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the count is 1 to 1 000 000.
    pub fn max_waiting(mut self, count: usize) -> Result<Self, Error> {
        self.max_waiting = options::count("max_waiting", count)?;
        Ok(self)
    }

    /// Sets how many failures in a row before a request open the circuit of an endpoint, by default 5. 0
    /// opens none.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the count is above 1 000 000.
    pub fn circuit_failures(mut self, count: usize) -> Result<Self, Error> {
        let count = options::count_from(0, "circuit_failures", count)?;
        self.circuit.failures = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(self)
    }

    /// Sets for how long a circuit opens first, by default 30 s. The time doubles each time the consumer
    /// fails again, and is up to a tenth shorter or longer at random.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn circuit_open(mut self, pause: Duration) -> Result<Self, Error> {
        self.circuit.open = options::duration("circuit_open", pause)?;
        Ok(self)
    }

    /// Sets the longest time for which a circuit opens, by default 10 minutes.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn circuit_ceiling(mut self, pause: Duration) -> Result<Self, Error> {
        self.circuit.ceiling = options::duration("circuit_ceiling", pause)?;
        Ok(self)
    }

    /// Overrides whether a retry can help after a status other than 2xx. Without an override, 3xx is
    /// `after_repair`, 410, 413, 414 and 431 are `never`, and all others are `later`.
    ///
    /// * `rules`: a status from 300 to 599, or `3xx`, `4xx`, `5xx`, with its [`Retry`].
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

    /// Sets the interval at which the files of the material are checked for changes, by default 10 s.
    /// With `None`, only [`Dispatcher::reload`](crate::Dispatcher::reload) checks them.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn reload(mut self, interval: Option<Duration>) -> Result<Self, Error> {
        self.reload = interval.map(|interval| options::duration("reload", interval)).transpose()?;
        Ok(self)
    }

    /// Sets the remaining fraction of a lifetime at which the first expiry event is raised, by default
    /// 0.2. More follow at 0.1, 0.05 and 0.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the fraction is above 0 and below 1.
    pub fn expiry_warning(mut self, fraction: f64) -> Result<Self, Error> {
        self.expiry_warning = options::fraction("expiry_warning", fraction)?;
        Ok(self)
    }
}

impl SetByName for DispatcherOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "dispatcher", name, value };
        match name {
            "timeout" => self.timeout(value.duration()?),
            "connect_timeout" => self.connect_timeout(value.duration()?),
            "handshake_timeout" => self.handshake_timeout(value.duration()?),
            "write_timeout" => self.write_timeout(value.duration()?),
            "response_timeout" => self.response_timeout(value.duration()?),
            "max_connections" => self.max_connections(value.count()?),
            "max_waiting" => self.max_waiting(value.count()?),
            "circuit_failures" => self.circuit_failures(value.count_from(0)?),
            "circuit_open" => self.circuit_open(value.duration()?),
            "circuit_ceiling" => self.circuit_ceiling(value.duration()?),
            "metrics_endpoints" => self.metrics_endpoints(value.count_from(0)?),
            "crl_policy" => Ok(self.crl_policy(CrlPolicy::from_option(&value.text()?)?)),
            "proxy" => Ok(self.proxy(Proxy::new(&value.text()?)?)),
            "proxy_credentials" => Ok(self.proxy_credentials(value.text()?)),
            "proxy_by_name" => Ok(self.proxy_by_name(value.flag()?)),
            "reload" => self.reload(value.interval()?),
            "expiry_warning" => self.expiry_warning(value.number()?),
            "egress" => Ok(self.egress(Egress::preset(&value.text()?)?)),
            "status_retry" => self.status_retry(StatusRetry::rules(value)?),
            _ => Err(options::mistyped("dispatcher", name)),
        }
    }
}

impl DispatcherOptions {
    /// Combines options that were set separately. Fails with `option_invalid`.
    pub(super) fn finish(mut self) -> Result<Self, Error> {
        if let Some(credentials) = self.proxy_credentials.take() {
            let fault = |why: &str| options::fault("proxy_credentials", why);
            let proxy = self.route.proxy.take().ok_or_else(|| fault("need a proxy"))?;
            let (user, password) =
                credentials.split_once(':').ok_or_else(|| fault("must be user:password"))?;
            if proxy.has_credentials() {
                return Err(fault("are in the proxy's URL already"));
            }
            self.route.proxy = Some(proxy.credentials(user, password)?);
        }
        if self.proxy_by_name {
            let fault = || options::fault("proxy_by_name", "needs a proxy");
            let proxy = self.route.proxy.take().ok_or_else(fault)?;
            self.route.proxy = Some(proxy.by_name(true));
        }
        Ok(self)
    }
}

impl std::fmt::Debug for DispatcherOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DispatcherOptions")
            .field("identity", &self.identity)
            .field("trust", &self.trust)
            .field("route", &self.route)
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

/// The options of one delivery: its id, its headers and its limits.
///
/// ```
/// use std::time::Duration;
/// use webhook_mtls::DeliverOptions;
///
/// let options = DeliverOptions::new()
///     .id("evt_2f9c")
///     .headers(vec![("x-trace".into(), "4bf92f35".into())])
///     .timeout(Duration::from_secs(10))?;
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct DeliverOptions {
    pub(super) id: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel: Option<CancelToken>,
    pub(super) trace: Option<Arc<Trace>>,
}

impl DeliverOptions {
    /// Makes options with no id, `application/json`, no further headers and the dispatcher's timeout.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the event's id, sent as `webhook-id`. Use the same id for every delivery of the same event.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the content type of the payload.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets further request headers.
    pub fn headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the total deadline of this delivery, by default the dispatcher's.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.timeout = Some(options::duration("timeout", timeout)?);
        Ok(self)
    }

    /// Cancels the delivery when `token` is canceled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Traces this delivery, and adds headers. A header that the caller has set stays as it is.
    #[doc(hidden)]
    pub fn traced(mut self, trace: Trace, headers: Vec<(String, String)>) -> Self {
        self.trace = Some(Arc::new(trace));
        for (name, value) in headers {
            if !self.headers.iter().any(|(set, _)| set.eq_ignore_ascii_case(&name)) {
                self.headers.push((name, value));
            }
        }
        self
    }
}

impl SetByName for DeliverOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "deliver", name, value };
        match name {
            "id" => Ok(self.id(value.text()?)),
            "content_type" => Ok(self.content_type(value.text()?)),
            "headers" => Ok(self.headers(value.pairs()?)),
            "timeout" => self.timeout(value.duration()?),
            _ => Err(options::mistyped("deliver", name)),
        }
    }
}

impl std::fmt::Debug for DeliverOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Header values may be credentials, so only names are shown. They are escaped, because they were
        // not checked yet.
        let names = self.headers.iter().map(|(name, _)| shown(name, Form::Header));
        f.debug_struct("DeliverOptions")
            .field("headers", &format_args!("[{}]", names.collect::<Vec<_>>().join(", ")))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod current {
    use super::{DeliverOptions, DispatcherOptions};
    use crate::dispatcher::request::DEFAULT_CONTENT_TYPE;
    use crate::net::Egress;
    use crate::options::current::{Current, millis, or_unset};
    use crate::retry::StatusRetry;

    impl Current for DispatcherOptions {
        fn current(&self, name: &str) -> String {
            let is_public = self.route.egress == Egress::public();
            let has_rules = self.status_retry != StatusRetry::default();
            match name {
                "identity" => or_unset(self.identity.as_ref(), "none"),
                "trust" => or_unset(self.trust.as_ref(), "none"),
                "crl_policy" => self.crl_policy.name().to_owned(),
                "egress" => or_unset((!is_public).then_some(&()), "public"),
                "proxy" => or_unset(self.route.proxy.as_ref(), "none"),
                "proxy_credentials" => or_unset(self.proxy_credentials.as_ref(), "none"),
                "proxy_by_name" => self.proxy_by_name.to_string(),
                "timeout" => millis(self.deadlines.total),
                "connect_timeout" => millis(self.deadlines.connect),
                "handshake_timeout" => millis(self.deadlines.handshake),
                "write_timeout" => millis(self.deadlines.write),
                "response_timeout" => millis(self.deadlines.response),
                "max_connections" => self.max_connections.to_string(),
                "max_waiting" => self.max_waiting.to_string(),
                "circuit_failures" => self.circuit.failures.to_string(),
                "circuit_open" => millis(self.circuit.open),
                "circuit_ceiling" => millis(self.circuit.ceiling),
                "metrics_endpoints" => self.metrics_endpoints.to_string(),
                "status_retry" => or_unset(has_rules.then_some(&()), "none"),
                "reload" => self.reload.map_or("0".to_owned(), millis),
                "expiry_warning" => self.expiry_warning.to_string(),
                other => panic!("the dispatcher has no option {other}"),
            }
        }
    }

    impl Current for DeliverOptions {
        fn current(&self, name: &str) -> String {
            match name {
                "id" => or_unset(self.id.as_ref(), "none"),
                "content_type" => {
                    self.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE).to_owned()
                }
                "headers" => or_unset(self.headers.first(), "none"),
                "timeout" => self.timeout.map_or("the dispatcher's".to_owned(), millis),
                other => panic!("a delivery has no option {other}"),
            }
        }
    }
}
