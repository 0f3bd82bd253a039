//! Writes DER.

/// Returns an element with this content.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let digits: Vec<u8> =
        content.len().to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
    let mut whole = vec![tag];
    match (content.len(), u8::try_from(digits.len())) {
        (short @ 0..0x80, _) => whole.push(u8::try_from(short).unwrap_or_default()),
        (_, count) => {
            whole.push(0x80 | count.unwrap_or(8));
            whole.extend(digits);
        }
    }
    whole.extend(content);
    whole
}

/// Returns a SEQUENCE.
pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Returns an OBJECT IDENTIFIER. Each arc above the second is below 2^21.
pub(crate) fn oid(arcs: &[u32]) -> Vec<u8> {
    let octet = |arc: u32| u8::try_from(arc & 0x7f).unwrap_or_default();
    let mut content = vec![octet(arcs[0] * 40 + arcs[1])];
    for &arc in &arcs[2..] {
        for shift in [14, 7] {
            if arc >> shift > 0 {
                content.push(0x80 | octet(arc >> shift));
            }
        }
        content.push(octet(arc));
    }
    tlv(0x06, &[&content])
}

/// Returns a Name with one common name, as a string of this type.
pub(crate) fn name(tag: u8, common_name: &str) -> Vec<u8> {
    let attribute = sequence(&[oid(&[2, 5, 4, 3]), tlv(tag, &[common_name.as_bytes()])]);
    sequence(&[tlv(0x31, &[&attribute])])
}

/// Returns an Extension.
pub(crate) fn extension(id: &[u32], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { vec![0x01, 1, 0xff] } else { Vec::new() };
    sequence(&[oid(id), flag, tlv(0x04, &[value])])
}
