//! The verifier: one expectation for many chains.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::reload::MaterialReloader;
use super::{Expectation, Expected, PeerIdentity, verify};
use crate::clock::unix_seconds;
use crate::error::{Error, Form, Kind, Stage, certain_secret, key, shown};
use crate::event::{Event, EventQueue};
use crate::keystore::pem;
use crate::log::{LogRecord, LogSinks};
use crate::material::expiry::Expiry;
use crate::material::pin::Pins;
use crate::material::trust::Trust;
use crate::material::watch::CheckReason;
use crate::metrics::{Metrics, add_process_wide};
use crate::net::Host;
use crate::options::{self, SetByName, Setting, Unchecked};
use crate::verify::policy::{Authorization, CrlPolicy, Role, TenantRule, check_uri};

/// The conditions that a [`Verifier`] checks.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use webhook_mtls::verify::CrlPolicy;
/// use webhook_mtls::{Role, TenantRule, VerifierOptions};
/// # let lab = webhook_mtls::testing::Lab::start()?;
///
/// let options = VerifierOptions::new(Role::Client, lab.trust())
///     .tenant(TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}")?)
///     .crl_policy(CrlPolicy::IfPresent)
///     .strict_purpose(true)
///     .reload(Some(Duration::from_secs(60)))?;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct VerifierOptions {
    role: Role,
    trust: Trust,
    pins: Option<Pins>,
    tenant: Option<TenantRule>,
    authorization: Option<Authorization>,
    server_uri: Option<Arc<str>>,
    strict_purpose: bool,
    crl_policy: CrlPolicy,
    reload: Option<Duration>,
    expiry_warning: f64,
    log: LogSinks,
}

impl VerifierOptions {
    /// Accepts peers of this role with a path to these anchors.
    pub fn new(role: Role, trust: Trust) -> Self {
        Self {
            role,
            trust,
            pins: None,
            tenant: None,
            authorization: None,
            server_uri: None,
            strict_purpose: false,
            crl_policy: CrlPolicy::IfPresent,
            reload: Some(Duration::from_secs(10)),
            expiry_warning: 0.2,
            log: LogSinks::default(),
        }
    }

    /// Sets the keys that a peer may have, in addition to a valid chain.
    pub fn pins(mut self, pins: Pins) -> Self {
        self.pins = Some(pins);
        self
    }

    /// Sets the rule for the tenant. A peer without a tenant is refused.
    pub fn tenant(mut self, rule: TenantRule) -> Self {
        self.tenant = Some(rule);
        self
    }

    /// Sets the peers that are allowed.
    pub fn authorization(mut self, authorization: Authorization) -> Self {
        self.authorization = Some(authorization);
        self
    }

    /// Sets the SAN URI that a server's certificate must contain. Only for servers.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless it is an absolute URI of printable ASCII, and a SPIFFE ID if its scheme is
    /// `spiffe`.
    pub fn server_uri(mut self, uri: impl Into<String>) -> Result<Self, Error> {
        self.server_uri = Some(checked_uri(uri.into())?.into());
        Ok(self)
    }

    /// Sets whether to refuse a certificate without extendedKeyUsage. By default it passes.
    pub fn strict_purpose(mut self, strict: bool) -> Self {
        self.strict_purpose = strict;
        self
    }

    /// Sets the verdict on a certificate that no CRL covers. By default it passes.
    pub fn crl_policy(mut self, policy: CrlPolicy) -> Self {
        self.crl_policy = policy;
        self
    }

    /// Sets the interval at which the files of trust and pins are checked for changes, by default 10 s.
    /// With `None`, only [`Verifier::reload`] checks them.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` unless the duration is above zero and at most 24 hours.
    pub fn reload(mut self, interval: Option<Duration>) -> Result<Self, Error> {
        self.reload = interval.map(|interval| options::duration("reload", interval)).transpose()?;
        Ok(self)
    }

    /// Adds a sink of the log. It gets a record of each verification that fails, and of each event, on the
    /// thread that verifies or raises the event. No lock of the library is held. A sink must not block. A
    /// panic in it is caught and has no effect.
    pub fn log_to(mut self, sink: impl Fn(&LogRecord) + Send + Sync + 'static) -> Self {
        self.log.add(Arc::new(sink));
        self
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

impl SetByName for VerifierOptions {
    fn set(self, name: &str, value: Setting) -> Result<Self, Error> {
        let value = Unchecked { of: "verifier", name, value };
        match name {
            "strict_purpose" => Ok(self.strict_purpose(value.flag()?)),
            "server_uri" => self.server_uri(value.text()?),
            "crl_policy" => {
                let policy = CrlPolicy::from_option(&value.text()?)?;
                Ok(self.crl_policy(policy))
            }
            "reload" => self.reload(value.interval()?),
            "expiry_warning" => self.expiry_warning(value.number()?),
            _ => Err(options::mistyped("verifier", name)),
        }
    }
}

/// Checks the option `server_uri`: an absolute URI with an authority, and a SPIFFE ID if its scheme is
/// `spiffe`.
pub(crate) fn checked_uri(uri: String) -> Result<String, Error> {
    // Errors about peers show the URI, so it must not hold a password.
    if !uri.contains("://") || certain_secret(&uri).is_some() {
        return Err(options::fault("server_uri", "must be an absolute URI of printable ASCII"));
    }
    check_uri(&uri).map_err(|why| options::fault("server_uri", why))?;
    Ok(uri)
}

/// Parses the option `server_name`: a DNS name or an IP address.
///
/// Fails with `option_invalid`.
pub(crate) fn checked_server_name(name: &str) -> Result<Host, Error> {
    Host::named(name).map_err(|why| {
        let name = shown(name, Form::Host);
        Error::new(Kind::OptionInvalid, format!("option server_name {name} {why}"))
            .noting(key::OPTION, "server_name")
    })
}

/// Verifies the certificates of peers, also if another process terminates TLS. Cheap to clone, safe to
/// share.
///
/// The files of its trust and pins are checked once per `reload` interval, on a thread that a
/// verification starts and does not wait for.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::SystemTime;
/// use webhook_mtls::testing::{Lab, Leaf};
/// use webhook_mtls::{Kind, Role, TenantRule, Verifier, VerifierOptions};
///
/// let lab = Lab::start()?;
/// let rule = TenantRule::san_uri("spiffe://lab.test/tenant/{tenant}")?;
/// let options = VerifierOptions::new(Role::Client, lab.trust()).tenant(rule);
/// let verifier = Verifier::new(options)?;
///
/// let issued = lab.authority().issue(Leaf::client("acme"))?;
/// let peer = verifier.verify_chain(&issued.chain_der, None, SystemTime::now())?;
/// assert_eq!(peer.tenant(), Some("acme"));
///
/// let expired = lab.authority().issue(Leaf::client("acme").expired())?;
/// let error = verifier.verify_chain(&expired.chain_der, None, SystemTime::now()).unwrap_err();
/// assert_eq!(error.kind(), Kind::CertificateExpired);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Verifier {
    options: Arc<VerifierOptions>,
    reloader: Arc<MaterialReloader>,
}

impl Verifier {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if clients are verified without a tenant rule and without an
    /// authorization, because a certificate of the CA is not yet a permission. Fails so too if the
    /// trust was made by [`Trust::dangerous_public`].
    pub fn new(options: VerifierOptions) -> Result<Self, Error> {
        if options.role == Role::Client
            && options.tenant.is_none()
            && options.authorization.is_none()
        {
            return Err(options::fault("authorization", "or tenant is required to verify clients")
                .advising("Give a tenant rule, an allow list, a trust domain, or ca_members()."));
        }
        if options.trust.is_public() {
            return Err(options::fault("trust", "made by dangerous_public is only for endpoints")
                .advising("Verify peers with the private CA that issues their certificates."));
        }
        if options.role == Role::Client && options.server_uri.is_some() {
            return Err(options::fault("server_uri", "is for servers"));
        }
        let VerifierOptions { trust, pins, reload, log, .. } = &options;
        let reloader = MaterialReloader::new(trust, pins.as_ref(), *reload, log.clone());
        Ok(Self { options: Arc::new(options), reloader: Arc::new(reloader) })
    }

    /// Returns the role of the peers.
    #[doc(hidden)]
    pub fn role(&self) -> Role {
        self.options.role
    }

    /// Verifies a chain.
    ///
    /// * `chain`: PEM text or concatenated DER, leaf first; the trust's intermediates are added.
    /// * `server_name`: the expected DNS name or IP address. Required for servers unless `server_uri`
    ///   is set; not allowed for clients.
    /// * `at`: the instant of the verification. Dates of the chain, the anchors and the CRLs are all
    ///   compared with it.
    ///
    /// # Errors
    ///
    /// Fails with stage `verify` and a kind of the 4xx group, with `pem_invalid` or `option_invalid` if
    /// the arguments cannot be used, or with `trust_invalid` if every anchor has expired at that instant and
    /// the chain leads to none of them.
    pub fn verify(
        &self,
        chain: &[u8],
        server_name: Option<&str>,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        if chain.is_empty() {
            return self.verify_chain::<&[u8]>(&[], server_name, at);
        }
        let chain = pem::certificate_ders(chain, "chain").map_err(|error| error.at(Stage::Verify));
        let chain = chain.inspect_err(|error| self.account(Some(error)))?;
        self.verify_chain(&chain, server_name, at)
    }

    /// Verifies a chain of DER certificates, leaf first, as [`verify`](Self::verify) does.
    ///
    /// # Errors
    ///
    /// Fails with stage `verify` and a kind of the 4xx group, or with `option_invalid` if the server
    /// name cannot be used.
    pub fn verify_chain<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
        server_name: Option<&str>,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        self.judge(&chain, true, server_name, at)
    }

    /// Verifies a chain of DER certificates, leaf first. Counts and logs the verdict.
    ///
    /// * `chain_is_whole`: whether it has every certificate that the peer presented.
    pub(crate) fn judge(
        &self,
        chain: &[&[u8]],
        chain_is_whole: bool,
        server_name: Option<&str>,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        let verdict = self.verdict(chain, chain_is_whole, server_name, at);
        self.account(verdict.as_ref().err());
        verdict
    }

    /// Counts and logs a verification. A success is not logged: the application knows the peer.
    pub(crate) fn account(&self, error: Option<&Error>) {
        self.reloader.metrics.get().value.verified(error);
        if let Some(error) = error {
            self.options.log.write(|| error.log_record_of("verification"));
        }
    }

    fn verdict(
        &self,
        chain: &[&[u8]],
        chain_is_whole: bool,
        server_name: Option<&str>,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        let options = &*self.options;
        let material = self.reloader.current(options.expiry_warning);
        let server_name = match (options.role, server_name) {
            (Role::Client, Some(_)) => return Err(options::fault("server_name", "is for servers")),
            (Role::Server, None) if options.server_uri.is_none() => {
                return Err(options::fault("server_name", "is required to verify servers"));
            }
            (_, name) => name.map(checked_server_name).transpose()?,
        };
        let names = Expected::of_peer(server_name, options.server_uri.clone());
        let expected = Expectation {
            role: options.role,
            trust: &material.trust,
            names: &names,
            pins: material.pins.as_ref(),
            tenant: options.tenant.as_ref(),
            authorization: options.authorization.as_ref(),
            strict_purpose: options.strict_purpose,
            crl_policy: options.crl_policy,
            chain_is_whole,
            at: unix_seconds(at),
        };
        let peer = verify(chain, &expected).map_err(|error| match error.kind() {
            // No anchor is known because none is left, which is a fault of ours.
            Kind::IssuerUnknown if material.trust.exact_certificate().is_none() => {
                let outdated = material.trust.check_current(expected.at).err();
                outdated.unwrap_or_else(|| error.at(Stage::Verify))
            }
            _ => error.at(Stage::Verify),
        })?;
        self.reloader.report_unused(&material, peer.unused_crls());
        Ok(peer)
    }
}

impl Verifier {
    /// Checks all watched files now and uses their new content. Returns the events, as
    /// [`Dispatcher::reload`](crate::Dispatcher::reload) does. Blocks.
    pub fn reload(&self) -> Vec<Event> {
        self.reloader.check(CheckReason::OnDemand, self.options.expiry_warning)
    }

    /// Returns the expiry of anchors, intermediates and CRLs, the smallest fraction of lifetime first.
    ///
    /// # Errors
    ///
    /// Fails with `clock_implausible`.
    pub fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        self.reloader.expiries()
    }

    /// Returns the metrics of this verifier in this process. A forked child starts at zero.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        self.reloader.show(&mut metrics);
        add_process_wide(&mut metrics);
        metrics
    }

    /// Counts a request that the middleware of a binding has refused, by the kind of the error.
    #[doc(hidden)]
    pub fn count_refused_request(&self, kind: Kind) {
        self.reloader.metrics.get().value.refused_request(kind);
    }

    /// Calls `callback` for every event from now on, as
    /// [`Dispatcher::on_event`](crate::Dispatcher::on_event) does.
    pub fn on_event(&self, callback: impl Fn(&Event) + Send + Sync + 'static) {
        self.reloader.listeners.callback(Box::new(callback));
    }

    /// Returns a queue of every event from now on.
    pub fn events(&self) -> EventQueue {
        self.reloader.listeners.queue()
    }
}

/// Verifies one chain: [`Verifier::new`] and [`Verifier::verify`] in one call.
///
/// * `options`: the conditions that the peer must satisfy.
/// * `chain`, `server_name`, `at`: as for [`Verifier::verify`].
///
/// # Errors
///
/// Fails with `option_invalid` (stage `config`) or as [`Verifier::verify`] does.
pub fn verify_peer(
    options: VerifierOptions,
    chain: &[u8],
    server_name: Option<&str>,
    at: SystemTime,
) -> Result<PeerIdentity, Error> {
    Verifier::new(options)?.verify(chain, server_name, at)
}

#[cfg(test)]
impl options::current::Current for VerifierOptions {
    fn current(&self, name: &str) -> String {
        use crate::options::current::{millis, or_unset};
        match name {
            // `new` takes both.
            "role" | "trust" => "required".to_owned(),
            "pins" => or_unset(self.pins.as_ref(), "none"),
            "tenant" => or_unset(self.tenant.as_ref(), "none"),
            "authorization" => or_unset(self.authorization.as_ref(), "none"),
            "server_uri" => or_unset(self.server_uri.as_ref(), "none"),
            "strict_purpose" => self.strict_purpose.to_string(),
            "crl_policy" => self.crl_policy.name().to_owned(),
            "reload" => self.reload.map_or("0".to_owned(), millis),
            "expiry_warning" => self.expiry_warning.to_string(),
            other => panic!("a verifier has no option {other}"),
        }
    }
}
