//! Everything that a file holds, for a person who asks what it is. What is used in production is read by
//! `pem` and `pkcs12`, which take one kind of content.

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::blocks::Label;
use super::pem::{Contents, concatenated, key_of_block, key_of_der, opened, text_fault};
use super::pkcs12;
use super::recognize::Structure;
use crate::error::{Error, Kind};
use crate::limits::CRLS;
use crate::x509::Certificate;

const FILE: &str = "the file";

/// How a file is encoded. Exhaustive: only the command uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// PEM text (RFC 7468).
    Pem,
    /// DER.
    Der,
    /// PKCS#12 (RFC 7292).
    Pkcs12,
}

impl Encoding {
    /// Returns its name for a person.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pem => "PEM",
            Self::Der => "DER",
            Self::Pkcs12 => "PKCS#12",
        }
    }
}

/// One part of a file. A part that cannot be read does not hide the others.
pub(crate) enum Part {
    /// A certificate in DER.
    Certificate(Vec<u8>),
    /// A CRL in DER.
    Crl(Vec<u8>),
    /// A private key, and whether it is encrypted in the file.
    Key { key: PrivateKeyDer<'static>, encrypted: bool },
    /// A part that cannot be read, and whether it is a private key.
    Unreadable { fault: Error, is_key: bool },
}

/// Returns the encoding of a file and its parts, in their order.
///
/// * `passphrase`: of a PKCS#12 file or an encrypted key.
///
/// Fails with `pem_invalid`, also if the file holds none, and with `key_encrypted` for a PKCS#12 file that the
/// passphrase does not open.
pub(crate) fn parts(
    file: &[u8],
    passphrase: Option<&[u8]>,
) -> Result<(Encoding, Vec<Part>), Error> {
    let (encoding, parts) = opened(file, FILE, CRLS, |contents| match contents {
        Contents::Der(der) => of_der(der, passphrase),
        Contents::Blocks(blocks) => {
            let parts = blocks.iter().map(|block| match block.label {
                Label::Certificate | Label::Crl => match block.der() {
                    Ok(der) if block.label == Label::Crl => Part::Crl(der),
                    Ok(der) => Part::Certificate(der),
                    Err(fault) => {
                        Part::Unreadable { fault: text_fault(FILE, fault), is_key: false }
                    }
                },
                label => {
                    let is_marked = label == Label::EncryptedPkcs8;
                    let is_encrypted = is_marked
                        || block
                            .der()
                            .is_ok_and(|der| Structure::of(&der) == Structure::EncryptedKey);
                    of_key(key_of_block(block, passphrase), is_encrypted)
                }
            });
            Ok((Encoding::Pem, parts.collect()))
        }
    })?;
    if parts.is_empty() {
        return Err(Error::new(Kind::PemInvalid, "the file holds no certificate, key or CRL"));
    }
    Ok((encoding, parts))
}

fn of_key(key: Result<PrivateKeyDer<'static>, Error>, encrypted: bool) -> Part {
    match key {
        Ok(key) => Part::Key { key, encrypted },
        Err(fault) => Part::Unreadable { fault, is_key: true },
    }
}

fn of_der(der: &[u8], passphrase: Option<&[u8]>) -> Result<(Encoding, Vec<Part>), Error> {
    match Structure::of(der) {
        Structure::Pkcs12 => {
            let Some(passphrase) = passphrase else {
                let why = "PKCS#12: the file is encrypted, and no passphrase was given";
                return Err(Error::new(Kind::KeyEncrypted, why));
            };
            let (keys, certificates) = pkcs12::open(der, passphrase)?;
            let keys = keys.into_iter().map(|key| {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
                Part::Key { key, encrypted: true }
            });
            let parts = keys.chain(certificates.into_iter().map(Part::Certificate)).collect();
            Ok((Encoding::Pkcs12, parts))
        }
        structure @ (Structure::PrivateKey | Structure::EncryptedKey) => {
            let is_encrypted = structure == Structure::EncryptedKey;
            Ok((Encoding::Der, vec![of_key(key_of_der(der, passphrase), is_encrypted)]))
        }
        // The error names the format.
        Structure::Pkcs7 => Err(key_of_der(der, None).err().unwrap_or_else(|| {
            Error::new(Kind::PemInvalid, "the file is a PKCS#7 file, which is not supported")
        })),
        Structure::Other => {
            let elements = concatenated(der, FILE)?;
            let part = |der: Vec<u8>| {
                let is_crl = Certificate::from_der(&der).is_err() && is_crl(&der);
                if is_crl { Part::Crl(der) } else { Part::Certificate(der) }
            };
            Ok((Encoding::Der, elements.into_iter().map(part).collect()))
        }
    }
}

/// Returns whether DER that is not a sound certificate has the shape of a CRL: its third field is a time,
/// where a certificate has its issuer.
fn is_crl(der: &[u8]) -> bool {
    use crate::x509::der::{self, Reader};
    let read = || {
        let mut list = Reader::new(der).nested(der::SEQUENCE)?;
        let mut tbs = list.nested(der::SEQUENCE)?;
        tbs.optional(der::INTEGER)?;
        tbs.content(der::SEQUENCE)?;
        tbs.content(der::SEQUENCE)?;
        tbs.any()
    };
    read().is_ok_and(|field| matches!(field.tag, der::UTC_TIME | der::GENERALIZED_TIME))
}
