//! `Verifier` and `verify_peer`: judging a chain outside any connection.

use std::time::SystemTime;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use webhook_mtls::limits::Limit;
use webhook_mtls::{Error, Role, VerifierOptions};

use crate::arguments::{
    bytes, flag, instant, is_bytes, many, noun, refuse_unknown, text, wrong_type,
};
use crate::border::guard;
use crate::error::Fault;
use crate::event::{Event, Expiry, events, expiries, listener};
use crate::options::{self, Take};
use crate::peer::PeerIdentity;
use crate::pins::Pins;
use crate::policy::{Authorization, TenantRule};
use crate::socket;
use crate::trust::Trust;

/// Verifies the certificates of peers, wherever their connection ends.
///
/// It is what the handshake runs. Safe to share between threads.
///
/// Args:
///     role: what the peers are, `client` or `server`.
///     trust: whom we believe.
///     pins: the keys a peer may have, beside a valid chain.
///     tenant: how a certificate names its tenant; a peer without one is refused.
///     authorization: which peers may pass; for clients, this or `tenant` must be given.
///     server_uri: the SAN URI that a server's certificate must carry, instead of a host name.
///     strict_purpose: whether a certificate without extendedKeyUsage is refused.
///     crl_policy: `if_present`, or `require` a CRL of every issuer.
///     reload: how often the files of trust and pins are looked at; 0 for only by `reload()`.
///     expiry_warning: the fraction of a lifetime left at which an expiry event comes first.
///
/// Raises:
///     ConfigError: `option_invalid`.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct Verifier(webhook_mtls::Verifier);

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(
        signature = (**keywords),
        text_signature = "(*, role, trust, pins=None, tenant=None, authorization=None, server_uri=None, strict_purpose=None, crl_policy=None, reload=None, expiry_warning=None)"
    )]
    fn new(keywords: Option<&Bound<'_, PyDict>>) -> Result<Self, Fault> {
        guard(|| Ok(Self(made(keywords)?)))
    }

    /// Judges a chain.
    ///
    /// Args:
    ///     chain: PEM text or concatenated DER as bytes-like, or a sequence of DER certificates;
    ///         leaf first. The trust's intermediates are added.
    ///     server_name: the DNS name or IP address that was asked for; required for servers unless
    ///         a SAN URI is expected, refused for clients.
    ///     at: the instant to judge at, an aware datetime; now if it is left out.
    ///
    /// Returns:
    ///     The peer, with evidence `asserted`.
    ///
    /// Raises:
    ///     PeerRefused: a kind of the 4xx group, or `pem_invalid`.
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (chain, *, server_name = None, at = None, **unknown),
        text_signature = "($self, chain, *, server_name=None, at=None)"
    )]
    fn verify(
        &self,
        chain: &Bound<'_, PyAny>,
        server_name: Option<&Bound<'_, PyAny>>,
        at: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<PeerIdentity, Fault> {
        guard(|| {
            refuse_unknown(unknown, "chain, server_name, at")?;
            judge(&self.0, chain, server_name, at)
        })
    }

    /// Judges the peer of a TLS connection of the `ssl` module, now.
    ///
    /// Before Python 3.13, `ssl` shows the peer's own certificate alone: give its CAs to the trust
    /// as intermediates.
    ///
    /// Args:
    ///     socket: an `ssl.SSLSocket` or `ssl.SSLObject` whose handshake is complete.
    ///     server_name: as `verify` takes it; the socket's `server_hostname` if it is left out.
    ///
    /// Returns:
    ///     The peer, with evidence `socket`: it has proved that it holds the key.
    ///
    /// Raises:
    ///     PeerRefused: a kind of the 4xx group; `evidence_missing` where the handshake is not
    ///         complete, the socket is closed, or the peer showed no certificate.
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (socket, *, server_name = None, **unknown),
        text_signature = "($self, socket, *, server_name=None)"
    )]
    fn verify_socket(
        &self,
        socket: &Bound<'_, PyAny>,
        server_name: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<PeerIdentity, Fault> {
        guard(|| {
            refuse_unknown(unknown, "socket, server_name")?;
            let seen = socket::handshake(socket, server_name)?;
            Ok(PeerIdentity(socket.py().detach(|| self.0.verify_handshake(&seen))?))
        })
    }

    /// Looks at the watched files of trust and pins now, and believes what they hold.
    ///
    /// Returns:
    ///     What there is to tell; an unusable file is `rotation_failed`, and what was believed
    ///     before stays.
    fn reload(&self, py: Python<'_>) -> Result<Vec<Event>, Fault> {
        guard(|| Ok(events(py.detach(|| self.0.reload()))))
    }

    /// What expires: anchors, intermediates and CRLs, the least of its lifetime left first.
    ///
    /// Raises:
    ///     ConfigError: `clock_implausible`.
    fn expiries(&self) -> Result<Vec<Expiry>, Fault> {
        guard(|| expiries(self.0.expiries()))
    }

    /// Has every event from now on handed to a callback, as `Dispatcher.on_event` does.
    ///
    /// Args:
    ///     callback: takes an `Event`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    fn on_event(&self, callback: &Bound<'_, PyAny>) -> Result<(), Fault> {
        guard(|| {
            self.0.on_event(listener(callback)?);
            Ok(())
        })
    }
}

/// Judges one chain: a `Verifier` for one use.
///
/// Args:
///     chain, server_name, at: as `Verifier.verify` takes them.
///     role and the rest: as `Verifier` takes them.
///
/// Raises:
///     PeerRefused: a kind of the 4xx group, or `pem_invalid`.
///     ConfigError: `option_invalid`.
#[pyfunction]
#[pyo3(
    signature = (chain, *, server_name = None, at = None, **keywords),
    text_signature = "(chain, *, role, trust, server_name=None, at=None, pins=None, tenant=None, authorization=None, server_uri=None, strict_purpose=None, crl_policy=None, reload=None, expiry_warning=None)"
)]
pub fn verify_peer(
    chain: &Bound<'_, PyAny>,
    server_name: Option<&Bound<'_, PyAny>>,
    at: Option<&Bound<'_, PyAny>>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> Result<PeerIdentity, Fault> {
    guard(|| judge(&made(keywords)?, chain, server_name, at))
}

/// Turns the memory of signatures off or on again, for the whole process.
///
/// A switch for measurements. It is on at the start; what was remembered before it went off counts
/// again when it is back.
///
/// Args:
///     enabled: whether a signature once found good stays good. Verdicts are made anew each time.
///
/// Raises:
///     ConfigError: `option_invalid`.
#[pyfunction]
pub fn remember_signatures(enabled: &Bound<'_, PyAny>) -> Result<(), Fault> {
    guard(|| {
        webhook_mtls::remember_signatures(flag("enabled", enabled)?);
        Ok(())
    })
}

fn made(keywords: Option<&Bound<'_, PyDict>>) -> Result<webhook_mtls::Verifier, Fault> {
    let (mut role, mut trust, mut others) = (None, None, Vec::new());
    for (name, value) in options::said(keywords)? {
        match &*name {
            "role" => role = Some(role_of(&value)?),
            "trust" => {
                let given: &Trust = noun(&name, "a Trust", &value)?;
                trust = Some(given.0.clone());
            }
            _ => others.push((name, value)),
        }
    }
    let unsaid = |name: &str, expected: &str| Error::wrong_type(name, expected, "left out");
    let role = role.ok_or_else(|| unsaid("role", "client or server"))?;
    let trust = trust.ok_or_else(|| unsaid("trust", "a Trust"))?;
    let mut chosen = VerifierOptions::new(role, trust);
    for (name, value) in &others {
        options::offer(&mut chosen, name, value)?;
    }
    Ok(webhook_mtls::Verifier::new(chosen)?)
}

fn role_of(value: &Bound<'_, PyAny>) -> Result<Role, Fault> {
    let expected = "client or server";
    let name = text("role", value).map_err(|_| wrong_type("role", expected, value))?;
    Role::from_name(&name).ok_or_else(|| Error::wrong_type("role", expected, "another text").into())
}

impl Take for VerifierOptions {
    const NOUN: &'static str = "verifier";

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> Result<(), Fault> {
        match name {
            "pins" => {
                let pins: &Pins = noun(name, "Pins or None", value)?;
                *self = self.clone().pins(pins.0.clone());
            }
            "tenant" => {
                let rule: &TenantRule = noun(name, "a TenantRule", value)?;
                *self = self.clone().tenant(rule.0.clone());
            }
            "authorization" => {
                let rule: &Authorization = noun(name, "an Authorization", value)?;
                *self = self.clone().authorization(rule.0.clone());
            }
            _ => self.set(name, options::setting(Self::NOUN, name, value)?)?,
        }
        Ok(())
    }
}

fn judge(
    verifier: &webhook_mtls::Verifier,
    chain: &Bound<'_, PyAny>,
    server_name: Option<&Bound<'_, PyAny>>,
    at: Option<&Bound<'_, PyAny>>,
) -> Result<PeerIdentity, Fault> {
    let server_name = server_name.map(|value| text("server_name", value)).transpose()?;
    let server_name = server_name.as_deref();
    let at = at.map_or_else(|| Ok(SystemTime::now()), |value| instant("at", value))?;
    let py = chain.py();
    let judged = if is_bytes(chain) {
        let whole = bytes("chain", chain, Limit::chain())?;
        py.detach(|| verifier.verify(&whole, server_name, at))
    } else {
        if chain.is_instance_of::<PyString>() || chain.try_iter().is_err() {
            return Err(wrong_type("chain", "bytes or a sequence of bytes", chain));
        }
        let certificates = many("chain", chain, Limit::chain())?;
        py.detach(|| verifier.verify_chain(&certificates, server_name, at))
    };
    Ok(PeerIdentity(judged?))
}
