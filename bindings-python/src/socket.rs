//! What a socket of Python's `ssl` says about its handshake. The core judges it.

use pyo3::exceptions::{PyAttributeError, PyOSError, PyValueError};
use pyo3::prelude::*;
use webhook_mtls::{Handshake, Role};

use crate::arguments::{text, wrong_type};
use crate::error::Fault;

/// Reads an `ssl.SSLSocket` or `ssl.SSLObject`.
pub fn handshake(
    socket: &Bound<'_, PyAny>,
    server_name: Option<&Bound<'_, PyAny>>,
) -> Result<Handshake, Fault> {
    let py = socket.py();
    let ssl = py.import("ssl")?;
    let classes = (ssl.getattr("SSLSocket")?, ssl.getattr("SSLObject")?);
    if !(socket.is_instance(&classes.0)? || socket.is_instance(&classes.1)?) {
        return Err(wrong_type("socket", "an ssl.SSLSocket or ssl.SSLObject", socket));
    }
    let we_are_the_server: bool = socket.getattr("server_side")?.extract()?;
    let shown = chain(socket);
    let server_name = match server_name {
        Some(name) => Some(text("server_name", name)?),
        None if we_are_the_server => None,
        None => socket.getattr("server_hostname")?.extract()?,
    };
    Ok(Handshake {
        complete: shown.is_ok(),
        peer: if we_are_the_server { Role::Client } else { Role::Server },
        chain: match shown {
            Ok(chain) => chain,
            Err(error) if is_unfinished(py, &error) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
        server_name,
    })
}

/// The certificates that the peer showed, its own first.
fn chain(socket: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u8>>> {
    let own = socket.call_method1("getpeercert", (true,))?;
    if own.is_none() {
        return Ok(Vec::new());
    }
    let mut chain: Vec<Vec<u8>> = vec![own.extract()?];
    // Public since Python 3.13. It begins with the peer's own certificate, on both sides.
    if socket.hasattr("get_unverified_chain")? {
        let shown: Vec<Vec<u8>> = socket.call_method0("get_unverified_chain")?.extract()?;
        chain.extend(shown.into_iter().skip(1));
    }
    Ok(chain)
}

/// `ssl` says by ValueError that the handshake is not done yet, and by OSError or, of an unwrapped
/// socket, by AttributeError that there is no connection.
fn is_unfinished(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py)
        || error.is_instance_of::<PyOSError>(py)
        || error.is_instance_of::<PyAttributeError>(py)
}
