//! `Identity`: our certificate chain and key.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use webhook_mtls::bindings::Rebuild as _;
use webhook_mtls::bindings::limits::Limit;

use crate::arguments::{bytes, material, path, reject_unknown};
use crate::boundary::guard;
use crate::certificates::certificates;
use crate::error::BindingError;
use crate::recipe;
use crate::signer::FunctionSigner;

/// Our certificate chain and private key. The constructors check them.
///
/// The key belongs to the leaf, and the leaf is within its validity, allows clientAuth and
/// signatures, and is not a CA. Made by `from_files`, `from_pem` or `from_pkcs12`, or by
/// `from_signer` if the key stays elsewhere. It is immutable and safe to share between threads.
#[pyclass(frozen, eq, hash, weakref, module = "webhook_mtls")]
#[derive(PartialEq, Hash)]
pub struct Identity(pub webhook_mtls::Identity);

#[pymethods]
impl Identity {
    /// Reads PEM files: the chain, leaf first, and the private key. A dispatcher that uses the
    /// identity watches the files.
    ///
    /// Args:
    ///     cert: path of the certificate chain; a regular file of at most 1 MiB.
    ///     key: path of the private key; it may be the same file.
    ///     passphrase: bytes that decrypt a PKCS#8 key.
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
    ) -> Result<Self, BindingError> {
        guard(|| {
            let (cert, key, passphrase) =
                pair::<std::path::PathBuf>((path, path), cert, key, passphrase, unknown)?;
            let read = || webhook_mtls::Identity::from_files(cert, key, passphrase.as_deref());
            Ok(Self(cls.py().detach(read)?))
        })
    }

    /// Reads PEM or DER: the chain, leaf first, and the private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// Args:
    ///     cert: the certificate chain: str or bytes-like, certificates of `cryptography` or
    ///         `ssl`, or a sequence of these.
    ///     key: the private key, bytes-like.
    ///     passphrase: bytes that decrypt a PKCS#8 key.
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
    ) -> Result<Self, BindingError> {
        guard(|| {
            let (cert, key, passphrase) =
                pair::<Vec<u8>>((certificates, material), cert, key, passphrase, unknown)?;
            let read = || webhook_mtls::Identity::from_pem(&cert, &key, passphrase.as_deref());
            Ok(Self(cls.py().detach(read)?))
        })
    }

    /// Reads a PKCS#12 file (.p12, .pfx) with one private key, its certificate and the CAs above
    /// it.
    ///
    /// Args:
    ///     data: the content of the file, bytes-like; DER, at most 1 MiB.
    ///     passphrase: bytes that decrypt the file; empty if it has no passphrase.
    ///
    /// Raises:
    ///     ConfigError: `key_encrypted` (the passphrase is wrong, or decryption would cost too
    ///         much), `pem_invalid` (malformed, no key, several keys, no certificate),
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
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, "data, passphrase")?;
            let (data, passphrase) = (material("data", data)?, secret(passphrase)?);
            let read = || webhook_mtls::Identity::from_pkcs12(&data, &passphrase);
            Ok(Self(cls.py().detach(read)?))
        })
    }

    /// Makes an identity whose key stays elsewhere, such as in an HSM or a KMS. docs/signer.md has
    /// the rules.
    ///
    /// Args:
    ///     cert: the certificate chain, leaf first, as in `from_pem`.
    ///     sign: called as `sign(scheme, message, digest, deadline)` on threads of the library, on
    ///         several at once. Returns the signature, bytes-like, or an awaitable that does. It
    ///         may block: only its handshake waits. `scheme` is the IANA name, `digest` the hash of
    ///         `message` for RSA and ECDSA, else None, and `deadline` how many seconds the
    ///         handshake waits. For ECDSA, the signature is DER, or r and s in a row.
    ///     concurrency: the most calls at once, 1 to 64; by default 8.
    ///     schemes: the signature schemes that the key's owner supports; by default all that fit
    ///         the key.
    ///     loop: the event loop on which awaitables run, of another thread than one that waits
    ///         for a delivery; by default one of the library.
    ///
    /// Raises:
    ///     ConfigError: `pem_invalid`, `identity_unusable`, `clock_implausible` or
    ///         `option_invalid`. A delivery raises `signer_failed` or `signer_timeout` if there is
    ///         no valid signature in time.
    #[classmethod]
    #[pyo3(
        signature = (cert, sign, *, concurrency = None, schemes = None, r#loop = None, **unknown),
        text_signature = "($cls, cert, sign, *, concurrency=None, schemes=None, loop=None)"
    )]
    fn from_signer(
        cls: &Bound<'_, pyo3::types::PyType>,
        cert: &Bound<'_, PyAny>,
        sign: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
        schemes: Option<&Bound<'_, PyAny>>,
        r#loop: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, SIGNER_ARGUMENTS)?;
            let signer = FunctionSigner::new(sign, concurrency, schemes, r#loop)?;
            let cert = certificates("cert", cert)?;
            let make = || webhook_mtls::Identity::from_signer(&cert, signer);
            Ok(Self(cls.py().detach(make)?))
        })
    }

    /// Makes an identity as `from_signer` does, with the chain in a PEM file. A dispatcher that
    /// uses the identity watches the file. If its new leaf has another key, `sign` must use that at
    /// once.
    ///
    /// Args:
    ///     cert: path of the certificate chain; a regular file of at most 1 MiB.
    ///     sign: as in `from_signer`.
    ///     concurrency: as in `from_signer`.
    ///     schemes: as in `from_signer`.
    ///     loop: as in `from_signer`.
    ///
    /// Raises:
    ///     ConfigError: as `from_signer`, and `pem_invalid` if the file cannot be read.
    #[classmethod]
    #[pyo3(
        signature = (cert, sign, *, concurrency = None, schemes = None, r#loop = None, **unknown),
        text_signature = "($cls, cert, sign, *, concurrency=None, schemes=None, loop=None)"
    )]
    fn from_signer_file(
        cls: &Bound<'_, pyo3::types::PyType>,
        cert: &Bound<'_, PyAny>,
        sign: &Bound<'_, PyAny>,
        concurrency: Option<&Bound<'_, PyAny>>,
        schemes: Option<&Bound<'_, PyAny>>,
        r#loop: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> Result<Self, BindingError> {
        guard(|| {
            reject_unknown(unknown, SIGNER_ARGUMENTS)?;
            let signer = FunctionSigner::new(sign, concurrency, schemes, r#loop)?;
            let cert = path("cert", cert)?;
            let make = || webhook_mtls::Identity::from_signer_file(cert, signer);
            Ok(Self(cls.py().detach(make)?))
        })
    }

    /// Remarks for the operator about the file of a usable identity, such as a certificate that is
    /// not an issuer of ours and not presented.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.notes().to_vec()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> recipe::Reduced<'py> {
        recipe::reduce(&slf.get_type(), slf.get().0.recipe(), IN_MEMORY)
    }
}

const SIGNER_ARGUMENTS: &str = "cert, sign, concurrency, schemes, loop";

/// The error of a pickle that would contain the private key.
const IN_MEMORY: &str = "an Identity is pickled only as the paths of its files: make it with \
    from_files without a passphrase, or make it again in the other process";

type Read<T> = fn(&str, &Bound<'_, PyAny>) -> Result<T, BindingError>;

/// Reads the chain and the key with `read`, and the optional passphrase.
fn pair<T>(
    read: (Read<T>, Read<T>),
    cert: &Bound<'_, PyAny>,
    key: &Bound<'_, PyAny>,
    passphrase: Option<&Bound<'_, PyAny>>,
    unknown: Option<&Bound<'_, PyDict>>,
) -> Result<(T, T, Option<Vec<u8>>), BindingError> {
    reject_unknown(unknown, "cert, key, passphrase")?;
    let (cert, key) = (read.0("cert", cert)?, read.1("key", key)?);
    Ok((cert, key, passphrase.map(secret).transpose()?))
}

fn secret(passphrase: &Bound<'_, PyAny>) -> Result<Vec<u8>, BindingError> {
    bytes("passphrase", passphrase, Limit::text("passphrase"))
}
