//! The verifier: one expectation for many chains.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::ServerName;

use super::reload::MaterialReloader;
use super::{Expectation, PeerIdentity, verify};
use crate::clock::unix_seconds;
use crate::error::{Error, Form, Kind, Stage, certain_secret, shown};
use crate::event::{Event, EventQueue};
use crate::keystore::pem;
use crate::material::expiry::Expiry;
use crate::material::pin::Pins;
use crate::material::trust::Trust;
use crate::material::watch::CheckReason;
use crate::options::{self, Setting};
use crate::verify::policy::{Authorization, CrlPolicy, Role, TenantRule, check_uri};

/// The conditions that a [`Verifier`] checks.
#[derive(Clone, Debug)]
pub struct VerifierOptions {
    role: Role,
    trust: Trust,
    pins: Option<Pins>,
    tenant: Option<TenantRule>,
    authorization: Option<Authorization>,
    server_uri: Option<String>,
    strict_purpose: bool,
    crl_policy: CrlPolicy,
    reload: Option<Duration>,
    expiry_warning: f64,
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

    /// Sets an option by its name in the table. Fails with `option_invalid`.
    pub fn set(&mut self, name: &str, value: Setting) -> Result<(), Error> {
        match (name, value) {
            ("strict_purpose", Setting::Flag(strict)) => self.strict_purpose = strict,
            ("server_uri", Setting::Text(uri)) => self.server_uri = Some(checked_uri(uri)?),
            ("crl_policy", Setting::Text(policy)) => {
                self.crl_policy = CrlPolicy::from_name(&policy)
                    .ok_or_else(|| options::fault(name, "must be if_present or require"))?;
            }
            ("reload", value) => self.reload = options::interval(name, value)?,
            ("expiry_warning", value) => self.expiry_warning = options::fraction(name, value)?,
            _ => return Err(options::mistyped("verifier", name)),
        }
        Ok(())
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

/// Verifies the certificates of peers, also if another process terminates TLS. Cheap to clone, safe to
/// share.
///
/// The files of its trust and pins are checked once per `reload` interval, on a thread that a
/// verification starts and does not wait for.
#[derive(Clone, Debug)]
pub struct Verifier {
    options: Arc<VerifierOptions>,
    reloader: Arc<MaterialReloader>,
}

impl Verifier {
    /// Checks the options. Fails with `option_invalid` if clients are verified without a tenant rule
    /// and without an authorization, because a certificate of the CA is not yet a permission. Fails so
    /// too if the trust was made by [`Trust::dangerous_public`].
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
        let reloader = MaterialReloader::new(&options.trust, options.pins.as_ref(), options.reload);
        Ok(Self { options: Arc::new(options), reloader: Arc::new(reloader) })
    }

    pub(super) fn role(&self) -> Role {
        self.options.role
    }

    /// Verifies a chain.
    ///
    /// * `chain`: PEM text or concatenated DER, leaf first; the trust's intermediates are added.
    /// * `server_name`: the expected DNS name or IP address. Required for servers unless `server_uri`
    ///   is set; not allowed for clients.
    /// * `at`: the instant of the verification.
    ///
    /// Fails with stage `verify` and a kind of the 4xx group, or with `pem_invalid` or
    /// `option_invalid` if the arguments cannot be used.
    pub fn verify(
        &self,
        chain: &[u8],
        server_name: Option<&str>,
        at: SystemTime,
    ) -> Result<PeerIdentity, Error> {
        if chain.is_empty() {
            return self.verify_chain::<&[u8]>(&[], server_name, at);
        }
        let chain =
            pem::certificate_ders(chain, "chain").map_err(|error| error.at(Stage::Verify))?;
        self.verify_chain(&chain, server_name, at)
    }

    /// Verifies a chain of DER certificates, leaf first, as [`verify`](Self::verify) does.
    pub fn verify_chain<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
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
            (_, name) => name.map(parse_server_name).transpose()?,
        };
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        let expected = Expectation {
            role: options.role,
            trust: &material.trust,
            server_name: server_name.as_ref(),
            server_uri: options.server_uri.as_deref(),
            pins: material.pins.as_ref(),
            tenant: options.tenant.as_ref(),
            authorization: options.authorization.as_ref(),
            strict_purpose: options.strict_purpose,
            crl_policy: options.crl_policy,
            at: unix_seconds(at),
        };
        let peer = verify(&chain, &expected).map_err(|error| error.at(Stage::Verify))?;
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
    /// Fails with `clock_implausible`.
    pub fn expiries(&self) -> Result<Vec<Expiry>, Error> {
        self.reloader.expiries()
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

fn parse_server_name(name: &str) -> Result<ServerName<'static>, Error> {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    ServerName::try_from(bare.to_owned()).map_err(|_| {
        let name = shown(name, Form::Host);
        let why = format!("option server_name {name} is neither a DNS name nor an IP address");
        Error::new(Kind::OptionInvalid, why).noting("option", "server_name")
    })
}

/// Verifies one chain: [`Verifier::new`] and [`Verifier::verify`] in one call.
///
/// * `options`: the conditions that the peer must satisfy.
/// * `chain`, `server_name`, `at`: as for [`Verifier::verify`].
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
