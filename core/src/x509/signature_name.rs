//! The usual names of signature algorithms and purposes, for messages.

use super::algorithms::SIGNATURES;
use super::der::{self, Reader};
use super::name::dotted;

/// Returns the name and the object identifier of a signature algorithm.
///
/// * `algorithm`: the content of its AlgorithmIdentifier.
pub(crate) fn signature_name(algorithm: &[u8]) -> String {
    let Ok(id) = Reader::new(algorithm).content(der::OID) else {
        return "a malformed algorithm".to_owned();
    };
    let name = match id {
        // RSA (RFC 8017 appendix A.2).
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
            2 => "md2WithRSAEncryption",
            4 => "md5WithRSAEncryption",
            5 => "sha1WithRSAEncryption",
            10 => "RSASSA-PSS with these parameters",
            11 => "sha256WithRSAEncryption with these parameters",
            12 => "sha384WithRSAEncryption with these parameters",
            13 => "sha512WithRSAEncryption with these parameters",
            14 => "sha224WithRSAEncryption",
            _ => "",
        },
        // ECDSA (RFC 3279, RFC 5758).
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => "ecdsa-with-SHA1",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 1] => "ecdsa-with-SHA224",
        // DSA (RFC 3279, RFC 5758).
        [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03] => "dsa-with-SHA1",
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 1] => "dsa-with-SHA224",
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 2] => "dsa-with-SHA256",
        // RFC 8410.
        [0x2b, 0x65, 0x71] => "Ed448",
        _ => "",
    };
    if name.is_empty() { dotted(id) } else { format!("{name} ({})", dotted(id)) }
}

/// Returns the name of a signature algorithm that is accepted, or [`signature_name`] of any other.
///
/// * `algorithm`: the content of its AlgorithmIdentifier.
pub(crate) fn signature_title(algorithm: &[u8]) -> String {
    let accepted = SIGNATURES.all.iter().map(|known| known.signature_alg_id());
    let is_accepted = accepted.into_iter().any(|known| known.as_ref() == algorithm);
    let id = Reader::new(algorithm).content(der::OID).ok().filter(|_| is_accepted);
    let name = match id {
        Some([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last]) => match last {
            10 => "RSASSA-PSS",
            11 => "sha256WithRSAEncryption",
            12 => "sha384WithRSAEncryption",
            13 => "sha512WithRSAEncryption",
            _ => "",
        },
        Some([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last]) => match last {
            2 => "ecdsa-with-SHA256",
            3 => "ecdsa-with-SHA384",
            4 => "ecdsa-with-SHA512",
            _ => "",
        },
        Some([0x2b, 0x65, 0x70]) => "Ed25519",
        Some([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, last]) => match last {
            17 => "ML-DSA-44",
            18 => "ML-DSA-65",
            19 => "ML-DSA-87",
            _ => "",
        },
        _ => "",
    };
    if name.is_empty() { signature_name(algorithm) } else { name.to_owned() }
}

/// Returns the name of a purpose of extendedKeyUsage, or its object identifier.
pub(crate) fn purpose_name(id: &[u8]) -> String {
    let name = match id {
        [0x55, 0x1d, 0x25, 0x00] => "anyExtendedKeyUsage",
        [0x2b, 6, 1, 5, 5, 7, 3, last] => match last {
            1 => "serverAuth",
            2 => "clientAuth",
            3 => "codeSigning",
            4 => "emailProtection",
            8 => "timeStamping",
            9 => "OCSPSigning",
            _ => "",
        },
        _ => "",
    };
    if name.is_empty() { dotted(id) } else { name.to_owned() }
}
