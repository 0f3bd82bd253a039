//! The result of a verification: the identity of the peer.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::path::Path;
use super::revocation::{UnusedCrl, UnusedReason};
use super::{instant, millis};
use crate::error::words;
use crate::material::pin::{Pin, PinSlot};
use crate::verify::policy::Role;
use crate::x509::{
    Certificate, ParsedCertificate, Presented, Purpose, San, common_name, hex, name_text, pin_text,
    serial_hex, x5t_s256,
};

words! {
    /// The source of a certificate.
    #[non_exhaustive]
    Evidence {
        /// A TLS handshake with us: the peer has proved possession of its key.
        Socket = 1 "socket",
        /// Bytes from the caller, who asserts that the peer presented the certificate.
        Asserted = 2 "asserted",
        /// The headers of a proxy that is believed: the hop.
        Forwarded = 3 "forwarded",
    }
}

words! {
    /// An unusual fact about a peer that passed verification.
    #[non_exhaustive]
    Note {
        /// The leaf has no extendedKeyUsage (by RFC 5280 section 4.2.1.12, it may serve any purpose).
        PurposeAbsent = 1 "purpose_absent",
        /// The authorityKeyIdentifier of a certificate of the path differs from the
        /// subjectKeyIdentifier of its issuer. The signature is valid, so the identifier is wrong.
        KeyIdMismatch = 2 "key_id_mismatch",
        /// The path ends in an intermediate. OpenSSL does not accept an intermediate as an anchor.
        AnchorIsIntermediate = 3 "anchor_is_intermediate",
        /// A CRL could not be used for the path: another key signed it, its thisUpdate is in the future, or
        /// its issuer is no known CA. The event `crl_unused` tells the reason.
        CrlUnused = 4 "crl_unused",
        /// The trust has CRLs, but none that covers a certificate of the path could be used. It is not
        /// known whether that certificate was revoked. `revocation_unchecked` names it.
        RevocationUnchecked = 5 "revocation_unchecked",
        /// The serial number of a certificate of the path is 0 or longer than 20 octets, which RFC 5280
        /// section 4.1.2.2 forbids. A CRL may not be able to name it.
        SerialUnusual = 6 "serial_unusual",
    }
}

/// A verified peer. Only verification makes this value. Cheap to clone.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::SystemTime;
/// # use webhook_mtls::testing::{Lab, Leaf};
/// # use webhook_mtls::{Authorization, Role, Verifier, VerifierOptions};
/// # let lab = Lab::start()?;
/// # let options = VerifierOptions::new(Role::Client, lab.trust());
/// # let verifier = Verifier::new(options.authorization(Authorization::ca_members()))?;
/// # let chain = lab.authority().issue(Leaf::client("acme"))?.chain_der;
/// use webhook_mtls::verify::Evidence;
///
/// let peer = verifier.verify_chain(&chain, None, SystemTime::now())?;
/// assert_eq!(peer.san_uri(), ["spiffe://lab.test/tenant/acme"]);
/// assert_eq!(peer.evidence(), Evidence::Asserted);
/// assert!(peer.not_after() > SystemTime::now());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct PeerIdentity {
    leaf: Certificate,
    role: Role,
    tenant: Option<String>,
    pin: Option<(Pin, PinSlot)>,
    path: Path,
    at: i64,
    evidence: Evidence,
    hop: Option<Arc<str>>,
}

impl PeerIdentity {
    pub(super) fn new(
        leaf: &Presented<'_>,
        role: Role,
        tenant: Option<String>,
        pin: Option<(Pin, PinSlot)>,
        path: Path,
        at: i64,
    ) -> Self {
        Self {
            leaf: Certificate::of(leaf),
            role,
            tenant,
            pin,
            path,
            at,
            evidence: Evidence::Asserted,
            hop: None,
        }
    }

    /// Sets the evidence to `socket`. The caller has seen the handshake complete, which proves possession
    /// of the key.
    pub(crate) fn over_socket(mut self) -> Self {
        self.evidence = Evidence::Socket;
        self
    }

    /// Sets the evidence to `forwarded`, by the hop with this name.
    pub(crate) fn forwarded_by(mut self, hop: Arc<str>) -> Self {
        self.evidence = Evidence::Forwarded;
        self.hop = Some(hop);
        self
    }

    /// The tenant by the rule. Without a rule, the certificate's SAN URI if it has exactly one, and
    /// this is a SPIFFE ID or another URI with only one spelling.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The verified leaf.
    pub fn certificate(&self) -> &Certificate {
        &self.leaf
    }

    /// The subject as RFC 4514 text.
    pub fn subject(&self) -> String {
        self.leaf.subject()
    }

    /// The subject's common name, if there is exactly one. It does not identify the peer by itself.
    pub fn cn(&self) -> Option<String> {
        common_name(self.leaf.parsed().subject)
    }

    /// The DNS names of the subjectAltName.
    pub fn san_dns(&self) -> Vec<String> {
        self.sans(|san| if let San::Dns(name) = san { Some(name.to_owned()) } else { None })
    }

    /// The IP addresses of the subjectAltName.
    pub fn san_ip(&self) -> Vec<String> {
        self.sans(|san| if let San::Ip(address) = san { Some(address.to_string()) } else { None })
    }

    /// The URIs of the subjectAltName.
    pub fn san_uri(&self) -> Vec<String> {
        self.sans(|san| if let San::Uri(uri) = san { Some(uri.to_owned()) } else { None })
    }

    /// The e-mail addresses of the subjectAltName.
    pub fn san_email(&self) -> Vec<String> {
        self.sans(|san| if let San::Email(email) = san { Some(email.to_owned()) } else { None })
    }

    fn sans(&self, pick: impl Fn(San<'_>) -> Option<String>) -> Vec<String> {
        self.leaf.parsed().sans().filter_map(pick).collect()
    }

    /// The pin of the leaf's public key: `sha256/…`.
    pub fn spki_pin(&self) -> String {
        self.leaf.spki_pin()
    }

    /// The SHA-256 of the whole leaf, as lower-case hex.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.leaf.der()))
    }

    /// The SHA-256 of the whole leaf, in the form of a certificate-bound token (RFC 8705 section 3.1).
    pub fn x5t_s256(&self) -> String {
        x5t_s256(&Sha256::digest(self.leaf.der()))
    }

    /// The serial number, as lower-case hex.
    pub fn serial(&self) -> String {
        serial_hex(self.leaf.parsed().serial)
    }

    /// The issuer as RFC 4514 text.
    pub fn issuer(&self) -> String {
        self.leaf.issuer()
    }

    /// The first instant of validity.
    pub fn not_before(&self) -> SystemTime {
        instant(self.leaf.not_before())
    }

    /// The last instant of validity.
    pub fn not_after(&self) -> SystemTime {
        instant(self.leaf.not_after())
    }

    /// The fraction of the leaf's lifetime that was left when it was verified, 0 to 1.
    pub fn lifetime_left(&self) -> f64 {
        self.lifetime_left_of(&self.leaf.parsed())
    }

    #[allow(clippy::cast_precision_loss, reason = "seconds of a lifetime fit")]
    fn lifetime_left_of(&self, parsed: &ParsedCertificate<'_>) -> f64 {
        let whole = parsed.not_after.saturating_sub(parsed.not_before).max(1);
        let left = parsed.not_after.saturating_sub(self.at).clamp(0, whole);
        left as f64 / whole as f64
    }

    /// The subject of the anchor that the path ends in: the leaf's own if the trust is exact.
    pub fn anchor(&self) -> String {
        self.path.issuers().last().unwrap_or(&self.leaf).subject()
    }

    /// The subjects from the leaf to the anchor.
    pub fn path(&self) -> Vec<String> {
        std::iter::once(&self.leaf).chain(self.path.issuers()).map(Certificate::subject).collect()
    }

    /// The configured pin that matched.
    pub fn matched_pin(&self) -> Option<String> {
        self.pin.map(|(pin, _)| pin.to_string())
    }

    /// The subjects of the certificates of the path whose revocation is not checked, although the trust
    /// has CRLs that may have been meant for them: the note [`Note::RevocationUnchecked`] is about them.
    pub fn revocation_unchecked(&self) -> Vec<String> {
        let subjects = self.path();
        let unchecked = self.path.revocation().unchecked.iter();
        unchecked.filter_map(|at| subjects.get(*at).cloned()).collect()
    }

    /// The CRLs that may have been meant for the path and were not used.
    pub(crate) fn unused_crls(&self) -> &[UnusedCrl] {
        &self.path.revocation().unused
    }

    /// The last instant (Unix seconds) at which the leaf, its issuers and their CRLs are all valid.
    pub(crate) fn valid_until(&self) -> i64 {
        self.leaf.not_after().min(self.path.valid_until())
    }

    pub(crate) fn pin_slot(&self) -> Option<PinSlot> {
        self.pin.map(|(_, slot)| slot)
    }

    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pin.map(|(pin, _)| pin)
    }

    /// How the certificate reached us.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The name of the hop that forwarded the certificate, if the evidence is `forwarded`.
    pub fn hop(&self) -> Option<&str> {
        self.hop.as_deref()
    }

    /// Whether the leaf names its purpose (`present`) or leaves it open (`absent`).
    pub fn purpose(&self) -> &'static str {
        self.purpose_of(&self.leaf.parsed())
    }

    fn purpose_of(&self, parsed: &ParsedCertificate<'_>) -> &'static str {
        let purpose = match self.role {
            Role::Client => parsed.client_purpose(),
            Role::Server => parsed.server_purpose(),
        };
        if purpose == Purpose::Absent { "absent" } else { "present" }
    }

    /// The unusual facts that verification tolerates.
    pub fn notes(&self) -> Vec<Note> {
        self.notes_on(&self.leaf.parsed(), &self.issuers())
    }

    fn issuers(&self) -> Vec<ParsedCertificate<'_>> {
        self.path.issuers().iter().map(Certificate::parsed).collect()
    }

    fn notes_on(
        &self,
        leaf: &ParsedCertificate<'_>,
        issuers: &[ParsedCertificate<'_>],
    ) -> Vec<Note> {
        let (mut mismatched, mut intermediate) = (false, false);
        let revocation = self.path.revocation();
        let is_defect = |crl: &UnusedCrl| crl.why != UnusedReason::OtherScope;
        let mut named = leaf.authority_key_id;
        for issuer in issuers {
            mismatched |= matches!(
                (named, issuer.subject_key_id), (Some(named), Some(held)) if named != held
            );
            intermediate = issuer.issuer != issuer.subject;
            named = issuer.authority_key_id;
        }
        [
            (self.purpose_of(leaf) == "absent", Note::PurposeAbsent),
            (mismatched, Note::KeyIdMismatch),
            (intermediate, Note::AnchorIsIntermediate),
            (revocation.unused.iter().any(is_defect), Note::CrlUnused),
            (!revocation.unchecked.is_empty(), Note::RevocationUnchecked),
            (
                std::iter::once(leaf).chain(issuers).any(|one| !one.has_sound_serial()),
                Note::SerialUnusual,
            ),
        ]
        .into_iter()
        .filter_map(|(holds, note)| holds.then_some(note))
        .collect()
    }

    /// The whole identity as JSON, in the form that every language shows. Instants are Unix milliseconds.
    pub fn to_json(&self) -> Value {
        // Parses and hashes each certificate once: from Node, this is half the cost of a verification.
        let parsed = self.leaf.parsed();
        let issuers = self.issuers();
        let digest = Sha256::digest(self.leaf.der());
        let (mut dns, mut ip, mut uri, mut email) = (vec![], vec![], vec![], vec![]);
        for san in parsed.sans() {
            match san {
                San::Dns(name) => dns.push(Value::from(name)),
                San::Ip(address) => ip.push(Value::from(address.to_string())),
                San::Uri(name) => uri.push(Value::from(name)),
                San::Email(address) => email.push(Value::from(address)),
            }
        }
        let path: Vec<String> = std::iter::once(&parsed)
            .chain(&issuers)
            .map(|parsed| name_text(parsed.subject))
            .collect();
        let unchecked = self.path.revocation().unchecked.iter();
        let unchecked: Vec<&String> = unchecked.filter_map(|at| path.get(*at)).collect();
        let notes: Vec<&str> =
            self.notes_on(&parsed, &issuers).iter().map(|note| note.name()).collect();
        json!({
            "tenant": self.tenant(),
            "subject": path[0],
            "cn": common_name(parsed.subject),
            "san_dns": dns,
            "san_ip": ip,
            "san_uri": uri,
            "san_email": email,
            "spki_pin": pin_text(&parsed.spki_digest()),
            "fingerprint": hex(&digest),
            "x5t_s256": x5t_s256(&digest),
            "serial": serial_hex(parsed.serial),
            "issuer": name_text(parsed.issuer),
            "not_before_ms": millis(parsed.not_before),
            "not_after_ms": millis(parsed.not_after),
            "lifetime_left": self.lifetime_left_of(&parsed),
            "anchor": path.last(),
            "path": path,
            "matched_pin": self.matched_pin(),
            "evidence": self.evidence().name(),
            "hop": self.hop(),
            "purpose": self.purpose_of(&parsed),
            "notes": notes,
            "revocation_unchecked": unchecked,
        })
    }
}
