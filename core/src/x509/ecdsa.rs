//! The two forms of an ECDSA signature: DER, which TLS has, and r and s in a row, which PKCS#11 and Azure
//! return.

use super::der::{INTEGER, SEQUENCE};

/// Returns the DER form (RFC 3279 section 2.2.3) of a signature.
///
/// * `r`, `s`: big-endian, at most 66 bytes each.
pub(crate) fn ecdsa_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let content = [integer(r), integer(s)].concat();
    element(SEQUENCE, &content)
}

/// Encodes an unsigned number: without leading zeros, and with one if the first bit is set.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[zeros.min(bytes.len().saturating_sub(1))..];
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(INTEGER, &[sign, digits].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    #[allow(clippy::cast_possible_truncation, reason = "at most 2 * 69 bytes")]
    let header: &[u8] =
        if length < 0x80 { &[tag, length as u8] } else { &[tag, 0x81, length as u8] };
    [header, content].concat()
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
