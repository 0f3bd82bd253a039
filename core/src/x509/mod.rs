//! Certificates and CRLs as data: parsed once, judged elsewhere.

pub(crate) mod algorithms;
mod certificate;
mod crl;
mod crl_scope;
pub(crate) mod der;
mod name;

pub use certificate::Certificate;
pub(crate) use certificate::{
    DIGITAL_SIGNATURE, KEY_CERT_SIGN, ParsedCertificate, Purpose, San, Signed, hex, key_parts,
    pin_text, serial_hex, x5t_s256,
};
pub(crate) use crl::Crl;
pub(crate) use name::{
    common_name, comparable as comparable_name, comparable_rdn, dotted, text as name_text,
};
