//! The blocks of PEM text (RFC 7468), also of text that lost its lines on the way.
//!
//! rustls-pki-types decodes a block, in constant time for keys. This module finds the blocks. Text
//! that passed through an environment variable, JSON or YAML has other line breaks, or none; its
//! blocks are read, because neither a marker nor base64 can contain what such a passage adds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use rustls_pki_types::pem::{self, PemObject as _, SectionKind};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

const CUT_OFF: &str = "has no end: the text is cut off, or still being written";

/// What a block holds, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Certificate,
    Crl,
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1,
    Sec1,
}

impl Label {
    pub(super) fn is_key(self) -> bool {
        !matches!(self, Self::Certificate | Self::Crl)
    }
}

/// A block of a text, not yet decoded.
pub(super) struct Block<'a> {
    pub(super) label: Label,
    /// The block with its markers.
    whole: &'a [u8],
    /// The text between the markers.
    body: &'a [u8],
    /// Its position among the blocks of the text.
    number: usize,
}

/// Why a text is refused, as the rest of a sentence. It quotes nothing of the text, which may be a key.
pub(super) struct TextFault {
    pub(super) why: String,
    pub(super) remedy: Option<&'static str>,
    /// The text holds a key in OpenSSL's traditional encryption.
    pub(super) is_traditional: bool,
}

impl TextFault {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: None, is_traditional: false }
    }
}

/// Blocks that other tools write, too. They hold nothing about identity or trust.
const IGNORED: &[&[u8]] = &[b"EC PARAMETERS", b"DH PARAMETERS"];

/// Blocks that people use in place of a certificate or a key, with the way out. Their labels are shown:
/// a key on one line can look like a label, so no other label is.
const MISTAKEN: &[(&str, &str)] = &[
    ("TRUSTED CERTIFICATE", "Convert it: openssl x509 -in old.pem -out new.pem"),
    ("X509 CERTIFICATE", "Convert it: openssl x509 -in old.pem -out new.pem"),
    ("CERTIFICATE REQUEST", "Have the CA sign the request, and supply the certificate."),
    ("NEW CERTIFICATE REQUEST", "Have the CA sign the request, and supply the certificate."),
    ("ATTRIBUTE CERTIFICATE", "Supply a public key certificate (X.509)."),
    ("OPENSSH PRIVATE KEY", "Convert a copy of it: ssh-keygen -p -m PKCS8 -f copy.key"),
    ("DSA PRIVATE KEY", "Use an RSA, EC, Ed25519 or ML-DSA key."),
    ("PUBLIC KEY", "Supply the private key, or the certificate."),
    ("RSA PUBLIC KEY", "Supply the private key, or the certificate."),
    ("PKCS7", "Convert it: openssl pkcs7 -print_certs -in old.p7b -out new.pem"),
    ("CMS", "Convert it: openssl pkcs7 -print_certs -in old.p7b -out new.pem"),
    ("PKCS12", "Decode the base64, and use from_pkcs12 (fromPkcs12 in Node)."),
];

/// Returns every block, in the order of the text. Text between blocks is ignored.
pub(super) fn find(text: &[u8]) -> Result<Vec<Block<'_>>, TextFault> {
    let (mut found, mut number) = (Vec::new(), 0);
    let mut rest = text;
    while let Some(begin) = memmem::find(rest, BEGIN) {
        if memmem::find(&rest[..begin], END).is_some() {
            return Err(TextFault::new("a PEM block has an end but no beginning"));
        }
        number += 1;
        let (label, body, length) = split(&rest[begin..], number)?;
        let (whole, after) = rest[begin..].split_at(length);
        found.extend(known(label)?.map(|label| Block { label, whole, body, number }));
        rest = after;
    }
    // If a dash is missing in a BEGIN line, the block would count as text between two others.
    if memmem::find(rest, END).is_some() {
        return Err(TextFault::new("a PEM block has an end but no beginning"));
    }
    if begins_at_the_end(rest) {
        let why = format!("PEM block {} {CUT_OFF}", number + 1);
        return Err(TextFault::new(why));
    }
    Ok(found)
}

/// Returns whether a text ends within the start of a BEGIN line. Fewer than five dashes may be anything.
fn begins_at_the_end(text: &[u8]) -> bool {
    (DASHES.len()..BEGIN.len()).any(|length| text.ends_with(&BEGIN[..length]))
}

/// Returns the label, the body and the length of the block at the start of the text.
fn split(text: &[u8], number: usize) -> Result<(&[u8], &[u8], usize), TextFault> {
    let fault = |why: &str| Err(TextFault::new(format!("PEM block {number} {why}")));
    let after = &text[BEGIN.len()..];
    let label = memmem::find(after, DASHES).map(|end| &after[..end]).unwrap_or_default();
    let is_label =
        |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ');
    if label.is_empty() || !label.iter().all(is_label) {
        return fault("has a malformed BEGIN line");
    }
    let body = &after[label.len() + DASHES.len()..];
    let Some(end) = memmem::find(body, END) else {
        return fault(CUT_OFF);
    };
    let (body, trailer) = body.split_at(end);
    if memmem::find(body, BEGIN).is_some() {
        return fault("has no end before the next one begins");
    }
    let trailer = trailer[END.len()..].strip_prefix(label);
    let Some(rest) = trailer.and_then(|rest| rest.strip_prefix(DASHES)) else {
        return fault("has a malformed END line, or one of another label");
    };
    Ok((label, body, text.len() - rest.len()))
}

/// Returns the meaning of a label, or `None` for one that is ignored.
fn known(label: &[u8]) -> Result<Option<Label>, TextFault> {
    Ok(Some(match label {
        b"CERTIFICATE" => Label::Certificate,
        b"X509 CRL" => Label::Crl,
        b"PRIVATE KEY" => Label::Pkcs8,
        b"ENCRYPTED PRIVATE KEY" => Label::EncryptedPkcs8,
        b"RSA PRIVATE KEY" => Label::Pkcs1,
        b"EC PRIVATE KEY" => Label::Sec1,
        other if IGNORED.contains(&other) => return Ok(None),
        other => {
            let mistaken = MISTAKEN.iter().find(|(known, _)| known.as_bytes() == other);
            let Some((known, remedy)) = mistaken else {
                return Err(TextFault::new("a PEM block has a label that is not supported"));
            };
            let why = format!("a PEM block has the label {known}, which is not supported");
            return Err(TextFault { remedy: Some(remedy), ..TextFault::new(why) });
        }
    }))
}

impl Block<'_> {
    /// Decodes the block.
    pub(super) fn der(&self) -> Result<Vec<u8>, TextFault> {
        let fault = |why: &str| TextFault::new(format!("PEM block {} {why}", self.number));
        let body = self.body;
        if memmem::find(body, b"Proc-Type:").is_some() && memmem::find(body, b"ENCRYPTED").is_some()
        {
            return Err(TextFault { is_traditional: true, ..fault("is encrypted") });
        }
        let decoded = if self.label == Label::EncryptedPkcs8 {
            BASE64_STANDARD.decode(unwrapped(body)).ok()
        } else {
            decode(self.whole).or_else(|_| decode(&self.rewrapped())).ok()
        };
        match decoded {
            Some(der) if der.is_empty() => Err(fault("is empty")),
            Some(der) => Ok(der),
            None => Err(fault("holds characters that are not base64, or is cut off")),
        }
    }

    /// Returns the block in the usual form: each marker and each 64 characters on a line.
    fn rewrapped(&self) -> Vec<u8> {
        let start = BEGIN.len() + memmem::find(&self.whole[BEGIN.len()..], DASHES).unwrap_or(0);
        let (begin, rest) = self.whole.split_at(start + DASHES.len());
        let mut text = begin.to_vec();
        for line in unwrapped(self.body).chunks(64) {
            text.push(b'\n');
            text.extend_from_slice(line);
        }
        text.push(b'\n');
        text.extend_from_slice(&rest[self.body.len()..]);
        text
    }
}

fn decode(block: &[u8]) -> Result<Vec<u8>, pem::Error> {
    <(SectionKind, Vec<u8>)>::from_pem_slice(block).map(|(_, der)| der)
}

/// Returns the base64 of a body without white space, also if it was escaped (`\n`, `\r`, `\t`, and `\/`
/// as some JSON encoders write a slash).
fn unwrapped(body: &[u8]) -> Vec<u8> {
    let mut base64 = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [b'n' | b'r' | b't', after @ ..]) => after,
            (b'\\', [b'/', ..]) => after,
            (space, _) if space.is_ascii_whitespace() => after,
            (byte, _) => {
                base64.push(*byte);
                after
            }
        };
    }
    base64
}
