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
    let presented = chain(socket);
    let server_name = match server_name {
        Some(name) => Some(text("server_name", name)?),
        None if is_server => None,
        None => socket.getattr("server_hostname")?.extract()?,
    };
    Ok(Handshake {
        complete: presented.is_ok(),
        peer: if is_server { Role::Client } else { Role::Server },
        chain: match presented {
            Ok(chain) => chain,
            Err(error) if is_unfinished(py, &error) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
        server_name,
    })
}

/// Returns the certificates that the peer presented, leaf first.
fn chain(socket: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    let own = socket.call_method1("getpeercert", (true,))?;
    if own.is_none() {
        return Ok(Vec::new());
    }
    let mut chain: Vec<Vec<u8>> = vec![own.extract()?];
    // Public since Python 3.13. Its first entry is the peer's own certificate, on client and
    // server.
    if socket.hasattr("get_unverified_chain")? {
        let presented: Vec<Vec<u8>> = socket.call_method0("get_unverified_chain")?.extract()?;
        chain.extend(presented.into_iter().skip(1));
    }
    Ok(chain)
}

/// Returns whether an exception of `ssl` means that there is no completed handshake. It raises
/// ValueError before the handshake is complete, OSError if there is no connection, and
/// AttributeError if the socket was unwrapped.
fn is_unfinished(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py)
        || error.is_instance_of::<PyOSError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
}
