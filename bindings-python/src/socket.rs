//! Reads the handshake of a socket of Python's `ssl` module. The core verifies it.

use pyo3::exceptions::{PyAttributeError, PyOSError, PyValueError};
use pyo3::prelude::*;
use webhook_mtls::Role;
use webhook_mtls::bindings::Handshake;

use crate::arguments::{text, wrong_type};
use crate::error::BindingError;

/// Reads an `ssl.SSLSocket` or `ssl.SSLObject`.
pub fn handshake(
    socket: &Bound<'_, PyAny>,
    server_name: Option<&Bound<'_, PyAny>>,
) -> Result<Handshake, BindingError> {
    let py = socket.py();
    let ssl = py.import("ssl")?;
    let classes = (ssl.getattr("SSLSocket")?, ssl.getattr("SSLObject")?);
    if !(socket.is_instance(&classes.0)? || socket.is_instance(&classes.1)?) {
        return Err(wrong_type("socket", "an ssl.SSLSocket or ssl.SSLObject", socket));
    }
    let is_server: bool = socket.getattr("server_side")?.extract()?;
    let presented = presented(socket);
    let server_name = match server_name {
        Some(name) => Some(text("server_name", name)?),
        None if is_server => None,
        None => socket.getattr("server_hostname")?.extract()?,
    };
    Ok(Handshake {
        complete: presented.is_ok(),
        peer: if is_server { Role::Client } else { Role::Server },
        chain_is_whole: presented.as_ref().is_ok_and(|presented| presented.is_whole),
        chain: match presented {
            Ok(presented) => presented.chain,
            Err(error) if is_unfinished(py, &error) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
        server_name,
    })
}

/// The certificates that the peer presented, leaf first.
struct Presented {
    chain: Vec<Vec<u8>>,
    /// Whether no certificate is missing.
    is_whole: bool,
}

fn presented(socket: &Bound<'_, PyAny>) -> PyResult<Presented> {
    let own = socket.call_method1("getpeercert", (true,))?;
    if own.is_none() {
        return Ok(Presented { chain: Vec::new(), is_whole: true });
    }
    let mut chain: Vec<Vec<u8>> = vec![own.extract()?];
    let reported = unverified_chain(socket)?;
    // OpenSSL keeps no chain with a session, so that of a resumed one is empty.
    let is_whole = !reported.is_empty();
    chain.extend(reported.into_iter().skip(1));
    Ok(Presented { chain, is_whole })
}

/// Returns the chain that `ssl` reports. Its first entry is the peer's own certificate, on client and
/// server. Empty if it is not known.
fn unverified_chain(socket: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    const METHOD: &str = "get_unverified_chain";
    // Public since Python 3.13. Before, the object below has it, and returns objects.
    if socket.hasattr(METHOD)? {
        return socket.call_method0(METHOD)?.extract();
    }
    let inner = socket.getattr("_sslobj")?;
    if !inner.hasattr(METHOD)? {
        return Ok(Vec::new());
    }
    let certificates: Option<Vec<Bound<'_, PyAny>>> = inner.call_method0(METHOD)?.extract()?;
    let ders = certificates.unwrap_or_default().into_iter();
    ders.map(|certificate| certificate.call_method1("public_bytes", (ENCODING_DER,))?.extract())
        .collect()
}

/// The value of `_ssl.ENCODING_DER`.
pub const ENCODING_DER: i32 = 2;

/// Returns whether an exception of `ssl` means that there is no completed handshake. It raises
/// ValueError before the handshake is complete, OSError if there is no connection, and
/// AttributeError if the socket was unwrapped.
fn is_unfinished(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py)
        || error.is_instance_of::<PyOSError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
}
