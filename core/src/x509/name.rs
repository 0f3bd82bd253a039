//! Distinguished names: as text for messages (RFC 4514), and in a form for comparison (RFC 5280
//! section 7.1).

use std::borrow::Cow;
use std::fmt::Write as _;

use super::der::{self, Reader};

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// The string types of DirectoryString, NumericString, IA5String and VisibleString.
const TEXT_TAGS: [u8; 8] = [
    UTF8_STRING,
    0x12,
    PRINTABLE_STRING,
    T61_STRING,
    IA5_STRING,
    0x1a,
    UNIVERSAL_STRING,
    BMP_STRING,
];

/// Returns a name as text, most specific attribute first (RFC 4514): `CN=issuing,O=acme`.
pub(crate) fn text(name: &[u8]) -> String {
    let attributes: Vec<_> = attributes(name).collect();
    if attributes.is_empty() {
        return "(empty)".to_owned();
    }
    let mut text = String::with_capacity(name.len());
    for (id, value) in attributes.iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&label(id));
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// Returns the content of a DER Name, the form that the other functions take.
pub(crate) fn content(name: &[u8]) -> Option<&[u8]> {
    Reader::new(name).content(der::SEQUENCE).ok()
}

/// Returns the common name if there is exactly one.
pub(crate) fn common_name(name: &[u8]) -> Option<String> {
    let mut found = attributes(name).filter(|(id, _)| *id == COMMON_NAME).map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then(|| first.into_owned())
}

/// Returns the values of the attribute emailAddress (PKCS #9).
pub(crate) fn email_addresses(name: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    attributes(name).filter(|(id, _)| *id == EMAIL_ADDRESS).map(|(_, value)| value)
}

/// Returns whether an attribute has a NUL in its text.
pub(super) fn has_nul(name: &[u8]) -> bool {
    // Few names have a zero byte at all. BMPString has them in every Latin letter.
    name.contains(&0)
        && elements(name)
            .any(|(_, value)| TEXT_TAGS.contains(&value.tag) && decoded(value).contains('\0'))
}

/// Returns whether two names are equal by RFC 5280 section 7.1.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one == other || comparable(one) == comparable(other)
}

/// Returns the comparable forms of the RDNs of a name, or `None` if it is malformed.
pub(crate) fn comparable_rdns(name: &[u8]) -> Option<Vec<Vec<u8>>> {
    Some(rdns(name)?.into_iter().map(comparable_rdn).collect())
}

/// Returns the contents of the RDNs, or `None` if the name is malformed.
pub(super) fn rdns(name: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(name);
    let mut rdns = Vec::new();
    while !reader.is_empty() {
        rdns.push(reader.content(der::SET).ok()?);
    }
    Some(rdns)
}

/// Returns a form of a Name's content that is the same for two names if RFC 5280 section 7.1 calls
/// them equal. String types, case and white space do not count.
///
/// Unicode normalization forms (RFC 4518 section 2.3) do count: names that differ only in them are
/// different names here.
pub(crate) fn comparable(name: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(name.len());
    let mut sets = Reader::new(name);
    while !sets.is_empty() {
        let Ok(set) = sets.content(der::SET) else {
            // Not a Name: the form equals only that of the same bytes, because no other form begins
            // with this length.
            return [&[0xff; 4], name].concat();
        };
        form.extend(comparable_rdn(set));
    }
    form
}

/// Returns the comparable form of one RelativeDistinguishedName. That of a Name is the sequence of
/// those of its RDNs.
pub(crate) fn comparable_rdn(set: &[u8]) -> Vec<u8> {
    let mut attributes = Vec::new();
    let mut reader = Reader::new(set);
    while let Ok(mut attribute) = reader.nested(der::SEQUENCE) {
        let mut form = Vec::new();
        if let (Ok(id), Ok(value)) = (attribute.content(der::OID), attribute.any()) {
            push_part(&mut form, id);
            push_part(&mut form, &comparable_value(value));
        }
        attributes.push(form);
    }
    // DER sorts a SET by encodings, which include the string types.
    attributes.sort_unstable();
    let mut form = Vec::new();
    push_part(&mut form, &attributes.concat());
    form
}

/// Appends a part with its length, so that different sequences of parts give different bytes.
fn push_part(form: &mut Vec<u8>, part: &[u8]) {
    form.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    form.extend_from_slice(part);
}

fn comparable_value(value: der::Element<'_>) -> Vec<u8> {
    const TEXT: u8 = 0;
    let is_utf_8 = matches!(value.tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING)
        && std::str::from_utf8(value.content).is_ok();
    if !is_utf_8 && !matches!(value.tag, BMP_STRING | T61_STRING | UNIVERSAL_STRING) {
        return value.whole.to_vec();
    }
    let mut form = vec![TEXT];
    for word in decoded(value).split_whitespace() {
        if form.len() > 1 {
            form.push(b' ');
        }
        form.extend_from_slice(word.to_lowercase().as_bytes());
    }
    form
}

fn attributes(name: &[u8]) -> impl Iterator<Item = (&[u8], Cow<'_, str>)> {
    elements(name).map(|(id, value)| (id, decoded(value)))
}

fn elements(name: &[u8]) -> impl Iterator<Item = (&[u8], der::Element<'_>)> {
    let mut sets = Reader::new(name);
    let mut set = Reader::new(&[]);
    std::iter::from_fn(move || {
        loop {
            if let Ok(mut attribute) = set.nested(der::SEQUENCE) {
                let id = attribute.content(der::OID).ok()?;
                return Some((id, attribute.any().ok()?));
            }
            set = sets.nested(der::SET).ok()?;
        }
    })
}

fn decoded(value: der::Element<'_>) -> Cow<'_, str> {
    match value.tag {
        BMP_STRING => {
            let units: Vec<u16> = value
                .content
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)))
                .collect();
            String::from_utf16_lossy(&units).into()
        }
        UNIVERSAL_STRING => value
            .content
            .chunks(4)
            .map(|unit| unit.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
            .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        T61_STRING => value.content.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(value.content),
    }
}

fn escape(value: &str, text: &mut String) {
    for (at, letter) in value.char_indices() {
        let edge = at == 0 || at + letter.len_utf8() == value.len();
        match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', letter]),
            ' ' if edge => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            // Names appear in logs: they must not control a terminal or forge a line.
            letter if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            letter => text.push(letter),
        }
    }
}

fn label(id: &[u8]) -> Cow<'static, str> {
    match id {
        COMMON_NAME => "CN".into(),
        [0x55, 0x04, 0x05] => "serialNumber".into(),
        [0x55, 0x04, 0x06] => "C".into(),
        [0x55, 0x04, 0x07] => "L".into(),
        [0x55, 0x04, 0x08] => "ST".into(),
        [0x55, 0x04, 0x0a] => "O".into(),
        [0x55, 0x04, 0x0b] => "OU".into(),
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC".into(),
        EMAIL_ADDRESS => "emailAddress".into(),
        other => dotted(other).into(),
    }
}

/// Returns an object identifier in dotted form.
pub(crate) fn dotted(id: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0u64;
    for byte in id {
        arc = arc.checked_mul(128).unwrap_or(0) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.extend([first, arc - first * 40]);
            } else {
                arcs.push(arc);
            }
            arc = 0;
        }
    }
    arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(rdns: &[&[(u8, &str)]]) -> Vec<u8> {
        let element = |tag: u8, content: &[u8]| {
            [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let attribute = |(tag, text): &(u8, &str)| {
            let id = element(der::OID, COMMON_NAME);
            element(der::SEQUENCE, &[id, element(*tag, text.as_bytes())].concat())
        };
        let sets = rdns
            .iter()
            .map(|rdn| element(der::SET, &rdn.iter().map(attribute).collect::<Vec<_>>().concat()));
        sets.collect::<Vec<_>>().concat()
    }

    #[test]
    fn string_type_case_and_white_space_do_not_count() {
        let plain = comparable(&name(&[&[(UTF8_STRING, "Acme Root")]]));
        for (tag, text) in [
            (PRINTABLE_STRING, "Acme Root"),
            (UTF8_STRING, "ACME root"),
            (UTF8_STRING, "  Acme \t  Root "),
            (T61_STRING, "acme root"),
        ] {
            assert_eq!(comparable(&name(&[&[(tag, text)]])), plain, "{text:?}");
        }
        let upper = comparable(&name(&[&[(UTF8_STRING, "ÄRGER")]]));
        assert_eq!(comparable(&name(&[&[(UTF8_STRING, "ärger")]])), upper);
        let both = [(UTF8_STRING, "a"), (PRINTABLE_STRING, "b")];
        let reversed = [(UTF8_STRING, "B"), (UTF8_STRING, "A")];
        assert_eq!(comparable(&name(&[&both])), comparable(&name(&[&reversed])));
    }

    #[test]
    fn everything_else_counts() {
        let one = (UTF8_STRING, "Acme");
        let two = (UTF8_STRING, "Root");
        let names = [
            name(&[]),
            name(&[&[one]]),
            name(&[&[two]]),
            name(&[&[one], &[two]]),
            name(&[&[two], &[one]]),
            name(&[&[one, two]]),
            name(&[&[(UTF8_STRING, "AcmeRoot")]]),
            name(&[&[(UTF8_STRING, "Acme Root")]]),
            name(&[&[(0x12, "Acme")]]),
            b"not a name".to_vec(),
        ];
        for (at, one) in names.iter().enumerate() {
            for (other_at, other) in names.iter().enumerate() {
                assert_eq!(comparable(one) == comparable(other), at == other_at, "{at} {other_at}");
            }
        }
    }
}
