//! A CA with two hundred thousand revoked certificates, and a chain of it that is not revoked.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

/// The number of revoked certificates.
const REVOKED: u64 = 200_000;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The chain of a client with its root, and the CRLs of its CAs.
pub(crate) struct Revoked {
    pub(crate) root: String,
    /// DER, leaf first.
    pub(crate) chain: Vec<Vec<u8>>,
    /// PEM: that of the root, which is empty, and that of the intermediate.
    pub(crate) crls: [String; 2],
}

impl Revoked {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let params = ca("root");
        let root_pem = params.self_signed(&key)?.pem();
        let root = Issuer::new(params, key);

        let key = KeyPair::generate()?;
        let params = ca("issuing");
        let issuing_der = params.signed_by(&key, &root)?.der().to_vec();
        let issuing = Issuer::new(params, key);

        let mut params = named("client");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf = params.signed_by(&KeyPair::generate()?, &issuing)?.der().to_vec();
        let crls = [crl(&root, 0)?, crl(&issuing, REVOKED)?];
        Ok(Self { root: root_pem, chain: vec![leaf, issuing_der], crls })
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn ca(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn crl(issuer: &Issuer<'_, KeyPair>, revoked: u64) -> Result<String, rcgen::Error> {
    let now = SystemTime::now();
    // An odd factor spreads the serial numbers, as random ones are.
    let serial = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    let list = CertificateRevocationListParams {
        this_update: now.into(),
        next_update: (now + DAY).into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: (1..=revoked)
            .map(|number| RevokedCertParams {
                serial_number: SerialNumber::from(serial(number)),
                revocation_time: now.into(),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer)?.pem()
}
