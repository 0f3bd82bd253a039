//! `PeerIdentity`: a verified peer.

use pyo3::prelude::*;
use pyo3::types::PyType;
use serde_json::Value;
use webhook_mtls::verify::PeerIdentity as Peer;

use crate::recipe::{self, Made, Reduced};
use crate::{arguments, json};

/// A verified peer. Only a verification makes it. It can be copied and pickled.
#[pyclass(frozen, weakref, module = "webhook_mtls")]
pub struct PeerIdentity(pub Made<Peer>);

impl PeerIdentity {
    fn json(&self) -> Value {
        self.0.get(Peer::to_json, Value::clone)
    }

    /// Returns what two peers have in common if they are the same one, whenever each was verified.
    fn compared(&self) -> Value {
        let mut fields = self.json();
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("lifetime_left");
        }
        fields
    }
}

#[pymethods]
impl PeerIdentity {
    /// The tenant that the tenant rule finds in the certificate. Without a rule, the only SAN URI,
    /// if it is a SPIFFE ID or another URI in canonical form; None otherwise.
    #[getter]
    fn tenant(&self) -> Option<&str> {
        self.0.get(Peer::tenant, |fields| fields["tenant"].as_str())
    }

    /// The subject as RFC 4514 text.
    #[getter]
    fn subject(&self) -> String {
        self.0.get(Peer::subject, |fields| json::text(&fields["subject"]).to_owned())
    }

    /// The subject's common name, if there is exactly one. It does not identify a peer by itself.
    #[getter]
    fn cn(&self) -> Option<String> {
        self.0.get(Peer::cn, |fields| fields["cn"].as_str().map(str::to_owned))
    }

    /// The DNS names of the subjectAltName.
    #[getter]
    fn san_dns(&self) -> Vec<String> {
        self.0.get(Peer::san_dns, |fields| json::texts(&fields["san_dns"]))
    }

    /// The IP addresses of the subjectAltName.
    #[getter]
    fn san_ip(&self) -> Vec<String> {
        self.0.get(Peer::san_ip, |fields| json::texts(&fields["san_ip"]))
    }

    /// The URIs of the subjectAltName.
    #[getter]
    fn san_uri(&self) -> Vec<String> {
        self.0.get(Peer::san_uri, |fields| json::texts(&fields["san_uri"]))
    }

    /// The e-mail addresses of the subjectAltName.
    #[getter]
    fn san_email(&self) -> Vec<String> {
        self.0.get(Peer::san_email, |fields| json::texts(&fields["san_email"]))
    }

    /// The pin of the leaf's public key: `sha256/…`.
    #[getter]
    fn spki_pin(&self) -> String {
        self.0.get(Peer::spki_pin, |fields| json::text(&fields["spki_pin"]).to_owned())
    }

    /// The SHA-256 of the whole leaf, as lower-case hex.
    #[getter]
    fn fingerprint(&self) -> String {
        self.0.get(Peer::fingerprint, |fields| json::text(&fields["fingerprint"]).to_owned())
    }

    /// The SHA-256 of the whole leaf, as a certificate-bound token has it (`x5t#S256`).
    #[getter]
    fn x5t_s256(&self) -> String {
        self.0.get(Peer::x5t_s256, |fields| json::text(&fields["x5t_s256"]).to_owned())
    }

    /// The serial number, as lower-case hex.
    #[getter]
    fn serial(&self) -> String {
        self.0.get(Peer::serial, |fields| json::text(&fields["serial"]).to_owned())
    }

    /// The issuer as RFC 4514 text.
    #[getter]
    fn issuer(&self) -> String {
        self.0.get(Peer::issuer, |fields| json::text(&fields["issuer"]).to_owned())
    }

    /// The first instant of validity, an aware datetime.
    #[getter]
    fn not_before<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arguments::datetime(
            py,
            self.0.get(Peer::not_before, |fields| json::instant(&fields["not_before_ms"])),
        )
    }

    /// The last instant of validity, an aware datetime.
    #[getter]
    fn not_after<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        arguments::datetime(
            py,
            self.0.get(Peer::not_after, |fields| json::instant(&fields["not_after_ms"])),
        )
    }

    /// The fraction of the leaf's lifetime that was left when it was verified, 0 to 1.
    #[getter]
    fn lifetime_left(&self) -> f64 {
        self.0.get(Peer::lifetime_left, |fields| fields["lifetime_left"].as_f64().unwrap_or(0.0))
    }

    /// The subject of the anchor that the path ends in.
    #[getter]
    fn anchor(&self) -> String {
        self.0.get(Peer::anchor, |fields| json::text(&fields["anchor"]).to_owned())
    }

    /// The subjects from the leaf to the anchor.
    #[getter]
    fn path(&self) -> Vec<String> {
        self.0.get(Peer::path, |fields| json::texts(&fields["path"]))
    }

    /// The configured pin that matched; None if no pin is configured.
    #[getter]
    fn matched_pin(&self) -> Option<String> {
        self.0.get(Peer::matched_pin, |fields| fields["matched_pin"].as_str().map(str::to_owned))
    }

    /// The source of the certificate: `socket` (a handshake proved the key), `forwarded` (a hop that
    /// is believed) or `asserted`.
    #[getter]
    fn evidence(&self) -> &str {
        self.0.get(|peer| peer.evidence().name(), |fields| json::text(&fields["evidence"]))
    }

    /// The name of the hop that forwarded the certificate; None unless the evidence is `forwarded`.
    #[getter]
    fn hop(&self) -> Option<&str> {
        self.0.get(Peer::hop, |fields| fields["hop"].as_str())
    }

    /// Whether the leaf has an extendedKeyUsage: `present` or `absent`.
    #[getter]
    fn purpose(&self) -> &str {
        match &self.0 {
            Made::Live(peer) => peer.purpose(),
            Made::Rebuilt(fields) => json::text(&fields["purpose"]),
        }
    }

    /// Unusual facts that were tolerated: `purpose_absent` (no extendedKeyUsage), `key_id_mismatch`
    /// (authorityKeyIdentifier and the issuer's subjectKeyIdentifier differ),
    /// `anchor_is_intermediate` (OpenSSL does not accept one as an anchor), `crl_unused` (a CRL could
    /// not be used), `revocation_unchecked` (no usable CRL covers a certificate of the path) or
    /// `serial_unusual` (a serial number of 0 or above 20 octets).
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.0.get(
            |peer| peer.notes().iter().map(|note| note.name().to_owned()).collect(),
            |fields| json::texts(&fields["notes"]),
        )
    }

    /// The subjects of the certificates of the path whose revocation is not checked, although the
    /// trust has CRLs. The note `revocation_unchecked` is about them.
    #[getter]
    fn revocation_unchecked(&self) -> Vec<String> {
        self.0
            .get(Peer::revocation_unchecked, |fields| json::texts(&fields["revocation_unchecked"]))
    }

    /// Returns the whole identity as a dict, in the same form in every language. Times are Unix
    /// milliseconds.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self.json())
    }

    /// Rebuilds an unpickled peer.
    #[classmethod]
    fn _rebuilt(_cls: &Bound<'_, PyType>, fields: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self(Made::rebuilt(fields)?))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py> {
        recipe::reduce_fields(&slf.get_type(), &slf.get().json())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| other.get().compared() == self.compared())
    }

    fn __hash__(&self) -> u64 {
        recipe::hash(&self.compared())
    }

    fn __repr__(&self) -> String {
        format!("PeerIdentity({}, {})", self.subject(), self.spki_pin())
    }
}
