//! `Identity`: who we are.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::limits::Limit;

use crate::arguments::{bytes, material, path, refuse_unknown};

use crate::border::guard;
use crate::error::Fault;

/// Our certificate chain and private key, checked when it is made.
///
/// The key belongs to the leaf, and the leaf is within its dates, allows clientAuth and is no CA.
/// Made by `from_files`, `from_pem` or `from_pkcs12`; fixed from then on, and safe to share between threads.
#[pyclass(frozen, eq, module = "webhook_mtls")]
#[derive(PartialEq)]
pub struct Identity(pub webhook_mtls::Identity);

#[pymethods]
impl Identity {
    /// Reads PEM files: the chain, leaf first, and the private key.
    ///
    /// Args:
    ///     cert: path of the certificate chain; a regular file of at most 1 MiB.
    ///     key: path of the private key; it may be the same file.
    ///     passphrase: bytes that open an encrypted PKCS#8 key.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable`,
    ///         `clock_implausible` or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (cert, key, *, passphrase = None, **unknown),
        text_signature = "($cls, cert, key, *, passphrase=None)"
    )]
    fn from_files(
        cls: &Bound<'_, pyo3::types::PyType>,
        cert: &Bound<'_, PyAny>,
        key: &Bound<'_, PyAny>,
        passphrase: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            let (cert, key, passphrase) = pair(path, cert, key, passphrase, unknown)?;
            let read = || webhook_mtls::Identity::from_files(cert, key, passphrase.as_deref());
            Ok(Self(cls.py().detach(read)?))
        })
    }

    /// Reads PEM or DER: the chain, leaf first, and the private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// Args:
    ///     cert: the certificate chain, bytes-like.
    ///     key: the private key, bytes-like.
    ///     passphrase: bytes that open an encrypted PKCS#8 key.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `key_encrypted`, `key_mismatch`, `identity_unusable`,
    ///         `clock_implausible` or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (cert, key, *, passphrase = None, **unknown),
        text_signature = "($cls, cert, key, *, passphrase=None)"
    )]
    fn from_pem(
        cls: &Bound<'_, pyo3::types::PyType>,
        cert: &Bound<'_, PyAny>,
        key: &Bound<'_, PyAny>,
        passphrase: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            let (cert, key, passphrase) = pair(material, cert, key, passphrase, unknown)?;
            let read = || webhook_mtls::Identity::from_pem(&cert, &key, passphrase.as_deref());
            Ok(Self(cls.py().detach(read)?))
        })
    }

    /// Reads a PKCS#12 file (.p12, .pfx): one private key, its certificate and the CAs above it.
    ///
    /// Args:
    ///     data: the bytes of the file, bytes-like; DER, at most 1 MiB.
    ///     passphrase: bytes that open it; empty where it has none.
    ///
    /// Raises:
    ///     ConfigError: `key_encrypted` (the passphrase does not open it, or opening it would cost
    ///         too much), `pem_invalid` (malformed, no key, several keys, no certificate),
    ///         `key_mismatch`, `identity_unusable`, `clock_implausible` or `option_invalid`.
    #[classmethod]
    #[pyo3(
        signature = (data, passphrase, **unknown),
        text_signature = "($cls, data, passphrase)"
    )]
    fn from_pkcs12(
        cls: &Bound<'_, pyo3::types::PyType>,
        data: &Bound<'_, PyAny>,
        passphrase: &Bound<'_, PyAny>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, Fault> {
        guard(|| {
            refuse_unknown(unknown, "data, passphrase")?;
            let (data, passphrase) = (material("data", data)?, secret(passphrase)?);
            let read = || webhook_mtls::Identity::from_pkcs12(&data, &passphrase);
            Ok(Self(cls.py().detach(read)?))
        })
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The chain and the key, each as `read` takes it, and the passphrase, if one was given.
fn pair<T>(
    read: fn(&str, &Bound<'_, PyAny>) -> Result<T, Fault>,
    cert: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    passphrase: Option<&Bound<'_, PyAny>>,
    unknown: Option<&Bound<'_, PyDict>>,
) -> Result<(T, T, Option<Vec<u8>>), Fault> {
    refuse_unknown(unknown, "cert, key, passphrase")?;
    let (cert, key) = (read("cert", cert)?, read("key", key)?);
    Ok((cert, key, passphrase.map(secret).transpose()?))
}

fn secret(passphrase: &Bound<'_, PyAny>) -> Result<Vec<u8>, Fault> {
    bytes("passphrase", passphrase, Limit::text("passphrase"))
}
