//! `Verifier` and `verify_peer`: verification of a chain without a connection of this library.

use std::time::SystemTime;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::SetByName as _;
use webhook_mtls::forwarded::Dialect;
use webhook_mtls::{Error, Kind, Role, VerifierOptions};

use crate::arguments::{flag, instant, noun, reject_unknown, text, wrong_type};
use crate::boundary::guard;
use crate::certificates::{self, Chain};
use crate::error::BindingError;
use crate::event::{Event, Expiry, events, expiries, listener};
use crate::hop::{self, Hop};
use crate::json;
use crate::metrics::metrics_text;
use crate::options::{self, SetOption};
use crate::peer::PeerIdentity;
use crate::pins::Pins;
use crate::policy::{Authorization, TenantRule};
use crate::recipe::{self, Made};
use crate::socket;
use crate::trust::Trust;

/// Verifies the certificates of peers. The connection may end in another program.
///
/// It runs the checks of a handshake of this library. It is safe to share between threads.
///
/// Args:
// generated: begin arguments verifier
///     role: the role of the peers: client or server.
///     trust: the trust for the peers' certificates.
///     pins: the keys that a peer may have.
///     tenant: the rule by which a certificate names its tenant. The role client requires this
///         or an authorization.
///     authorization: the peers that are allowed. The role client requires this or a tenant
///         rule.
///     server_uri: the SAN URI that a server's certificate must contain.
///     strict_purpose: whether to refuse a certificate without extendedKeyUsage. By default
///         False.
///     crl_policy: the certificates of a peer that a CRL must cover: if_present (none), require
///         (all but the anchor) or require_leaf. By default `if_present`.
///     reload: the interval at which the files of trust and pins are checked for changes. 0
///         checks only in reload(). In seconds, or a timedelta; by default 10.
///     expiry_warning: the remaining fraction of a lifetime at which the first expiry event is
///         raised. More follow at 0.1, 0.05 and 0. By default 0.2.
// generated: end
///
/// Raises:
///     ConfigError: `option_invalid`.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Verifier(pub webhook_mtls::Verifier);

#[pymethods]
impl Verifier {
    #[new]
    #[pyo3(
        signature = (**keywords),
        // generated: begin text_signature (*, {verifier})
        text_signature = "(*, role, trust, pins=None, tenant=None, authorization=None, server_uri=None, strict_purpose=None, crl_policy=None, reload=None, expiry_warning=None)"
        // generated: end
    )]
    fn new(keywords: Option<&Bound<'_, PyDict>>) -> Result<Self, BindingError> {
        guard(|| Ok(Self(build(keywords)?)))
    }

    /// Verifies a chain.
    ///
    /// Args:
    ///     chain: PEM text or concatenated DER, str or bytes-like; a certificate of `cryptography`
    ///         or `ssl`; or a sequence of these, leaf first. The trust's intermediates are added.
    ///     server_name: the DNS name or IP address that the client connected to; required for
    ///         servers unless a SAN URI is expected, rejected for clients.
    ///     at: the time of the verification, an aware datetime; now by default.
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
    ) -> Result<PeerIdentity, BindingError> {
        guard(|| {
            reject_unknown(unknown, "chain, server_name, at")?;
            verify_chain(&self.0, chain, server_name, at)
        })
    }

    /// Verifies the peer of a TLS connection of the `ssl` module at the current time.
    ///
    /// A session that was resumed has only the peer's own certificate: add the CAs of the peer to
    /// the trust as intermediates, or turn off session tickets (`context.num_tickets = 0`, and
    /// `ssl.OP_NO_TICKET` for TLS 1.2).
    ///
    /// Args:
    ///     socket: an `ssl.SSLSocket` or `ssl.SSLObject` whose handshake is complete.
    ///     server_name: as for `verify`; by default the socket's `server_hostname`.
    ///
    /// Returns:
    ///     The peer, with evidence `socket`: the handshake proved that it holds the key.
    ///
    /// Raises:
    ///     PeerRefused: a kind of the 4xx group; `evidence_missing` if the handshake is not
    ///         complete, the socket is closed, or the peer presented no certificate.
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
    ) -> Result<PeerIdentity, BindingError> {
        guard(|| {
            reject_unknown(unknown, "socket, server_name")?;
            let handshake = socket::handshake(socket, server_name)?;
            let peer = socket.py().detach(|| self.0.verify_handshake(&handshake))?;
            Ok(PeerIdentity(Made::Live(peer)))
        })
    }

    /// Verifies the client certificate that a proxy forwards in the headers of a request.
    ///
    /// Most proxies forward the leaf alone: give the trust the intermediates.
    ///
    /// Args:
    ///     headers: every header line of the request as it arrived, repeats included: pairs of name
    ///         and value, each str or bytes, such as `scope["headers"]` of ASGI. Not a dict.
    ///     dialect: how the proxy writes the certificate.
    ///     hop: the proxy that is believed.
    ///     remote: the peer of the transport itself: an IP address without a port, `unix`, or the
    ///         pin of the proxy's verified certificate. Never an address from a header. Only a
    ///         secret hop needs none.
    ///     at: the time of the verification, an aware datetime; now by default.
    ///
    /// Returns:
    ///     The peer, with evidence `forwarded` and the name of the hop.
    ///
    /// Raises:
    ///     PeerRefused: `hop_untrusted` if the request does not come from the hop, or if a client
    ///         could have written the headers; `evidence_missing` if the hop forwards no readable
    ///         certificate; otherwise as for `verify`.
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (headers, *, dialect = None, hop = None, remote = None, at = None, **unknown),
        text_signature = "($self, headers, *, dialect, hop, remote=None, at=None)"
    )]
    fn verify_forwarded(
        &self,
        headers: &Bound<'_, PyAny>,
        dialect: Option<&Bound<'_, PyAny>>,
        hop: Option<&Bound<'_, PyAny>>,
        remote: Option<&Bound<'_, PyAny>>,
        at: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<PeerIdentity, BindingError> {
        guard(|| {
            reject_unknown(unknown, "headers, dialect, hop, remote, at")?;
            let (dialect, hop) = forwarding(dialect, hop)?;
            let remote = hop::remote(remote)?;
            let at = at.map_or_else(|| Ok(SystemTime::now()), |value| instant("at", value))?;
            let lines = hop::headers(headers)?;
            let verify = || self.0.verify_forwarded(&lines, dialect, &hop.0, remote, at);
            Ok(PeerIdentity(Made::Live(headers.py().detach(verify)?)))
        })
    }

    /// Checks the arguments of `verify_forwarded` that middleware has before any request.
    #[pyo3(name = "_check_forwarding")]
    fn check_forwarding(
        &self,
        dialect: Option<&Bound<'_, PyAny>>,
        hop: Option<&Bound<'_, PyAny>>,
    ) -> Result<(), BindingError> {
        guard(|| {
            forwarding(dialect, hop)?;
            Ok(self.0.check_forwarding()?)
        })
    }

    /// Counts a request that middleware has refused, by the name of the kind.
    #[pyo3(name = "_count_refused_request")]
    fn count_refused_request(&self, kind: &str) -> Result<(), BindingError> {
        guard(|| {
            let kind = Kind::from_name(kind)
                .ok_or_else(|| Error::wrong_type("kind", "a kind", "another text"))?;
            self.0.count_refused_request(kind);
            Ok(())
        })
    }

    /// Checks the watched files of the trust and the pins now, and uses their new content.
    ///
    /// Returns:
    ///     The events. An unusable file is `rotation_failed`, and its previous content remains in
    ///     use.
    fn reload(&self, py: Python<'_>) -> Result<Vec<Event>, BindingError> {
        guard(|| Ok(events(py.detach(|| self.0.reload()))))
    }

    /// Lists when the anchors, intermediates and CRLs expire, the smallest fraction of lifetime
    /// left first.
    ///
    /// Raises:
    ///     ConfigError: `clock_implausible`.
    fn expiries(&self) -> Result<Vec<Expiry>, BindingError> {
        guard(|| expiries(self.0.expiries()))
    }

    /// Returns the metrics of this verifier in this process. A forked child starts at zero.
    ///
    /// Returns:
    ///     A dict that can be serialized as JSON: for each name, `type`, `unit`, `help`, `labels`,
    ///     `combine` and `samples`. A sample has `labels` and `value`, or `count`, `sum` and `buckets`.
    fn metrics<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, BindingError> {
        guard(|| Ok(json::to_python(py, &self.0.metrics().to_json())?))
    }

    /// Returns the metrics as the text of one response to a scrape.
    ///
    /// Args:
    ///     format: `prometheus` (text format 0.0.4) or `openmetrics` (1.0).
    ///     others: dispatchers and verifiers of this process whose metrics are added.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[pyo3(
        signature = (format = None, *, others = None),
        text_signature = "($self, format=\"prometheus\", *, others=())"
    )]
    fn metrics_text(
        &self,
        format: Option<&Bound<'_, PyAny>>,
        others: Option<&Bound<'_, PyAny>>,
    ) -> Result<String, BindingError> {
        guard(|| metrics_text(self.0.metrics(), format, others))
    }

    /// Registers a callback for all later events, as `Dispatcher.on_event` does.
    ///
    /// Args:
    ///     callback: a callable that takes an `Event`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    fn on_event(&self, callback: &Bound<'_, PyAny>) -> Result<(), BindingError> {
        guard(|| {
            self.0.on_event(listener(callback)?);
            Ok(())
        })
    }

    fn __repr__(&self) -> String {
        format!("<Verifier of {}s>", self.0.role().name())
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled(
            "a Verifier watches files and has callbacks: make it in the process that uses it, from \
             its Trust and rules, which can be pickled",
        ))
    }
}

/// Verifies one chain with a temporary `Verifier`.
///
/// Args:
///     chain, server_name, at: as for `Verifier.verify`.
///     role and the rest: as for `Verifier`.
///
/// Raises:
///     PeerRefused: a kind of the 4xx group, or `pem_invalid`.
///     ConfigError: `option_invalid`.
#[pyfunction]
#[pyo3(
    signature = (chain, *, server_name = None, at = None, **keywords),
    // generated: begin text_signature (chain, *, server_name=None, at=None, {verifier})
    text_signature = "(chain, *, server_name=None, at=None, role, trust, pins=None, tenant=None, authorization=None, server_uri=None, strict_purpose=None, crl_policy=None, reload=None, expiry_warning=None)"
    // generated: end
)]
pub fn verify_peer(
    chain: &Bound<'_, PyAny>,
    server_name: Option<&Bound<'_, PyAny>>,
    at: Option<&Bound<'_, PyAny>>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> Result<PeerIdentity, BindingError> {
    guard(|| verify_chain(&build(keywords)?, chain, server_name, at))
}

/// Turns the signature cache of the whole process on or off, for measurements.
///
/// It is on by default. Entries from before it was turned off count again when it is turned on.
///
/// Args:
///     enabled: whether a signature that was found valid is not checked again. Each verification
///         still makes a new decision.
///
/// Raises:
///     ConfigError: `option_invalid`.
#[pyfunction]
pub fn remember_signatures(enabled: &Bound<'_, PyAny>) -> Result<(), BindingError> {
    guard(|| {
        webhook_mtls::verify::remember_signatures(flag("enabled", enabled)?);
        Ok(())
    })
}

fn build(keywords: Option<&Bound<'_, PyDict>>) -> Result<webhook_mtls::Verifier, BindingError> {
    let (mut role, mut trust, mut others) = (None, None, Vec::new());
    for (name, value) in options::keyword_values(keywords)? {
        match &*name {
            "role" => role = Some(role_of(&value)?),
            "trust" => {
                let given: &Trust = noun(&name, "a Trust", &value)?;
                trust = Some(given.0.clone());
            }
            _ => others.push((name, value)),
        }
    }
    let missing = |name: &str, expected: &str| Error::wrong_type(name, expected, "left out");
    let role = role.ok_or_else(|| missing("role", "client or server"))?;
    let trust = trust.ok_or_else(|| missing("trust", "a Trust"))?;
    let mut chosen = VerifierOptions::new(role, trust);
    for (name, value) in &others {
        chosen = options::set_keyword(chosen, name, value)?;
    }
    Ok(webhook_mtls::Verifier::new(chosen)?)
}

/// Reads the dialect and the hop, which are both required.
fn forwarding<'a>(
    dialect: Option<&Bound<'_, PyAny>>,
    hop: Option<&'a Bound<'_, PyAny>>,
) -> Result<(Dialect, &'a Hop), BindingError> {
    let left_out = |name, expected| Error::wrong_type(name, expected, "left out");
    let dialect = dialect.ok_or_else(|| left_out("dialect", "given"))?;
    let hop: &Hop = noun("hop", "a Hop", hop.ok_or_else(|| left_out("hop", "a Hop"))?)?;
    Ok((hop::dialect(dialect)?, hop))
}

fn role_of(value: &Bound<'_, PyAny>) -> Result<Role, BindingError> {
    let expected = "client or server";
    let name = text("role", value).map_err(|_| wrong_type("role", expected, value))?;
    let words = ["client", "server"];
    Role::from_name(&name).ok_or_else(|| Error::unknown_word("role", &name, &words).into())
}

impl SetOption for VerifierOptions {
    const NOUN: &'static str = "verifier";

    fn with_option(self, name: &str, value: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        match name {
            "pins" => {
                let pins: &Pins = noun(name, "Pins or None", value)?;
                Ok(self.pins(pins.0.clone()))
            }
            "tenant" => {
                let rule: &TenantRule = noun(name, "a TenantRule", value)?;
                Ok(self.tenant(rule.0.clone()))
            }
            "authorization" => {
                let rule: &Authorization = noun(name, "an Authorization", value)?;
                Ok(self.authorization(rule.0.clone()))
            }
            _ => Ok(self.set(name, options::setting(Self::NOUN, name, value)?)?),
        }
    }
}

fn verify_chain(
    verifier: &webhook_mtls::Verifier,
    chain: &Bound<'_, PyAny>,
    server_name: Option<&Bound<'_, PyAny>>,
    at: Option<&Bound<'_, PyAny>>,
) -> Result<PeerIdentity, BindingError> {
    let server_name = server_name.map(|value| text("server_name", value)).transpose()?;
    let server_name = server_name.as_deref();
    let at = at.map_or_else(|| Ok(SystemTime::now()), |value| instant("at", value))?;
    let py = chain.py();
    let chain = certificates::chain("chain", chain)?;
    let outcome = py.detach(|| match &chain {
        Chain::Text(text) => verifier.verify(text, server_name, at),
        Chain::Ders(ders) => verifier.verify_chain(ders, server_name, at),
    });
    Ok(PeerIdentity(Made::Live(outcome?)))
}
