//! `Hop`, and the arguments of `Verifier.verify_forwarded`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};
use webhook_mtls::Error;
use webhook_mtls::forwarded::{self, Dialect, MAX_LINES, Remote};

use crate::arguments::{noun, text, texts, wrong_type};
use crate::boundary::guard;
use crate::error::BindingError;
use crate::pins::Pins;
use crate::recipe;

/// A proxy that is believed when it forwards a client certificate. Made by its class methods.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct Hop(pub forwarded::Hop);

#[pymethods]
impl Hop {
    /// Believes the TCP peers with an address in these networks.
    ///
    /// Everything in them that can reach the application is believed: name the proxies, and not
    /// the whole network.
    ///
    /// Args:
    ///     name: 1 to 64 characters of `A-Z a-z 0-9 . _ -`; the peer and errors show it.
    ///     networks: addresses or CIDRs, at least one; none may contain every address.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    ///
    /// >>> Hop.address("edge", "10.0.0.0/24").kind
    /// 'address'
    #[classmethod]
    #[pyo3(signature = (name, *networks))]
    fn address(
        _cls: &Bound<'_, PyType>,
        name: &Bound<'_, PyAny>,
        networks: &Bound<'_, PyTuple>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let networks = texts("networks", networks.as_any())?;
            Ok(Self(forwarded::Hop::address(&text("name", name)?, networks)?))
        })
    }

    /// Believes requests with a secret in a header, which the proxy sets on every request in place
    /// of what a client sends. The secret is compared in constant time.
    ///
    /// Args:
    ///     name: as for `address`.
    ///     header: the name of the header: letters, digits and hyphens.
    ///     value: the secret: 16 to 512 printable ASCII characters. No error shows it.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[classmethod]
    fn secret(
        _cls: &Bound<'_, PyType>,
        name: &Bound<'_, PyAny>,
        header: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let (name, header) = (text("name", name)?, text("header", header)?);
            Ok(Self(forwarded::Hop::secret(&name, &header, &text("value", value)?)?))
        })
    }

    /// Believes the TLS peers with one of these pins. The application ends the TLS of the proxy,
    /// verifies it with `Verifier.verify_socket`, and passes the `spki_pin` as `remote`.
    ///
    /// Args:
    ///     name: as for `address`.
    ///     pins: the pins of the proxy.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[classmethod]
    fn certificate(
        _cls: &Bound<'_, PyType>,
        name: &Bound<'_, PyAny>,
        pins: &Bound<'_, PyAny>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            let given: &Pins = noun("pins", "Pins", pins)?;
            Ok(Self(forwarded::Hop::certificate(&text("name", name)?, given.0.clone())?))
        })
    }

    /// Believes the peers of a Unix socket. The permissions of its file must admit only the proxy.
    ///
    /// Args:
    ///     name: as for `address`.
    ///
    /// Raises:
    ///     ConfigError: `option_invalid`.
    #[classmethod]
    fn unix(_cls: &Bound<'_, PyType>, name: &Bound<'_, PyAny>) -> Result<Self, BindingError> {
        guard(|| Ok(Self(forwarded::Hop::unix(&text("name", name)?)?)))
    }

    /// The name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// How the proxy is recognized: `address`, `secret`, `certificate` or `unix`.
    #[getter]
    fn kind(&self) -> &str {
        self.0.kind()
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__(_slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(recipe::not_pickled("a Hop may hold a secret: make it in the process that uses it"))
    }

    fn __repr__(&self) -> String {
        format!("<Hop {} by {}>", self.0.name(), self.0.kind())
    }
}

/// Reads the name of a dialect.
pub fn dialect(value: &Bound<'_, PyAny>) -> Result<Dialect, BindingError> {
    Ok(Dialect::named(&text("dialect", value)?)?)
}

/// Reads what the transport says of its peer.
pub fn remote(value: Option<&Bound<'_, PyAny>>) -> Result<Option<Remote>, BindingError> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
    Ok(Some(Remote::parse(&text("remote", value)?)?))
}

/// The name and the value of a header line.
pub type Line = (Vec<u8>, Vec<u8>);

/// Reads header lines: pairs of str or bytes. More lines than the core accepts are not read.
pub fn headers(value: &Bound<'_, PyAny>) -> Result<Vec<Line>, BindingError> {
    let expected = "a sequence of (name, value) pairs with every header line";
    if value.is_instance_of::<PyDict>() {
        let seen = "a dict, which hides a second line";
        return Err(Error::wrong_type("headers", expected, seen).into());
    }
    let lines = value.try_iter().map_err(|_| wrong_type("headers", expected, value))?;
    let mut pairs = Vec::new();
    for (at, line) in lines.take(MAX_LINES + 1).enumerate() {
        let line = line?;
        let pair: Option<(Bound<'_, PyAny>, Bound<'_, PyAny>)> = line.extract().ok();
        let read = pair.and_then(|(name, value)| Some((octets(&name)?, octets(&value)?)));
        let Some(read) = read else {
            let seen = "something else";
            let wanted = "a pair of str or bytes";
            return Err(Error::wrong_item("headers", at + 1, wanted, seen).into());
        };
        pairs.push(read);
    }
    Ok(pairs)
}

/// Returns the bytes of a name or a value. A lone surrogate becomes a character that no name and no
/// certificate has.
fn octets(value: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Some(bytes.as_bytes().to_vec());
    }
    let text = value.cast::<PyString>().ok()?;
    Some(text.to_string_lossy().into_owned().into_bytes())
}
