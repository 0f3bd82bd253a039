//! Describes a private key that cannot sign in a handshake.

use rustls_pki_types::PrivateKeyDer;

use crate::error::{Error, Kind};
use crate::x509::Key;
use crate::x509::der::{self, Malformed, Reader};

/// Makes the error for a key that no signer takes: its algorithm and size if they are the reason.
pub(crate) fn unusable(key: &PrivateKeyDer<'_>) -> Error {
    match read(key).ok().and_then(Key::weakness) {
        Some(weakness) => Error::new(Kind::PemInvalid, format!("private key: {weakness}"))
            .advising(
                "Use an RSA key of 2048 to 8192 bits, P-256, P-384, P-521, Ed25519 or ML-DSA, and a \
                 certificate for it.",
            ),
        None => Error::new(Kind::PemInvalid, "private key: it is damaged or incomplete")
            .advising("Export the key again, and compare both with: openssl pkey -in … -check"),
    }
}

/// Returns the kind of the key.
fn read(key: &PrivateKeyDer<'_>) -> Result<Key, Malformed> {
    let mut outer = Reader::new(key.secret_der());
    let mut parts = outer.nested(der::SEQUENCE)?;
    match key {
        // RFC 5208: version, algorithm, the key in an OCTET STRING.
        PrivateKeyDer::Pkcs8(_) => {
            parts.content(der::INTEGER)?;
            let algorithm = parts.content(der::SEQUENCE)?;
            let inner = parts.content(der::OCTET_STRING)?;
            Key::of(algorithm, || rsa_numbers(Reader::new(inner).nested(der::SEQUENCE)?))
        }
        PrivateKeyDer::Pkcs1(_) => {
            let (modulus, exponent) = rsa_numbers(parts)?;
            Ok(Key::of_rsa(modulus, exponent))
        }
        // RFC 5915: version, the key in an OCTET STRING, the curve.
        PrivateKeyDer::Sec1(_) => {
            parts.content(der::INTEGER)?;
            parts.content(der::OCTET_STRING)?;
            let curve = parts.nested(der::context(0, true))?.content(der::OID).ok();
            Ok(Key::of_curve(curve))
        }
        _ => Err(Malformed("is not a private key")),
    }
}

/// Reads the modulus and the public exponent of an RSAPrivateKey (RFC 8017 appendix A.1.2).
fn rsa_numbers(mut key: Reader<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    key.content(der::INTEGER)?;
    Ok((key.content(der::INTEGER)?, key.content(der::INTEGER)?))
}
