//! RFC 9440: byte sequences of structured fields (RFC 8941 section 3.3.5).

use super::decode::{Fault, MOST, one_der};

/// One byte sequence with a DER certificate: `:base64:`. RFC 9440 defines no parameters.
pub(super) fn item(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    byte_sequence(value).map(|der| vec![der])
}

/// A list of byte sequences. White space may surround a comma.
pub(super) fn list(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    value.split(',').take(MOST).map(|member| byte_sequence(member.trim_matches(' '))).collect()
}

fn byte_sequence(text: &str) -> Result<Vec<u8>, Fault> {
    let inner = text.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
    one_der(inner.ok_or(Fault("is not a byte sequence between colons"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_one_byte_sequence() {
        assert_eq!(item(":MAA=:"), Ok(vec![vec![0x30, 0]]));
        for bad in
            ["", ":", "::", "MAA=", ":MAA=", "MAA=:", "\"MAA=\"", ":MAA=:;a=1", ":MAA=:,:MAA=:"]
        {
            assert!(item(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_has_no_empty_member() {
        assert_eq!(list(":MAA=:").map(|ders| ders.len()), Ok(1));
        assert_eq!(list(":MAA=: , :MAA=:,:MAA=:").map(|ders| ders.len()), Ok(3));
        for bad in ["", ",", ":MAA=:,", ",:MAA=:", ":MAA=:,,:MAA=:", "(:MAA=:)", ":MAA=: :MAA=:"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }
}
