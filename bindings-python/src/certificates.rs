//! Certificates as Python programs have them: bytes, PEM text, the objects of `cryptography` and
//! `ssl`, and sequences of these.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};
use webhook_mtls::Error;
use webhook_mtls::bindings::limits::{Limit, Tally};

use crate::arguments::{bytes, is_bytes, wrong_type};
use crate::error::BindingError;
use crate::socket::ENCODING_DER;

const EXPECTED: &str =
    "bytes, PEM text, a certificate of cryptography or ssl, or a sequence of them";

/// The chain of a peer.
pub enum Chain {
    /// PEM text, or concatenated DER.
    Text(Vec<u8>),
    /// The DER of each certificate.
    Ders(Vec<Vec<u8>>),
}

/// Reads the chain of a peer.
pub fn chain(name: &str, value: &Bound<'_, PyAny>) -> Result<Chain, BindingError> {
    read(name, value, Limit::chain())
}

/// Reads certificates as one input: PEM text, or concatenated DER.
pub fn certificates(name: &str, value: &Bound<'_, PyAny>) -> Result<Vec<u8>, BindingError> {
    Ok(match read(name, value, Limit::material(name))? {
        Chain::Text(text) => text,
        Chain::Ders(ders) => ders.concat(),
    })
}

fn read(name: &str, value: &Bound<'_, PyAny>, limit: Limit<'_>) -> Result<Chain, BindingError> {
    if let Some(one) = one(name, value, limit)? {
        return Ok(Chain::Text(one));
    }
    if let Some(seen) = mistaken(value)? {
        return Err(Error::wrong_type(name, EXPECTED, seen).into());
    }
    let items = value.try_iter().map_err(|_| wrong_type(name, EXPECTED, value))?;
    let (mut each, mut tally) = (Vec::new(), Tally::new(limit));
    for (at, item) in items.enumerate() {
        let item = item?;
        let Some(input) = one(name, &item, limit)? else {
            let expected = "bytes, PEM text, or a certificate of cryptography or ssl";
            let seen = item.get_type().name()?.to_string();
            return Err(Error::wrong_item(name, at + 1, expected, &seen).into());
        };
        tally.add(input.len())?;
        let is_text = item.is_instance_of::<PyString>() || is_pem(&input);
        each.push((is_text, input));
    }
    if each.iter().any(|(is_text, _)| *is_text) {
        return Ok(Chain::Text(joined(value.py(), &each)?));
    }
    Ok(Chain::Ders(each.into_iter().map(|(_, der)| der).collect()))
}

/// Names what `ssl` returns in place of certificates.
fn mistaken(value: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
    if value.is_instance_of::<PyDict>() {
        return Ok(Some("a dict; getpeercert(True) returns the certificate"));
    }
    let class = value.get_type();
    let is_socket = class.name()? == "SSLSocket" || class.name()? == "SSLObject";
    Ok(is_socket.then_some("a TLS socket; Verifier.verify_socket takes it"))
}

/// Reads bytes, a text, or an object that is a certificate. Returns `None` for another value.
fn one(
    name: &str,
    value: &Bound<'_, PyAny>,
    limit: Limit<'_>,
) -> Result<Option<Vec<u8>>, BindingError> {
    if let Ok(text) = value.cast::<PyString>() {
        // The number of characters is known at once, and is at most the number of bytes.
        limit.check(text.len()?)?;
        let fault = |_| Error::wrong_type(name, "valid Unicode", "lone surrogates");
        return Ok(Some(limit.copied(text.to_str().map_err(fault)?.as_bytes())?));
    }
    // A released memoryview has no buffer.
    if is_bytes(value) || value.is_instance_of::<PyMemoryView>() {
        return bytes(name, value, limit).map(Some);
    }
    let Some(der) = der_of(value)? else {
        return Ok(None);
    };
    Ok(Some(limit.copied(der.as_bytes())?))
}

/// Returns the DER of a certificate of `cryptography`, or of `ssl` (`_ssl.Certificate`).
fn der_of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let class = value.get_type();
    let module = class.module()?;
    let module = module.to_str()?;
    if class.name()? != "Certificate" {
        return Ok(None);
    }
    let encoding = if module == "_ssl" {
        ENCODING_DER.into_pyobject(value.py())?.into_any()
    } else if module.split('.').next() == Some("cryptography") {
        let serialization = value.py().import("cryptography.hazmat.primitives.serialization")?;
        serialization.getattr("Encoding")?.getattr("DER")?
    } else {
        return Ok(None);
    };
    let der = value.call_method1("public_bytes", (encoding,))?;
    Ok(Some(der.cast_into::<PyBytes>().map_err(PyErr::from)?))
}

fn is_pem(input: &[u8]) -> bool {
    input.windows(11).any(|part| part == b"-----BEGIN ")
}

/// Joins PEM texts and DER to one PEM text.
fn joined(py: Python<'_>, each: &[(bool, Vec<u8>)]) -> PyResult<Vec<u8>> {
    let to_base64 = py.import("binascii")?.getattr("b2a_base64")?;
    let mut text = Vec::new();
    for (is_text, input) in each {
        if *is_text {
            text.extend_from_slice(input);
            text.push(b'\n');
        } else {
            let base64 = to_base64.call1((PyBytes::new(py, input),))?;
            text.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
            text.extend_from_slice(base64.cast::<PyBytes>()?.as_bytes());
            text.extend_from_slice(b"-----END CERTIFICATE-----\n");
        }
    }
    Ok(text)
}
