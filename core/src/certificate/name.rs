//! Distinguished names as text (RFC 4514), for people and messages; never for comparison.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::der::{self, Reader};

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// `CN=issuing,O=acme`: most specific first, as RFC 4514 orders it.
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

/// The common name, if there is exactly one.
pub(crate) fn common_name(name: &[u8]) -> Option<String> {
    let mut found = attributes(name).filter(|(id, _)| *id == COMMON_NAME).map(|(_, value)| value);
    let first = found.next()?;
    found.next().is_none().then(|| first.into_owned())
}

fn attributes(name: &[u8]) -> impl Iterator<Item = (&[u8], Cow<'_, str>)> {
    let mut sets = Reader::new(name);
    let mut set = Reader::new(&[]);
    std::iter::from_fn(move || {
        loop {
            if let Ok(mut attribute) = set.nested(der::SEQUENCE) {
                let id = attribute.content(der::OID).ok()?;
                return Some((id, decoded(attribute.any().ok()?)));
            }
            set = sets.nested(der::SET).ok()?;
        }
    })
}

fn decoded(value: der::Element<'_>) -> Cow<'_, str> {
    const BMP_STRING: u8 = 0x1e;
    const T61_STRING: u8 = 0x14;
    match value.tag {
        BMP_STRING => {
            let units: Vec<u16> = value
                .content
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)))
                .collect();
            String::from_utf16_lossy(&units).into()
        }
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
            // A name is shown in logs: it must not steer a terminal or forge a line.
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
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress".into(),
        other => dotted(other).into(),
    }
}

/// An object identifier in dotted form.
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
