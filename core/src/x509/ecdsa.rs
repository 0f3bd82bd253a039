//! The two forms of an ECDSA signature: DER, which TLS has, and r and s in a row, which PKCS#11 and Azure
//! return.

use super::der::SEQUENCE;
use super::der_writer::{element, unsigned};

/// Returns the DER form (RFC 3279 section 2.2.3) of a signature.
///
/// * `r`, `s`: big-endian.
pub(crate) fn ecdsa_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[unsigned(r), unsigned(s)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_signature_becomes_der() {
        assert_eq!(ecdsa_der(&[0, 0, 1], &[0, 0x80, 0]), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 0]);
        assert_eq!(ecdsa_der(&[0, 0], &[0x7f]), [0x30, 6, 2, 1, 0, 2, 1, 0x7f]);
        let long = ecdsa_der(&[0xff; 66], &[1; 66]);
        assert_eq!((&long[..5], long.len()), (&[0x30, 0x81, 137, 2, 67][..], 140));
    }
}
