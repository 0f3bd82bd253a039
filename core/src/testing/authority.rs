//! A private certificate authority as in production: an offline root, a short-lived intermediate that
//! signs, and leaves that are valid for a day and name their tenant.
//!
//! A test sets each fault of a certificate on its [`Leaf`]. Everything else is correct by default.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, RevokedCertParams, SanType, SerialNumber,
};
use rustls::crypto::aws_lc_rs;
use sha2::{Digest as _, Sha256};

use super::{Error, KeyType, lab_failed};

/// The prefix of the SAN URI of every leaf, before the tenant.
pub(super) const TENANT_URI: &str = "spiffe://lab.test/tenant/";

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A new certificate is valid from this long ago, because two clocks of one network can differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// A throw-away private CA. Its root key signs one intermediate and is then discarded. Clones share one
/// CA.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    key_type: KeyType,
    root_pem: String,
    intermediate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    crls: AtomicU64,
}

impl Authority {
    /// Makes a root (10 years) and an intermediate (7 days), both ECDSA P-256.
    ///
    /// Their subjects contain `name` and a random tag. Two authorities thus never share a name, so each
    /// is an unknown issuer to the other, and never the same issuer with another key.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if a key cannot be made or a certificate cannot be signed.
    pub fn new(name: &str) -> Result<Self, Error> {
        Self::with_key_type(name, KeyType::default())
    }

    /// Makes a CA like [`Authority::new`], with keys of another type. Its leaves have keys of this type,
    /// too.
    ///
    /// # Errors
    ///
    /// Fails as [`Authority::new`] does.
    pub fn with_key_type(name: &str, key_type: KeyType) -> Result<Self, Error> {
        Self::build(name, key_type).map_err(|cause| lab_failed("make its CA", cause))
    }

    /// Returns the root certificate as PEM. A peer must trust it.
    pub fn root_pem(&self) -> &str {
        &self.inner.root_pem
    }

    /// Returns the intermediate certificate as PEM, for peers that receive leaves without it.
    pub fn intermediate_pem(&self) -> String {
        self.inner.intermediate.pem()
    }

    /// Issues a leaf, valid for 24 hours unless `leaf` sets other dates.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if a name of the leaf is not allowed in a certificate.
    pub fn issue(&self, leaf: Leaf) -> Result<Issued, Error> {
        self.sign(leaf).map_err(|cause| lab_failed("issue a certificate", cause))
    }

    /// Issues a leaf again with new dates and a new serial number.
    ///
    /// * `issued`: the leaf to renew. Another authority may have issued it; this one issues the new leaf.
    /// * `new_key`: whether to make a new key instead of keeping the former one.
    ///
    /// # Errors
    ///
    /// Fails as [`Authority::issue`] does.
    pub fn renew(&self, issued: &Issued, new_key: bool) -> Result<Issued, Error> {
        let leaf = issued.leaf.clone();
        self.issue(if new_key { leaf } else { leaf.key_of(issued) })
    }

    /// Returns a CRL as PEM that revokes these leaves and is valid for a day. Each CRL replaces the
    /// former ones.
    ///
    /// # Errors
    ///
    /// Fails with `internal` if it cannot be signed.
    pub fn crl(&self, revoked: &[&Issued]) -> Result<String, Error> {
        self.revocation_list(revoked).map_err(|cause| lab_failed("issue a CRL", cause))
    }

    fn revocation_list(&self, revoked: &[&Issued]) -> Result<String, rcgen::Error> {
        let now = SystemTime::now();
        let number = self.inner.crls.fetch_add(1, Ordering::Relaxed);
        let revoked_certs = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: issued.serial.clone(),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: (now - SKEW).into(),
            next_update: (now + DAY).into(),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.inner.issuer)?.pem()
    }

    fn build(name: &str, key_type: KeyType) -> Result<Self, rcgen::Error> {
        let name = format!("{name} {:08x}", u32::from_be_bytes(random()?));

        let params = ca_params(&format!("{name} root"), 1, 3650 * DAY)?;
        let key = key_type.generate()?;
        let root_pem = params.self_signed(&key)?.pem();
        let root = Issuer::new(params, key);

        let mut params = ca_params(&format!("{name} intermediate"), 0, 7 * DAY)?;
        params.use_authority_key_identifier_extension = true;
        let key = key_type.generate()?;
        let intermediate = params.signed_by(&key, &root)?;

        let issuer = Issuer::new(params, key);
        let crls = AtomicU64::new(1);
        let inner = Inner { name, key_type, root_pem, intermediate, issuer, crls };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn sign(&self, leaf: Leaf) -> Result<Issued, rcgen::Error> {
        let key = match &leaf.key {
            Some(key) => Arc::clone(key),
            None => Arc::new(self.inner.key_type.generate()?),
        };
        let serial = serial()?;
        let mut params = leaf.params()?;
        params.serial_number = Some(serial.clone());
        let chain = if leaf.self_signed.is_some() {
            vec![params.self_signed(&*key)?]
        } else {
            let certificate = params.signed_by(&*key, &self.inner.issuer)?;
            vec![certificate, self.inner.intermediate.clone()]
        };
        let pin = Sha256::digest(key.subject_public_key_info());
        Ok(Issued {
            chain_pem: chain.iter().map(Certificate::pem).collect(),
            key_pem: key.serialize_pem(),
            pin: format!("sha256/{}", STANDARD.encode(pin)),
            chain_der: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            key_der: key.serialize_der(),
            serial,
            // A renewed leaf gets a new key unless the caller asks for the former one.
            leaf: Leaf { key: None, ..leaf },
            key,
        })
    }
}

impl Authority {
    /// Returns the name.
    #[doc(hidden)]
    pub fn name(&self) -> &str {
        &self.inner.name
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

/// The contents of a leaf to issue: its tenant (SAN URI `spiffe://lab.test/tenant/<tenant>` and subject
/// CN), its names, its purpose and its dates.
///
/// ```
/// # use webhook_mtls::testing::{Authority, Leaf};
/// # fn main() -> Result<(), webhook_mtls::Error> {
/// let ca = Authority::new("example")?;
/// let late = ca.issue(Leaf::server("acme").expired())?;
/// assert!(late.pin.starts_with("sha256/"));
/// assert_eq!(ca.renew(&late, false)?.pin, late.pin);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Leaf {
    tenant: String,
    names: Vec<String>,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    validity: Validity,
    key: Option<Arc<KeyPair>>,
    /// Whether it is self-signed, and then a CA certificate.
    self_signed: Option<bool>,
}

impl Leaf {
    /// Describes a client of a tenant: purpose clientAuth, no host name.
    pub fn client(tenant: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            names: Vec::new(),
            purposes: vec![ExtendedKeyUsagePurpose::ClientAuth],
            validity: Validity::Current,
            key: None,
            self_signed: None,
        }
    }

    /// Describes a server of a tenant: purpose serverAuth, `localhost`, 127.0.0.1 and `::1`.
    pub fn server(tenant: &str) -> Self {
        Self { purposes: vec![ExtendedKeyUsagePurpose::ServerAuth], ..Self::client(tenant) }
            .names(["localhost", "127.0.0.1", "::1"])
    }

    /// Replaces the host names and addresses.
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Makes its 24 hours end an hour ago.
    pub fn expired(mut self) -> Self {
        self.validity = Validity::Expired;
        self
    }

    /// Makes its 24 hours begin in an hour.
    pub fn not_yet_valid(mut self) -> Self {
        self.validity = Validity::NotYetValid;
        self
    }

    /// Sets its dates, to the second.
    ///
    /// * `from`: the start; `None` is five minutes ago.
    /// * `until`: the end; `None` is a day after the start.
    pub fn between(mut self, from: Option<SystemTime>, until: Option<SystemTime>) -> Self {
        let from = from.unwrap_or_else(|| SystemTime::now() - SKEW);
        self.validity = Validity::Between(from, until.unwrap_or(from + DAY));
        self
    }

    /// Leaves out the extended key usage, which allows any purpose (RFC 5280).
    pub fn no_purpose(mut self) -> Self {
        self.purposes.clear();
        self
    }

    /// Allows only codeSigning, and thus neither clientAuth nor serverAuth.
    pub fn other_purpose(mut self) -> Self {
        self.purposes = vec![ExtendedKeyUsagePurpose::CodeSigning];
        self
    }

    /// Uses the key of `issued` instead of a new one.
    pub fn key_of(mut self, issued: &Issued) -> Self {
        self.key = Some(Arc::clone(&issued.key));
        self
    }

    /// Signs it with its own key: its chain has no CA.
    ///
    /// * `is_ca`: whether it is a CA certificate, as `openssl req -x509` makes it by default.
    pub fn self_signed(mut self, is_ca: bool) -> Self {
        self.self_signed = Some(is_ca);
        self
    }

    fn params(&self) -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        let uri = format!("{TENANT_URI}{}", self.tenant);
        params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        params.distinguished_name = subject(&self.tenant);
        params.is_ca = IsCa::ExplicitNoCa;
        if self.self_signed == Some(true) {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&self.purposes);
        params.use_authority_key_identifier_extension = self.self_signed.is_none();
        let (from, until) = self.validity.dates(SystemTime::now());
        (params.not_before, params.not_after) = (from.into(), until.into());
        Ok(params)
    }
}

impl fmt::Debug for Leaf {
    /// Omits the private key that the leaf may contain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("tenant", &self.tenant)
            .field("names", &self.names)
            .field("purposes", &self.purposes)
            .field("validity", &self.validity)
            .finish_non_exhaustive()
    }
}

/// An issued leaf with its private key and its chain.
#[derive(Clone)]
#[non_exhaustive]
pub struct Issued {
    /// The leaf, then the intermediate, as PEM. It does not contain the root.
    pub chain_pem: String,
    /// The private key: unencrypted PKCS#8, as PEM.
    pub key_pem: String,
    /// The pin: `sha256/…` of the leaf's SubjectPublicKeyInfo.
    pub pin: String,
    /// The certificates of `chain_pem`, each as DER.
    pub chain_der: Vec<Vec<u8>>,
    /// The private key of `key_pem`, as DER.
    pub key_der: Vec<u8>,
    serial: SerialNumber,
    key: Arc<KeyPair>,
    leaf: Leaf,
}

impl fmt::Debug for Issued {
    /// Omits the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("leaf", &self.leaf)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
enum Validity {
    Current,
    Expired,
    NotYetValid,
    Between(SystemTime, SystemTime),
}

impl Validity {
    fn dates(self, now: SystemTime) -> (SystemTime, SystemTime) {
        let from = match self {
            Self::Current => now - SKEW,
            Self::Expired => now - DAY - HOUR,
            Self::NotYetValid => now + HOUR,
            Self::Between(from, until) => return (from, until),
        };
        (from, from + DAY)
    }
}

/// Returns the parameters that root and intermediate share. They have no extended key usage, because
/// webpki would require it of the leaf too.
fn ca_params(
    name: &str,
    intermediates_below: u8,
    life: Duration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(intermediates_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial()?);
    let from = SystemTime::now() - SKEW;
    (params.not_before, params.not_after) = (from.into(), (from + life).into());
    Ok(params)
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    subject
}

/// Returns a random serial number. rcgen's default is a hash of the key, so two leaves with one key would
/// share a serial number, which RFC 5280 section 4.1.2.2 forbids.
fn serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes: [u8; 16] = random()?;
    // A positive number without a leading zero byte.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn random<const N: usize>() -> Result<[u8; N], rcgen::Error> {
    let mut bytes = [0; N];
    aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| rcgen::Error::RingUnspecified)?;
    Ok(bytes)
}
