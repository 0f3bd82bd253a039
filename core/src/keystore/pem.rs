//! Reads PEM (RFC 7468) and DER from callers and files. No input is skipped in silence.
//!
//! Text that was changed on the way is read if only one reading is possible: other line breaks, an
//! indent, quotes, a byte order mark, UTF-16, or base64 around the whole. Anything else is an error that
//! names what it is and quotes nothing, because it may be the private key.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::blocks::{self, Block, Label, TextFault};
use super::pbe;
use super::recognize::{self, Recognized, Structure};
use crate::error::spelling::spelled;
use crate::error::{Error, Kind, key};
use crate::limits::{CRLS, MATERIAL};
use crate::x509::Certificate;
use crate::x509::der::{self, Reader};

/// The most layers of base64 around PEM or DER. A value in a Kubernetes Secret that was encoded by hand
/// has two.
const MAX_LAYERS: usize = 2;

/// Returns the DER of the certificates of PEM text or of concatenated DER, in their order and not yet
/// parsed. Fails with `pem_invalid` if there is none.
pub(crate) fn certificate_ders(input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    all_of(Label::Certificate, input, what, "certificate")
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
    all_of(Label::Crl, input, what, "CRL")
}

/// Returns the only private key of PEM text (PKCS#8, encrypted PKCS#8, PKCS#1, SEC1) or of DER.
///
/// Fails with `pem_invalid` or `key_encrypted`.
pub(crate) fn private_key(
    input: &[u8],
    passphrase: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, Error> {
    opened(input, KEY, MATERIAL, |contents| match contents {
        Contents::Der(der) => key_of_der(der, passphrase),
        Contents::Blocks(blocks) => key_of_blocks(&blocks, passphrase),
    })
}

/// The start of a message about a private key.
const KEY: &str = "private key";

pub(super) fn key_of_der(
    der: &[u8],
    passphrase: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, Error> {
    if let Some(recognized) = Structure::of(der).in_place_of_key() {
        return Err(named(KEY, recognized));
    }
    let fault = |why: &str| Error::new(Kind::PemInvalid, format!("{KEY}: {why}"));
    let mut parts = concatenated(der, KEY)?;
    let Some(der) = parts.pop().filter(|_| parts.is_empty()) else {
        return Err(fault("the DER holds more than one element"));
    };
    if Structure::of(&der) == Structure::EncryptedKey {
        return decrypted(&der, passphrase);
    }
    PrivateKeyDer::try_from(der).map_err(|_| fault("the DER is not a private key"))
}

fn key_of_blocks(
    blocks: &[Block<'_>],
    passphrase: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, Error> {
    let fault = |why: String| Error::new(Kind::PemInvalid, format!("{KEY}: {why}"));
    let keys: Vec<_> = blocks.iter().filter(|block| block.label.is_key()).collect();
    let key = match keys[..] {
        [key] => key,
        [] => return Err(fault(format!("no private key found{}", held(blocks)))),
        _ => {
            let several = keys.len();
            return Err(fault(format!("{several} private keys found where one is expected")));
        }
    };
    key_of_block(key, passphrase)
}

/// Returns the private key of a block.
///
/// Fails with `pem_invalid` or `key_encrypted`.
pub(super) fn key_of_block(
    key: &Block<'_>,
    passphrase: Option<&[u8]>,
) -> Result<PrivateKeyDer<'static>, Error> {
    let der = key.der().map_err(|fault| text_fault(KEY, fault))?;
    match key.label {
        // Some tools write an encrypted key under the label of one in clear.
        Label::EncryptedPkcs8 => decrypted(&der, passphrase),
        Label::Pkcs8 if Structure::of(&der) == Structure::EncryptedKey => {
            decrypted(&der, passphrase)
        }
        Label::Pkcs1 => Ok(PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der))),
        Label::Sec1 => Ok(PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der))),
        _ => Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))),
    }
}

/// Returns the DER of every element of one kind. DER input counts as that kind.
fn all_of(label: Label, input: &[u8], what: &str, kind: &str) -> Result<Vec<Vec<u8>>, Error> {
    let most = if label == Label::Crl { CRLS } else { MATERIAL };
    opened(input, what, most, |contents| {
        let blocks = match contents {
            Contents::Der(der) => {
                return match Structure::of(der).in_place_of_certificate() {
                    Some(recognized) => Err(named(what, recognized)),
                    None => concatenated(der, what),
                };
            }
            Contents::Blocks(blocks) => blocks,
        };
        let wanted = blocks.iter().filter(|block| block.label == label);
        let found = wanted.map(Block::der).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|fault| text_fault(what, fault))?;
        if found.is_empty() {
            let why = format!("{what}: no {kind} found{}", held(&blocks));
            return Err(Error::new(Kind::PemInvalid, why));
        }
        Ok(found)
    })
}

/// Returns the numbers of certificates and of CRLs of a PEM text that another function has read. DER holds
/// one kind only, and has none here.
pub(crate) fn count_blocks(input: &[u8]) -> (usize, usize) {
    let counted = opened(input, "", CRLS, |contents| {
        let blocks = match contents {
            Contents::Der(_) => vec![],
            Contents::Blocks(blocks) => blocks,
        };
        let count = |label| blocks.iter().filter(|block| block.label == label).count();
        Ok((count(Label::Certificate), count(Label::Crl)))
    });
    counted.unwrap_or_default()
}

/// Names the first block of a text, for a message about a missing block of another type.
fn held(blocks: &[Block<'_>]) -> &'static str {
    match blocks.first().map(|block| block.label) {
        None => "",
        Some(Label::Certificate) => "; the text holds a certificate",
        Some(Label::Crl) => "; the text holds a CRL",
        Some(_) => "; the text holds a private key",
    }
}

/// An input without the layers around it.
pub(super) enum Contents<'a> {
    Der(&'a [u8]),
    Blocks(Vec<Block<'a>>),
}

/// Removes text encodings, and passes the PEM or DER inside to `read`. Fails with `pem_invalid` if the
/// content is another format that is recognized.
///
/// * `most`: the limit of the input in bytes.
pub(super) fn opened<T>(
    input: &[u8],
    what: &str,
    most: usize,
    read: impl FnOnce(Contents<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    check_size_within(input, what, most)?;
    let mut input = Cow::Borrowed(input);
    for _ in 0..=MAX_LAYERS {
        if is_der(&input) {
            return read(Contents::Der(&input));
        }
        if let Some(text) = from_utf16(&input) {
            input = Cow::Owned(text);
        }
        let blocks = blocks::find(&input).map_err(|fault| text_fault(what, fault))?;
        if !blocks.is_empty() {
            return read(Contents::Blocks(blocks));
        }
        match without_base64(&input) {
            Some(inner) => input = Cow::Owned(inner),
            None => break,
        }
    }
    match recognize::text(&input) {
        Some(recognized) => Err(named(what, recognized)),
        None => read(Contents::Blocks(vec![])),
    }
}

/// Returns a PKCS#12 file without base64 around it. Fails with `pem_invalid` if it is recognized as
/// something else.
pub(super) fn file_of_pkcs12<'a>(input: &'a [u8], what: &str) -> Result<Cow<'a, [u8]>, Error> {
    const USE_FROM_PEM: &str = "Use from_pem (fromPem in Node), or from_files.";
    if is_der(input) {
        return match Structure::of(input) {
            Structure::Pkcs12 | Structure::Other => Ok(Cow::Borrowed(input)),
            Structure::PrivateKey | Structure::EncryptedKey => {
                Err(named(what, ("is a private key, not a PKCS#12 file", USE_FROM_PEM)))
            }
            Structure::Pkcs7 => {
                Err(named(what, ("is a PKCS#7 file, which holds no private key", USE_FROM_PEM)))
            }
        };
    }
    if memmem::find(input, b"-----BEGIN ").is_some() {
        return Err(named(what, ("is PEM text, not a PKCS#12 file", USE_FROM_PEM)));
    }
    if let Some(file) = without_base64(input).filter(|inner| is_der(inner)) {
        return Ok(Cow::Owned(file));
    }
    match recognize::text(input) {
        Some(recognized) => Err(named(what, recognized)),
        None => Ok(Cow::Borrowed(input)),
    }
}

/// Returns whether the input is DER. PEM text never starts with the tag of a SEQUENCE and a length
/// that fits.
pub(crate) fn is_der(input: &[u8]) -> bool {
    matches!(input, [0x30, length, ..] if *length >= 0x80 || input.len() == 2 + usize::from(*length))
}

/// Converts UTF-16, which has a byte order mark or a zero byte beside each ASCII character.
fn from_utf16(input: &[u8]) -> Option<Vec<u8>> {
    let (text, low_first) = match input {
        [0xff, 0xfe, text @ ..] => (text, true),
        [0xfe, 0xff, text @ ..] => (text, false),
        [b'-', 0, b'-', 0, ..] => (input, true),
        [0, b'-', 0, b'-', ..] => (input, false),
        _ => return None,
    };
    let unit = if low_first { u16::from_le_bytes } else { u16::from_be_bytes };
    let units = text.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
    Some(text.into_bytes())
}

/// Decodes an input that is base64 as a whole, if PEM, DER, or another layer is inside.
fn without_base64(input: &[u8]) -> Option<Vec<u8>> {
    let text = input.trim_ascii();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    let base64: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let inner = BASE64_STANDARD.decode(base64).ok()?;
    // The shortest certificate or key in DER is longer, and a word may be base64 by chance.
    (inner.len() > 32).then_some(inner)
}

pub(crate) fn check_size(input: &[u8], what: &str) -> Result<(), Error> {
    check_size_within(input, what, MATERIAL)
}

fn check_size_within(input: &[u8], what: &str, most: usize) -> Result<(), Error> {
    if input.len() > most {
        return Err(Error::new(
            Kind::PemInvalid,
            format!("{what}: {} bytes exceed the limit of {most}", input.len()),
        ));
    }
    Ok(())
}

/// Splits DER into its elements. White space may follow the last: editors add a line break.
pub(super) fn concatenated(input: &[u8], what: &str) -> Result<Vec<Vec<u8>>, Error> {
    let mut reader = Reader::new(input);
    let mut found = Vec::new();
    let mut length = 0;
    while !input[length..].iter().all(u8::is_ascii_whitespace) {
        let element = reader.any().map_err(|fault| {
            Error::new(
                Kind::PemInvalid,
                format!("{what}: DER element {} {}", found.len() + 1, fault.0),
            )
        })?;
        length += element.whole.len();
        found.push(element.whole.to_vec());
    }
    Ok(found)
}

pub(super) fn text_fault(what: &str, fault: TextFault) -> Error {
    if fault.is_traditional {
        let why = "encrypted in OpenSSL's traditional form, which is too weak to be read";
        return Error::new(Kind::KeyEncrypted, format!("{what}: {why}"))
            .advising("Convert it: openssl pkcs8 -topk8 -in old.key -out new.key");
    }
    let error = Error::new(Kind::PemInvalid, format!("{what}: {}", fault.why));
    match fault.remedy {
        Some(remedy) => error.advising(remedy),
        None => error,
    }
}

/// Makes the error for an input that is recognized as something else.
pub(super) fn named(what: &str, (is, remedy): Recognized) -> Error {
    Error::new(Kind::PemInvalid, format!("{what}: it {is}")).advising(spelled(remedy))
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
    let key = pbe::decrypt_key(algorithm, ciphertext, passphrase, &mut pbe::WorkLimit::new())
        .map_err(|error| error.into_error("private key"))?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
}
