//! What requests and the lab share: keys, names and serial numbers, made with rcgen.

use std::fmt::Display;
use std::net::IpAddr;

use aws_lc_rs::signature::Ed25519KeyPair;
use clap::{Arg, ArgMatches};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PublicKeyData as _, SanType, SerialNumber,
};
use rustls::crypto::aws_lc_rs as provider;
use rustls_pki_types::PrivatePkcs8KeyDer;
use webhook_mtls::bindings::inspection::pin_of_spki;

use crate::cli::{text, texts, value, values};
use crate::exit::Failure;

/// The types of keys, the default first. Consumers of every kind can verify them.
const KEY_TYPES: [&str; 3] = ["p256", "p384", "ed25519"];

/// The longest name.
const LONGEST: usize = 253;

/// Returns the option for the type of a key.
pub(crate) fn key_type_option() -> Arg {
    value("key-type", "TYPE", "The type of the key [default: p256]").value_parser(KEY_TYPES)
}

/// Returns the options for the names of a leaf.
pub(crate) fn name_options() -> [Arg; 3] {
    [
        values("uri", "URI", "A SAN URI, such as spiffe://corp/webhooks"),
        values("dns", "NAME", "A SAN DNS name"),
        values("ip", "ADDRESS", "A SAN IP address"),
    ]
}

/// Makes a key of the type that the options say.
pub(crate) fn new_key(matches: &ArgMatches) -> Result<KeyPair, Failure> {
    let made = match text(matches, "key-type") {
        Some("p384") => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        Some("ed25519") => return new_ed25519(),
        _ => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
    };
    made.map_err(|error| failed(KEY_FAILED, error))
}

const KEY_FAILED: &str = "the key cannot be made";

/// Makes an Ed25519 key in version 1 of PKCS#8 (RFC 5208). OpenSSL before 3.2 reads no version 2, which has the
/// public key inside.
fn new_ed25519() -> Result<KeyPair, Failure> {
    let key = Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8v1());
    let key = key.map_err(|error| failed(KEY_FAILED, error))?;
    let der = PrivatePkcs8KeyDer::from(key.as_ref().to_vec());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
        .map_err(|error| failed(KEY_FAILED, error))
}

/// Returns the names of the options.
pub(crate) fn names(matches: &ArgMatches) -> Result<Vec<SanType>, Failure> {
    let mut names = Vec::new();
    for uri in texts(matches, "uri") {
        names.push(san("URI", uri)?);
    }
    for name in texts(matches, "dns") {
        names.push(san("DNS", name)?);
    }
    for address in texts(matches, "ip") {
        names.push(san("IP", address)?);
    }
    Ok(names)
}

/// Returns a name of a subjectAltName.
///
/// * `kind`: `URI`, `DNS` or `IP`.
pub(crate) fn san(kind: &str, text: &str) -> Result<SanType, Failure> {
    let fault = |why: &str| Failure::usage(format_args!("the {kind} name {why}"));
    if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(fault("must be 1 to 253 printable ASCII characters without a space"));
    }
    let ascii = || text.to_owned().try_into().map_err(|_| fault("must be ASCII"));
    match kind {
        "URI" if !text.contains("://") => Err(fault("must be absolute, such as spiffe://corp/x")),
        "URI" => Ok(SanType::URI(ascii()?)),
        "IP" => {
            let address = text.parse::<IpAddr>();
            address.map(SanType::IpAddress).map_err(|_| fault("must be an IP address"))
        }
        _ if text.contains(['/', ':', '@']) => Err(fault("must be a host name")),
        _ => Ok(SanType::DnsName(ascii()?)),
    }
}

/// Returns a subject with this common name.
pub(crate) fn subject(common_name: &str) -> Result<DistinguishedName, Failure> {
    // RFC 5280 appendix A.1: ub-common-name.
    let is_sound = !common_name.is_empty()
        && common_name.chars().count() <= 64
        && !common_name.chars().any(char::is_control);
    if !is_sound {
        return Err(Failure::usage(
            "a subject must be 1 to 64 characters without control characters",
        ));
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    Ok(subject)
}

/// Returns the contents of a leaf, without dates.
pub(crate) fn leaf(
    common_name: &str,
    names: Vec<SanType>,
    is_server: bool,
) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(common_name)?;
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![if is_server {
        ExtendedKeyUsagePurpose::ServerAuth
    } else {
        ExtendedKeyUsagePurpose::ClientAuth
    }];
    Ok(params)
}

/// Returns a random serial number: positive, and no leading zero byte.
pub(crate) fn serial() -> Result<SerialNumber, Failure> {
    let mut bytes: [u8; 16] = random()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Returns random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let random = provider::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| Failure::machine("the system gives no random numbers"))?;
    Ok(bytes)
}

/// Returns the pin of a key.
pub(crate) fn pin(key: &KeyPair) -> String {
    pin_of_spki(&key.subject_public_key_info())
}

pub(crate) fn failed(what: &str, error: impl Display) -> Failure {
    Failure::machine(format_args!("{what}: {error}"))
}
