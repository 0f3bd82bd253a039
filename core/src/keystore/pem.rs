//! Reads PEM (RFC 7468) and DER from callers and files. No input is skipped in silence.
//!
//! rustls-pki-types decodes. This module adds three checks: a byte order mark must not hide the first
//! certificate, an unknown label is an error, and no error quotes a line, which may be the private key.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::pem::{self, PemObject as _, SectionKind};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::pbe;
use crate::error::{Error, Kind, key};
use crate::limits::MATERIAL;
use crate::x509::Certificate;
use crate::x509::der::{self, Reader};

/// Returns the DER of the certificates of PEM text or of concatenated DER, in their order and not yet
/// parsed. Fails with `pem_invalid` if there is none.
pub(crate) fn certificate_ders(input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    let ders = of_kind(SectionKind::Certificate, input, what)?;
    if ders.is_empty() {
        return Err(Error::new(Kind::PemInvalid, format!("{what}: no certificate found")));
    }
    Ok(ders)
}

/// Returns the certificates of PEM text or of concatenated DER, in their order. Fails with
/// `pem_invalid` if there is none.
pub(crate) fn certificates(input: &[u8], what: &str) -> Result<Vec<Certificate>, Error> {
    certificate_ders(input, what)?
        .into_iter()
        .enumerate()
        .map(|(at, der)| certificate(&der, what, at))
        .collect()
}

/// Parses one certificate of an input. Fails with `pem_invalid`.
///
/// * `at`: its index in the input.
pub(crate) fn certificate(der: &[u8], what: &str, at: usize) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|fault| {
        Error::new(Kind::PemInvalid, format!("{what}: certificate {} {}", at + 1, fault.0))
            .noting(key::POSITION, at + 1)
    })
}

/// Returns the DER of the CRLs of PEM text or DER. Fails with `pem_invalid` if there is none.
pub(crate) fn crls(input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    let ders = of_kind(SectionKind::Crl, input, what)?;
    if ders.is_empty() {
        return Err(Error::new(Kind::PemInvalid, format!("{what}: no CRL found")));
    }
    Ok(ders)
}

/// Returns the only private key of PEM text (PKCS#8, encrypted PKCS#8, PKCS#1, SEC1) or of PKCS#8 DER.
///
/// Fails with `pem_invalid` or `key_encrypted`.
pub(crate) fn private_key(
    input: &[u8],
    passphrase: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, Error> {
    const WHAT: &str = "private key";
    if is_der(input) {
        check_size(input, WHAT)?;
        return PrivateKeyDer::try_from(input.to_vec()).map_err(|_| {
            Error::new(Kind::PemInvalid, "private key: the DER is not a private key")
        });
    }
    if let Some(encrypted) = encrypted_key(input)? {
        return decrypted(&encrypted, passphrase);
    }
    let mut keys = Vec::new();
    for (kind, der) in sections(input, WHAT)? {
        match kind {
            SectionKind::PrivateKey => {
                keys.push(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)));
            }
            SectionKind::RsaPrivateKey => {
                keys.push(PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)));
            }
            SectionKind::EcPrivateKey => {
                keys.push(PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)));
            }
            _ => {}
        }
    }
    match keys.len() {
        1 => Ok(keys.remove(0)),
        0 => Err(Error::new(Kind::PemInvalid, "private key: no private key found")),
        several => Err(Error::new(
            Kind::PemInvalid,
            format!("private key: {several} private keys found where one is expected"),
        )),
    }
}

/// Returns whether the input is DER. PEM text never starts with the tag of a SEQUENCE and a length
/// that fits.
pub(crate) fn is_der(input: &[u8]) -> bool {
    matches!(input, [0x30, length, ..] if *length >= 0x80 || input.len() == 2 + usize::from(*length))
}

/// Returns the DER of every section of one kind. DER input counts as that kind.
fn of_kind(kind: SectionKind, input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    if is_der(input) {
        check_size(input, what)?;
        return concatenated(input, what);
    }
    let found = sections(input, what)?.into_iter();
    Ok(found.filter(|(seen, _)| *seen == kind).map(|(_, der)| der).collect())
}

pub(crate) fn check_size(input: &[u8], what: &str) -> Result<(), Error> {
    if input.len() > MATERIAL {
        return Err(Error::new(
            Kind::PemInvalid,
            format!("{what}: {} bytes exceed the limit of {MATERIAL}", input.len()),
        ));
    }
    Ok(())
}

fn concatenated(input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    let mut reader = Reader::new(input);
    let mut found = Vec::new();
    while !reader.is_empty() {
        let element = reader.any().map_err(|fault| {
            Error::new(
                Kind::PemInvalid,
                format!("{what}: DER element {} {}", found.len() + 1, fault.0),
            )
        })?;
        found.push(element.whole.to_vec());
    }
    Ok(found)
}

/// Returns every PEM section. The error quotes nothing of the input.
fn sections(input: &[u8], what: &str) -> Result<Vec<(SectionKind, Vec<u8>)>, Error> {
    check_size(input, what)?;
    let fault = |reason: String| Error::new(Kind::PemInvalid, format!("{what}: {reason}"));
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        return Err(fault("the text is UTF-16; PEM is ASCII".into()));
    }
    let announced = labels(text, &fault)?;
    let mut found = Vec::with_capacity(announced);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(|error| fault(described(&error)))?;
        if der.is_empty() {
            return Err(fault(format!("PEM block {} is empty", found.len() + 1)));
        }
        found.push((kind, der));
    }
    if found.len() != announced {
        return Err(fault(format!(
            "{announced} PEM blocks begin, and {} can be read",
            found.len()
        )));
    }
    Ok(found)
}

/// Counts the blocks with a label that this module reads. Fails on an unknown label.
fn labels(text: &[u8], fault: &dyn Fn(String) -> Error) -> Result<usize, Error> {
    const KNOWN: &[&[u8]] =
        &[b"CERTIFICATE", b"X509 CRL", b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY"];
    // Other tools write these blocks, too. They hold nothing about identity or trust.
    const IGNORED: &[&[u8]] = &[b"EC PARAMETERS", b"DH PARAMETERS", b"ENCRYPTED PRIVATE KEY"];
    // People use these in place of a certificate or a key. The error shows the label.
    const MISTAKEN: &[&str] = &[
        "TRUSTED CERTIFICATE",
        "X509 CERTIFICATE",
        "CERTIFICATE REQUEST",
        "NEW CERTIFICATE REQUEST",
        "OPENSSH PRIVATE KEY",
        "DSA PRIVATE KEY",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "PKCS7",
        "CMS",
        "PKCS12",
    ];
    let (mut known, mut open) = (0, 0i64);
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = line.trim_ascii();
        open -= i64::from(line.starts_with(b"-----END "));
        let Some(label) =
            line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"))
        else {
            continue;
        };
        open += 1;
        if KNOWN.contains(&label) {
            known += 1;
        } else if !IGNORED.contains(&label) {
            // A key on one line can look like a label, so the error shows only labels of this list.
            return Err(fault(match MISTAKEN.iter().find(|known| known.as_bytes() == label) {
                Some(known) => format!("a PEM block has the label {known}, which is not supported"),
                None => "a PEM block has a label that is not supported".into(),
            }));
        }
    }
    // If a dash is missing in a BEGIN line, the block would count as text between two others.
    if open < 0 {
        return Err(fault("a PEM block has an end but no beginning".into()));
    }
    Ok(known)
}

/// Describes a PEM error without the faulty line, which may be the key.
fn described(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM block has no end".into(),
        pem::Error::IllegalSectionStart { .. } => "a PEM block has a malformed BEGIN line".into(),
        pem::Error::Base64Decode(_) => "a PEM block holds characters that are not base64".into(),
        pem::Error::SectionTooLarge => "a PEM block is too large".into(),
        _ => "the PEM text is malformed".into(),
    }
}

/// Returns the DER of an `ENCRYPTED PRIVATE KEY` block, if the input holds one.
fn encrypted_key(input: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    const BEGIN: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &[u8] = b"-----END ENCRYPTED PRIVATE KEY-----";
    check_size(input, "private key")?;
    let find = |needle: &[u8]| input.windows(needle.len()).position(|window| window == needle);
    // OpenSSL's traditional form marks encryption in a header. Its key derivation is one MD5.
    if find(b"Proc-Type: 4,ENCRYPTED").is_some() {
        return Err(Error::new(
            Kind::KeyEncrypted,
            "private key: encrypted in OpenSSL's traditional form, which is too weak to be read",
        )
        .advising("Convert it: openssl pkcs8 -topk8 -in old.key -out new.key"));
    }
    let Some(begin) = find(BEGIN) else {
        return Ok(None);
    };
    let body = &input[begin + BEGIN.len()..];
    let end = body
        .windows(END.len())
        .position(|window| window == END)
        .ok_or_else(|| Error::new(Kind::PemInvalid, "private key: a PEM block has no end"))?;
    let base64: Vec<u8> =
        body[..end].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(base64).map(Some).map_err(|_| {
        Error::new(
            Kind::PemInvalid,
            "private key: a PEM block holds characters that are not base64",
        )
    })
}

fn decrypted(encrypted: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, Error> {
    let Some(passphrase) = passphrase else {
        return Err(Error::new(
            Kind::KeyEncrypted,
            "private key: encrypted, and no passphrase was given",
        ));
    };
    let mut outer = Reader::new(encrypted);
    let parts = outer.nested(der::SEQUENCE).and_then(|mut info| {
        let parts = (info.element(der::SEQUENCE)?.whole, info.content(der::OCTET_STRING)?);
        info.end()?;
        Ok(parts)
    });
    let (algorithm, ciphertext) = parts.map_err(|_| {
        Error::new(Kind::PemInvalid, "private key: the encrypted PKCS#8 structure is malformed")
    })?;
    let key = pbe::decrypt(algorithm, ciphertext, passphrase, &mut pbe::WorkLimit::new())
        .map_err(|error| error.into_error("private key"))?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
}
