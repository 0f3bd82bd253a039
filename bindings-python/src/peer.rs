//! `PeerIdentity`: a verified peer.

use pyo3::prelude::*;

use crate::{arguments, json};

/// A verified peer. Only a verification makes it.
#[pyclass(frozen, module = "webhook_mtls")]
pub struct PeerIdentity(pub webhook_mtls::verify::PeerIdentity);

#[pymethods]
impl PeerIdentity {
    /// The tenant that the tenant rule finds in the certificate. Without a rule, the only SAN URI,
    /// if it is a SPIFFE ID or another URI in canonical form; None otherwise.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.tenant()
    }

    /// The subject as RFC 4514 text.
    #[getter]
    fn subject(&self) -> String {
        self.0.subject()
    }

    /// The subject's common name, if there is exactly one. It does not identify a peer by itself.
    #[getter]
    fn cn(&self) -> Option<String> {
        self.0.cn()
    }

    /// The DNS names of the subjectAltName.
    #[getter]
    fn san_dns(&self) -> Vec<String> {
        self.0.san_dns()
    }

    /// The IP addresses of the subjectAltName.
    #[getter]
    fn san_ip(&self) -> Vec<String> {
        self.0.san_ip()
    }

    /// The URIs of the subjectAltName.
    #[getter]
    fn san_uri(&self) -> Vec<String> {
        self.0.san_uri()
    }

    /// The e-mail addresses of the subjectAltName.
    #[getter]
    fn san_email(&self) -> Vec<String> {
        self.0.san_email()
    }

    /// The pin of the leaf's public key: `sha256/…`.
    #[getter]
    fn spki_pin(&self) -> String {
        self.0.spki_pin()
    }

    /// The SHA-256 of the whole leaf, as lower-case hex.
    #[getter]
    fn fingerprint(&self) -> String {
        self.0.fingerprint()
    }

    /// The SHA-256 of the whole leaf, as a certificate-bound token has it (`x5t#S256`).
    #[getter]
    fn x5t_s256(&self) -> String {
        self.0.x5t_s256()
    }

    /// The serial number, as lower-case hex.
    #[getter]
    fn serial(&self) -> String {
        self.0.serial()
    }

    /// The issuer as RFC 4514 text.
    #[getter]
    fn issuer(&self) -> String {
        self.0.issuer()
    }

    /// The first instant of validity, an aware datetime.
    #[getter]
    fn not_before<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arguments::datetime(py, self.0.not_before())
    }

    /// The last instant of validity, an aware datetime.
    #[getter]
    fn not_after<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arguments::datetime(py, self.0.not_after())
    }

    /// The fraction of the leaf's lifetime that was left when it was verified, 0 to 1.
    #[getter]
    fn lifetime_left(&self) -> f64 {
        self.0.lifetime_left()
    }

    /// The subject of the anchor that the path ends in.
    #[getter]
    fn anchor(&self) -> String {
        self.0.anchor()
    }

    /// The subjects from the leaf to the anchor.
    #[getter]
    fn path(&self) -> Vec<String> {
        self.0.path()
    }

    /// The configured pin that matched; None if no pin is configured.
    #[getter]
    fn matched_pin(&self) -> Option<String> {
        self.0.matched_pin()
    }

    /// The source of the certificate: `socket` (a handshake proved the key) or `asserted`.
    #[getter]
    fn evidence(&self) -> &'static str {
        self.0.evidence().name()
    }

    /// Whether the leaf has an extendedKeyUsage: `present` or `absent`.
    #[getter]
    fn purpose(&self) -> &'static str {
        self.0.purpose()
    }

    /// Unusual facts that were tolerated: `purpose_absent` (no extendedKeyUsage), `key_id_mismatch`
    /// (authorityKeyIdentifier and the issuer's subjectKeyIdentifier differ),
    /// `anchor_is_intermediate` (OpenSSL does not accept one as an anchor), `crl_unused` (a CRL could
    /// not be used) or `revocation_unchecked` (no usable CRL covers a certificate of the path).
    #[getter]
    fn notes(&self) -> Vec<&'static str> {
        self.0.notes().iter().map(|note| note.name()).collect()
    }

    /// The subjects of the certificates of the path whose revocation is not checked, although the
    /// trust has CRLs. The note `revocation_unchecked` is about them.
    #[getter]
    fn revocation_unchecked(&self) -> Vec<String> {
        self.0.revocation_unchecked()
    }

    /// Returns the whole identity as a dict, in the same form in every language. Times are Unix
    /// milliseconds.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.0.to_json())
    }

    fn __repr__(&self) -> String {
        format!("PeerIdentity({:?}, {})", self.0.certificate(), self.0.spki_pin())
    }
}
