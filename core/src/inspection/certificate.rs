//! The facts of a certificate, and the verdicts on it.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::verdict::{Use, Verdict};
use crate::clock::utc_text;
use crate::material::Certificate;
use crate::material::expiry::{Expiring, Lifetime};
use crate::verify::millis;
use crate::x509::{
    San, common_name, hex, name_text, pin_text, purpose_name, serial_hex, signature_title, x5t_s256,
};

/// A certificate as a person reads it.
#[derive(Debug)]
pub struct CertificateFacts {
    /// The DER encoding.
    pub der: Vec<u8>,
    /// The subject as RFC 4514 text.
    pub subject: String,
    /// The common name of the subject.
    pub cn: Option<String>,
    /// The issuer as RFC 4514 text.
    pub issuer: String,
    /// Whether subject and issuer are one name.
    pub self_issued: bool,
    /// The serial number as hex.
    pub serial: String,
    /// The first instant of validity, in Unix seconds.
    pub not_before: i64,
    /// The last instant of validity, in Unix seconds.
    pub not_after: i64,
    /// The fraction of its lifetime that is left, from 1 to 0.
    pub lifetime_left: f64,
    /// What is to be said about its dates; `None` if they are well.
    pub date_warning: Option<String>,
    /// The names of the subjectAltName, with the usual prefix: `DNS:`, `IP:`, `URI:`, `email:`.
    pub names: Vec<String>,
    /// Whether it is a CA certificate.
    pub is_ca: bool,
    /// How many intermediates may stand below a CA.
    pub path_length: Option<u64>,
    /// The names of the purposes of extendedKeyUsage; `None` if the extension is absent.
    pub purposes: Option<Vec<String>>,
    /// The names of the bits of keyUsage; `None` if the extension is absent.
    pub key_usage: Option<Vec<&'static str>>,
    /// The algorithm of the key with its size or curve.
    pub key: String,
    /// The algorithm of the issuer's signature.
    pub signature: String,
    /// The pin of the key: `sha256/…`.
    pub spki_pin: String,
    /// The pin of this certificate alone: `cert-sha256/…`.
    pub certificate_pin: String,
    /// The SHA-256 of the certificate as hex.
    pub fingerprint: String,
    /// The same as base64url (RFC 8705).
    pub x5t_s256: String,
    /// What this crate says of it in each use.
    pub verdicts: Vec<Verdict>,
}

impl CertificateFacts {
    /// * `now`: Unix seconds.
    pub(super) fn of(certificate: &Certificate, now: i64) -> Self {
        let parsed = certificate.parsed();
        let digest: [u8; 32] = Sha256::digest(certificate.der()).into();
        let name = |name| match name {
            San::Dns(dns) => format!("DNS:{dns}"),
            San::Ip(address) => format!("IP:{address}"),
            San::Uri(uri) => format!("URI:{uri}"),
            San::Email(email) => format!("email:{email}"),
        };
        let lifetime = Lifetime {
            what: Expiring::Identity,
            name: String::new(),
            not_before: parsed.not_before,
            not_after: parsed.not_after,
        };
        let lifetime_left = lifetime.fraction_left(now);
        let has_purposes = parsed.purposes().next().is_some();
        Self {
            der: certificate.der().to_vec(),
            subject: name_text(parsed.subject),
            cn: common_name(parsed.subject),
            issuer: name_text(parsed.issuer),
            self_issued: parsed.is_self_issued(),
            serial: serial_hex(parsed.serial),
            not_before: parsed.not_before,
            not_after: parsed.not_after,
            lifetime_left,
            date_warning: date_warning(parsed.not_before, parsed.not_after, lifetime_left, now),
            names: parsed.sans().map(name).collect(),
            is_ca: parsed.is_ca,
            path_length: parsed.path_length,
            purposes: has_purposes.then(|| parsed.purposes().map(purpose_name).collect()),
            key_usage: parsed.key_usages(),
            key: parsed.key.name(),
            signature: signature_title(parsed.signed.algorithm),
            spki_pin: pin_text(&parsed.spki_digest()),
            certificate_pin: format!("cert-{}", pin_text(&digest)),
            fingerprint: hex(&digest),
            x5t_s256: x5t_s256(&digest),
            verdicts: Use::ALL.iter().map(|of| Verdict::on(certificate, *of, now)).collect(),
        }
    }

    /// Returns the verdict on one use.
    pub fn verdict(&self, of: Use) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.of == of)
    }

    pub(super) fn to_json(&self) -> Value {
        let verdicts: serde_json::Map<String, Value> = self
            .verdicts
            .iter()
            .map(|verdict| (verdict.of.name().to_owned(), verdict.to_json()))
            .collect();
        json!({
            "type": "certificate",
            "subject": self.subject,
            "cn": self.cn,
            "issuer": self.issuer,
            "self_issued": self.self_issued,
            "serial": self.serial,
            "not_before_ms": millis(self.not_before),
            "not_after_ms": millis(self.not_after),
            "lifetime_left": self.lifetime_left,
            "date_warning": self.date_warning,
            "names": self.names,
            "is_ca": self.is_ca,
            "path_length": self.path_length,
            "purposes": self.purposes,
            "key_usage": self.key_usage,
            "key": self.key,
            "signature": self.signature,
            "spki_pin": self.spki_pin,
            "certificate_pin": self.certificate_pin,
            "fingerprint": self.fingerprint,
            "x5t_s256": self.x5t_s256,
            "verdicts": verdicts,
        })
    }
}

/// Returns the pin of a public key, `sha256/…`.
///
/// * `spki`: its SubjectPublicKeyInfo in DER.
pub fn pin_of_spki(spki: &[u8]) -> String {
    pin_text(&Sha256::digest(spki).into())
}

/// The fraction of its lifetime from which on a certificate is about to expire: the default of the option
/// `expiry_warning`.
const EXPIRY_WARNING: f64 = 0.2;

fn date_warning(not_before: i64, not_after: i64, left: f64, now: i64) -> Option<String> {
    if now > not_after {
        return Some(format!("expired on {}", utc_text(not_after)));
    }
    if now < not_before {
        return Some(format!("not valid before {}", utc_text(not_before)));
    }
    (left <= EXPIRY_WARNING).then(|| {
        format!("{:.0} % of its lifetime is left: it ends on {}", left * 100.0, utc_text(not_after))
    })
}
