//! The options of a dispatcher and of a delivery: setters for the table of options.

use std::time::Duration;

use super::CancelToken;
use crate::connection::Deadlines;
use crate::error::{Error, Form, Retry, shown};
use crate::material::identity::Identity;
use crate::material::trust::Trust;
use crate::net::{Egress, Proxy, Route};
use crate::options::{self, Setting};
use crate::retry::StatusRetry;

/// The options of a [`Dispatcher`](crate::Dispatcher). An endpoint or a delivery can override some.
#[derive(Clone)]
pub struct DispatcherOptions {
    pub(super) identity: Option<Identity>,
    pub(super) trust: Option<Trust>,
    pub(super) route: Route,
    pub(super) proxy_credentials: Option<String>,
    pub(super) deadlines: Deadlines,
    pub(super) max_connections: usize,
    pub(super) max_waiting: usize,
    pub(super) status_retry: StatusRetry,
    pub(super) reload: Option<Duration>,
    pub(super) expiry_warning: f64,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            identity: None,
            trust: None,
            route: Route::default(),
            proxy_credentials: None,
            deadlines: Deadlines {
                connect: Duration::from_secs(5),
                handshake: Duration::from_secs(5),
                write: Duration::from_secs(10),
                response: Duration::from_secs(15),
                total: Duration::from_secs(30),
            },
            max_connections: 256,
            max_waiting: 4096,
            status_retry: StatusRetry::default(),
            reload: Some(Duration::from_secs(10)),
            expiry_warning: 0.2,
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

    /// Sets the total deadline of one delivery. Fails with `option_invalid` unless it is finite and
    /// above zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.set("timeout", Setting::Millis(timeout.as_secs_f64() * 1000.0))?;
        Ok(self)
    }

    /// Overrides whether a retry can help after a status other than 2xx. Without an override, 410, 413,
    /// 414 and 431 are `never` and all others `later`, as in the table of the README.
    ///
    /// * `rules`: a status from 300 to 599, or `3xx`, `4xx`, `5xx`, with its [`Retry`].
    ///
    /// Fails with `option_invalid`.
    pub fn status_retry<S: Into<String>>(
        mut self,
        rules: impl IntoIterator<Item = (S, Retry)>,
    ) -> Result<Self, Error> {
        self.set("status_retry", StatusRetry::setting(rules))?;
        Ok(self)
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        let deadline = match name {
            "timeout" => &mut self.deadlines.total,
            "connect_timeout" => &mut self.deadlines.connect,
            "handshake_timeout" => &mut self.deadlines.handshake,
            "write_timeout" => &mut self.deadlines.write,
            "response_timeout" => &mut self.deadlines.response,
            "max_connections" | "max_waiting" => {
                let Setting::Number(number) = value else {
                    return Err(options::mistyped("dispatcher", name));
                };
                let count = options::count(name, number)?;
                match name {
                    "max_connections" => self.max_connections = count,
                    _ => self.max_waiting = count,
                }
                return Ok(());
            }
            "proxy" | "proxy_credentials" => {
                let Setting::Text(text) = value else {
                    return Err(options::mistyped("dispatcher", name));
                };
                match name {
                    "proxy" => self.route.proxy = Some(Proxy::new(&text)?),
                    _ => self.proxy_credentials = Some(text),
                }
                return Ok(());
            }
            "reload" => {
                self.reload = options::interval(name, value)?;
                return Ok(());
            }
            "expiry_warning" => {
                self.expiry_warning = options::fraction(name, value)?;
                return Ok(());
            }
            "egress" => {
                let Setting::Text(preset) = value else {
                    return Err(options::mistyped("dispatcher", name));
                };
                self.route.egress = Egress::preset(&preset)?;
                return Ok(());
            }
            "status_retry" => {
                self.status_retry = StatusRetry::read("dispatcher", name, &value)?;
                return Ok(());
            }
            _ => return Err(options::mistyped("dispatcher", name)),
        };
        let Setting::Millis(millis) = value else {
            return Err(options::mistyped("dispatcher", name));
        };
        *deadline = options::duration(name, millis)?;
        Ok(())
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
#[derive(Clone, Default)]
pub struct DeliverOptions {
    pub(super) id: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel: Option<CancelToken>,
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

    /// Sets the total deadline of this delivery. Fails with `option_invalid` unless it is finite and
    /// above zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.set("timeout", Setting::Millis(timeout.as_secs_f64() * 1000.0))?;
        Ok(self)
    }

    /// Cancels the delivery when `token` is canceled.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        match (name, value) {
            ("id", Setting::Text(id)) => self.id = Some(id),
            ("content_type", Setting::Text(content_type)) => self.content_type = Some(content_type),
            ("headers", Setting::Pairs(headers)) => self.headers = headers,
            ("timeout", Setting::Millis(millis)) => {
                self.timeout = Some(options::duration(name, millis)?);
            }
            _ => return Err(options::mistyped("deliver", name)),
        }
        Ok(())
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
