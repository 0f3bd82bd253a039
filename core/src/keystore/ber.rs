//! Converts BER to DER (X.690), for files that other tools write with indefinite lengths or with strings
//! in several parts: Firefox and NSS, older Windows.

use crate::x509::der::{self, Malformed};

/// The deepest nesting. A PKCS#12 file has about ten levels.
const MAX_DEPTH: u8 = 24;

/// The bit of a tag that marks a constructed element.
const CONSTRUCTED: u8 = 0x20;

/// Returns the only element of the input with definite, minimal lengths and with strings in one part.
/// The content of a primitive element is not changed.
pub(super) fn to_der(input: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut rest = input;
    let mut output = Vec::with_capacity(input.len());
    convert(&mut rest, 0, &mut output)?;
    if rest.is_empty() { Ok(output) } else { Err(Malformed("has trailing bytes")) }
}

/// Converts the element at the start of `rest`.
fn convert(rest: &mut &[u8], depth: u8, output: &mut Vec<u8>) -> Result<(), Malformed> {
    let header = Header::read(rest, depth)?;
    if header.tag == der::OCTET_STRING | CONSTRUCTED {
        let mut content = Vec::new();
        header.each(rest, |rest| join(rest, depth + 1, &mut content))?;
        return write(der::OCTET_STRING, &content, output);
    }
    if header.tag & CONSTRUCTED == 0 {
        return write(header.tag, header.content(rest)?, output);
    }
    let mut content = Vec::new();
    header.each(rest, |rest| convert(rest, depth + 1, &mut content))?;
    write(header.tag, &content, output)
}

/// Appends the content of a part of an OCTET STRING.
fn join(rest: &mut &[u8], depth: u8, content: &mut Vec<u8>) -> Result<(), Malformed> {
    let header = Header::read(rest, depth)?;
    match header.tag {
        der::OCTET_STRING => content.extend_from_slice(header.content(rest)?),
        tag if tag == der::OCTET_STRING | CONSTRUCTED => {
            header.each(rest, |rest| join(rest, depth + 1, content))?;
        }
        _ => return Err(Malformed("has a string with parts of another type")),
    }
    Ok(())
}

/// A tag and a length. `None` for the indefinite length.
struct Header {
    tag: u8,
    length: Option<usize>,
}

impl Header {
    fn read(rest: &mut &[u8], depth: u8) -> Result<Self, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed("nests its elements too deeply"));
        }
        let [tag, first, after @ ..] = *rest else {
            return Err(Malformed("ends where an element is expected"));
        };
        if tag & 0x1f == 0x1f {
            return Err(Malformed("has a tag of more than one byte"));
        }
        let count = usize::from(first & 0x7f);
        let (length, after) = match first {
            0x80 if tag & CONSTRUCTED != 0 => (None, after),
            0..0x80 => (Some(count), after),
            _ if count == 0 || count > 4 || after.len() < count => {
                return Err(Malformed("has a malformed or oversized length"));
            }
            _ => {
                let (digits, after) = after.split_at(count);
                let length =
                    digits.iter().fold(0usize, |sum, digit| sum << 8 | usize::from(*digit));
                (Some(length), after)
            }
        };
        *rest = after;
        Ok(Self { tag: *tag, length })
    }

    /// Takes the content of a definite length.
    fn content<'a>(&self, rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
        let length = self.length.ok_or(Malformed("has a malformed or oversized length"))?;
        let (content, after) =
            rest.split_at_checked(length).ok_or(Malformed("ends within an element"))?;
        *rest = after;
        Ok(content)
    }

    /// Calls `child` for each element inside, which takes it from the input.
    fn each(
        &self,
        rest: &mut &[u8],
        mut child: impl FnMut(&mut &[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.length.is_some() {
            let mut content = self.content(rest)?;
            while !content.is_empty() {
                child(&mut content)?;
            }
            return Ok(());
        }
        loop {
            if let [0, 0, after @ ..] = *rest {
                *rest = after;
                return Ok(());
            }
            child(rest)?;
        }
    }
}

/// Writes an element with a minimal length.
fn write(tag: u8, content: &[u8], output: &mut Vec<u8>) -> Result<(), Malformed> {
    let length = u32::try_from(content.len()).map_err(|_| Malformed("is too large"))?;
    output.push(tag);
    if let Ok(short @ 0..0x80) = u8::try_from(length) {
        output.push(short);
    } else {
        let digits = length.to_be_bytes();
        let skipped = digits.iter().take_while(|digit| **digit == 0).count();
        output.push(0x80 | u8::try_from(digits.len() - skipped).unwrap_or(4));
        output.extend_from_slice(&digits[skipped..]);
    }
    output.extend_from_slice(content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indefinite_lengths_and_strings_in_parts_become_der() {
        let ber = [
            0x30, 0x80, 0x02, 0x81, 0x01, 0x03, 0x24, 0x80, 0x04, 0x01, 0xaa, 0x24, 0x03, 0x04,
            0x01, 0xbb, 0, 0, 0xa0, 0x80, 0x05, 0x00, 0, 0, 0, 0,
        ];
        let der = [0x30, 0x0b, 0x02, 0x01, 0x03, 0x04, 0x02, 0xaa, 0xbb, 0xa0, 0x02, 0x05, 0x00];
        assert_eq!(to_der(&ber).unwrap(), der);
        assert_eq!(to_der(&der).unwrap(), der);
        let long = [&[0x04, 0x83, 0, 1, 0][..], &[7; 256]].concat();
        assert_eq!(to_der(&long).unwrap()[..4], [0x04, 0x82, 1, 0]);
    }

    #[test]
    fn malformed_ber_is_refused() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x80, 0],
            &[0x04, 0x80, 0, 0],
            &[0x30, 0x81],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x24, 0x80, 0x02, 0x01, 0x00, 0, 0],
            &[0x30, 0x03, 0x04, 0x02, 0x00],
            &[0x30, 0x00, 0x00],
        ] {
            assert!(to_der(bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for form in [0x30, 0x24] {
            let deep = [form, 0x80].repeat(100_000);
            assert_eq!(to_der(&deep), Err(Malformed("nests its elements too deeply")));
        }
    }
}
