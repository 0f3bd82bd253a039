//! What a file holds, and what this crate says of each part in each role. For a person who asks: nothing in
//! production depends on this room, and it has no rule of its own.

mod certificate;
mod server;
mod verdict;

use serde_json::{Value, json};

pub use crate::keystore::contents::Encoding;
pub use certificate::{CertificateFacts, pin_of_spki};
pub use server::{server_key, server_key_of_pkcs12, subjects};
pub use verdict::{Use, Verdict, meaning};

use crate::clock;
use crate::error::Error;
use crate::keystore::contents::{self, Part};
use crate::keystore::private_key;
use crate::verify::millis;
use crate::x509::{Crl, Key, algorithms, hex, name_text, signature_title};

/// A file, and the parts in it.
#[derive(Debug)]
pub struct Inspection {
    /// How the file is encoded.
    pub encoding: Encoding,
    /// The parts, in the order of the file.
    pub items: Vec<Item>,
}

/// A part of a file. Exhaustive: only the command uses it, and must show every part.
#[derive(Debug)]
pub enum Item {
    /// A certificate, and the verdicts on it.
    Certificate(Box<CertificateFacts>),
    /// A private key. Nothing shows it.
    PrivateKey(KeyFacts),
    /// A certificate revocation list.
    Crl(CrlFacts),
    /// A part that cannot be read.
    Unreadable {
        /// What it is: `certificate`, `private_key` or `crl`.
        what: &'static str,
        /// Why it cannot be read.
        fault: Error,
    },
}

/// The facts of a private key that are no secret.
#[derive(Debug)]
pub struct KeyFacts {
    /// The algorithm with its size or curve.
    pub algorithm: String,
    /// Whether it is encrypted in the file.
    pub encrypted: bool,
    /// The pin of its public key, by which its certificate is found.
    pub spki_pin: String,
}

/// The facts of a CRL.
#[derive(Debug)]
pub struct CrlFacts {
    /// The issuer as RFC 4514 text.
    pub issuer: String,
    /// The CRL number as hex, if it has one.
    pub number: Option<String>,
    /// The time of issue, in Unix seconds.
    pub this_update: i64,
    /// The time at which the next one is due, in Unix seconds.
    pub next_update: i64,
    /// How many certificates it revokes.
    pub revoked: usize,
    /// The algorithm of its signature.
    pub signature: String,
    /// Whether it is past `next_update`, so that a peer that it should cover is refused.
    pub outdated: bool,
}

impl Inspection {
    /// Reads a file and judges every certificate in it at the current time.
    ///
    /// * `file`: its content, at most 64 MiB.
    /// * `passphrase`: of a PKCS#12 file, or of encrypted keys.
    ///
    /// # Errors
    ///
    /// Fails with `pem_invalid` if the file holds no certificate, key or CRL, with `key_encrypted` if a PKCS#12
    /// file cannot be opened, and with `clock_implausible`.
    pub fn of(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        let now = clock::now()?;
        let (encoding, parts) = contents::parts(file, passphrase)?;
        let mut crls = 0;
        let items = parts.into_iter().enumerate().map(|(at, part)| match part {
            Part::Certificate(der) => Item::of_certificate(&der, at, now),
            Part::Crl(der) => {
                crls += 1;
                Item::of_crl(der, crls - 1, now)
            }
            Part::Key { key, encrypted } => {
                let signer = algorithms::signing_key(&key)
                    .and_then(|key| key.public_key().map(|key| key.to_vec()));
                match signer {
                    Some(spki) => Item::PrivateKey(KeyFacts {
                        algorithm: Key::of_spki(&spki).map_or_else(|_| "unknown".into(), Key::name),
                        encrypted,
                        spki_pin: pin_of_spki(&spki),
                    }),
                    None => {
                        Item::Unreadable { what: "private_key", fault: private_key::unusable(&key) }
                    }
                }
            }
            Part::Unreadable { fault, is_key } => {
                Item::Unreadable { what: if is_key { "private_key" } else { "certificate" }, fault }
            }
        });
        Ok(Self { encoding, items: items.collect() })
    }
}

impl Item {
    /// Judges a certificate in DER at the current time.
    ///
    /// # Errors
    ///
    /// Fails with `clock_implausible`.
    pub fn of_der(der: &[u8]) -> Result<Self, Error> {
        Ok(Self::of_certificate(der, 0, clock::now()?))
    }

    fn of_certificate(der: &[u8], at: usize, now: i64) -> Self {
        match crate::keystore::pem::certificate(der, "the file", at) {
            Ok(certificate) => Self::Certificate(Box::new(CertificateFacts::of(&certificate, now))),
            Err(fault) => Self::Unreadable { what: "certificate", fault },
        }
    }

    fn of_crl(der: Vec<u8>, at: usize, now: i64) -> Self {
        match Crl::read(der, at) {
            Ok(crl) => Self::Crl(CrlFacts {
                issuer: name_text(&crl.issuer),
                number: crl.number().map(hex),
                this_update: crl.this_update,
                next_update: crl.next_update,
                revoked: crl.count(),
                signature: signature_title(crl.signature_algorithm()),
                outdated: crl.next_update < now,
            }),
            Err(fault) => Self::Unreadable { what: "crl", fault },
        }
    }

    /// Returns its facts as JSON. Instants are Unix milliseconds.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Certificate(facts) => facts.to_json(),
            Self::PrivateKey(facts) => json!({
                "type": "private_key",
                "algorithm": facts.algorithm,
                "encrypted": facts.encrypted,
                "spki_pin": facts.spki_pin,
            }),
            Self::Crl(facts) => json!({
                "type": "crl",
                "issuer": facts.issuer,
                "number": facts.number,
                "this_update_ms": millis(facts.this_update),
                "next_update_ms": millis(facts.next_update),
                "revoked": facts.revoked,
                "signature": facts.signature,
                "outdated": facts.outdated,
            }),
            Self::Unreadable { what, fault } => {
                json!({ "type": "unreadable", "what": what, "error": fault.to_json() })
            }
        }
    }
}
