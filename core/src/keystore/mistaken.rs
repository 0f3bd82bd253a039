//! Inputs that were mistaken for each other: a key where a certificate belongs, and the reverse.

use crate::error::{Error, Kind, cause};

/// Adds the cause to the error of an identity's texts if one of them holds the content of the other.
pub(crate) fn explain_pair(error: Error, certificate: &[u8], key: &[u8]) -> Error {
    if error.kind() != Kind::PemInvalid {
        return error;
    }
    match (holds_key_only(certificate), holds_certificates_only(key)) {
        (true, true) => error.caused(&cause::FILES_SWAPPED, &[]),
        // The format of the input is known, and its remedy says more.
        _ if has_remedy(&error) => error,
        (true, false) => error.caused(&cause::KEY_AS_CERTIFICATE, &[]),
        (false, true) => error.caused(&cause::CERTIFICATE_AS_KEY, &[]),
        (false, false) => error,
    }
}

/// The same for a text of certificates alone.
pub(crate) fn explain_certificates(error: Error, text: &[u8]) -> Error {
    if error.kind() == Kind::PemInvalid && !has_remedy(&error) && holds_key_only(text) {
        error.caused(&cause::KEY_AS_CERTIFICATE, &[])
    } else {
        error
    }
}

fn has_remedy(error: &Error) -> bool {
    error.remedy() != error.kind().remedy()
}

fn holds_key_only(text: &[u8]) -> bool {
    has(text, b"PRIVATE KEY-----") && !has(text, b"-----BEGIN CERTIFICATE-----")
}

fn holds_certificates_only(text: &[u8]) -> bool {
    has(text, b"-----BEGIN CERTIFICATE-----") && !has(text, b"PRIVATE KEY-----")
}

fn has(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
