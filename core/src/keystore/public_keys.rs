//! Reads public keys from PEM or DER: SubjectPublicKeyInfo, and the keys of certificates.

use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::pem;
use crate::error::{Error, Kind, key};
use crate::x509::Certificate;

/// Returns each SubjectPublicKeyInfo of the input, in its order; none for text without PEM.
///
/// Fails with `pem_invalid`. The error never quotes the input, which may be a private key.
///
/// * `what`: the start of an error's message.
pub(crate) fn public_keys(input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    pem::check_size(input, what)?;
    if pem::is_der(input) {
        return Ok(vec![key_of_certificate(input).unwrap_or_else(|| input.to_vec())]);
    }
    let mut keys = Vec::new();
    for (at, block) in <(SectionKind, Vec<u8>)>::pem_slice_iter(input).enumerate() {
        let fault = |why: &str| {
            let message = format!("{what}: PEM block {} {why}", at + 1);
            Error::new(Kind::PemInvalid, message).noting(key::POSITION, at + 1)
        };
        let (label, der) = block.map_err(|_| fault("is damaged or cut off"))?;
        keys.push(match label {
            SectionKind::PublicKey => der,
            SectionKind::Certificate => {
                key_of_certificate(&der).ok_or_else(|| fault("is no certificate"))?
            }
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(fault("holds a private key; give the public key alone"));
            }
            _ => return Err(fault("is neither a PUBLIC KEY nor a CERTIFICATE")),
        });
    }
    Ok(keys)
}

fn key_of_certificate(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.parsed().spki.to_vec())
}
