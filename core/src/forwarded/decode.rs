//! The encodings that several dialects share. Each is strict: one reading, or a fault.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::pem_text;
use crate::verify::MAX_CHAIN;
use crate::x509::der::Reader;
use crate::x509::hex;

/// The most certificates that a decoder returns: one more than the verifier accepts, so that it refuses
/// the chain by its length.
pub(super) const MOST: usize = MAX_CHAIN + 1;

/// Why a value is not what the dialect writes. The text continues a sentence about the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) &'static str);

/// Decodes a value to certificates, leaf first, at least one.
pub(super) type Decode = fn(&str) -> Result<Vec<Vec<u8>>, Fault>;

/// The decoded certificates, leaf first.
pub(super) struct Chain {
    pub(super) ders: Vec<Vec<u8>>,
    /// Whether they are all that the client presented.
    pub(super) is_whole: bool,
}

/// Base64 with padding of one DER element.
pub(super) fn base64_der(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    one_der(value).map(|der| vec![der])
}

/// The same, several times, separated by commas.
pub(super) fn base64_ders_by_commas(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    value.split(',').take(MOST).map(one_der).collect()
}

/// Base64 of several DER elements in a row.
pub(super) fn base64_of_concatenated_ders(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    let bytes = base64(value)?;
    let mut reader = Reader::new(&bytes);
    let mut ders = Vec::new();
    while !reader.is_empty() && ders.len() < MOST {
        let element = reader.any().map_err(|_| Fault("is not DER"))?;
        ders.push(element.whole.to_vec());
    }
    if ders.is_empty() { Err(Fault("is empty")) } else { Ok(ders) }
}

/// Percent-encoded PEM, where every reserved character is encoded.
pub(super) fn percent_encoded_pem(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    pem_text::blocks(&percent_decoded(value, b"")?, '\n')
}

/// Percent-encoded PEM of AWS, which leaves `+`, `=` and `/` as they are.
pub(super) fn percent_encoded_pem_of_aws(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    pem_text::blocks(&percent_decoded(value, b"+=/")?, '\n')
}

/// PEM with a space in place of each line break.
pub(super) fn pem_in_one_line(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    pem_text::blocks(value, ' ')
}

/// Decodes `%XX`. Other characters are unreserved (RFC 3986 section 2.3) or in `literal`. A `+` is never
/// a space: that is the encoding of forms.
fn percent_decoded(value: &str, literal: &[u8]) -> Result<String, Fault> {
    let mut decoded = String::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                match (digit(bytes.next()), digit(bytes.next())) {
                    (Some(high), Some(low)) => u8::try_from(high << 4 | low).unwrap_or(0xff),
                    _ => return Err(Fault("has a % without two hex digits")),
                }
            }
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => byte,
            _ if literal.contains(&byte) => byte,
            _ => return Err(Fault("has a character that should be percent-encoded")),
        };
        if !byte.is_ascii() {
            return Err(Fault("is not PEM"));
        }
        decoded.push(char::from(byte));
    }
    Ok(decoded)
}

/// Decodes base64 with its padding, and without white space.
pub(super) fn base64(value: &str) -> Result<Vec<u8>, Fault> {
    BASE64_STANDARD.decode(value).map_err(|_| Fault("is not base64 with padding"))
}

/// Decodes base64 of exactly one DER element.
pub(super) fn one_der(value: &str) -> Result<Vec<u8>, Fault> {
    let bytes = base64(value)?;
    let mut reader = Reader::new(&bytes);
    reader.any().and_then(|_| reader.end()).map_err(|_| Fault("is not one DER element"))?;
    Ok(bytes)
}

/// Whether the text is the SHA-256 of the bytes in hex.
pub(super) fn is_digest_of(text: &str, der: &[u8]) -> bool {
    text.eq_ignore_ascii_case(&hex(&Sha256::digest(der)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_never_the_encoding_of_forms() {
        assert_eq!(percent_decoded("a%20b%2B", b""), Ok("a b+".to_owned()));
        assert!(percent_decoded("a+b", b"").is_err());
        assert_eq!(percent_decoded("a+b", b"+"), Ok("a+b".to_owned()));
        for bad in ["%", "%2", "%zz", "%+1", "%80", "a b", "a\"b"] {
            assert!(percent_decoded(bad, b"").is_err(), "{bad}");
        }
    }

    #[test]
    fn base64_has_one_spelling_and_one_element() {
        assert_eq!(one_der("MAA="), Ok(vec![0x30, 0x00]));
        for bad in ["", "MAA", "MA==", "MAAwAA==", " MAA=", "MAA=\n", "MAB=", "MA-_"] {
            assert!(one_der(bad).is_err(), "{bad:?}");
        }
        assert_eq!(base64_of_concatenated_ders("MAAwAA=="), Ok(vec![vec![0x30, 0]; 2]));
        assert_eq!(base64_ders_by_commas("MAA=,MAA=").map(|ders| ders.len()), Ok(2));
        for bad in ["MAA=,", ",MAA=", "MAA=, MAA=", "MAA=;MAA="] {
            assert!(base64_ders_by_commas(bad).is_err(), "{bad}");
        }
        assert_eq!(base64_ders_by_commas(&["MAA="; 40].join(",")).map(|ders| ders.len()), Ok(MOST));
    }
}
