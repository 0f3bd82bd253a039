//! Certificates and CRLs as data. The room parses them; `verify` judges them.

pub(crate) mod algorithms;
mod certificate;
mod crl;
mod crl_entries;
mod crl_fault;
mod crl_scope;
pub(crate) mod der;
pub(crate) mod der_writer;
mod ecdsa;
mod fields;
mod general_name;
mod key;
mod name;
mod name_constraints;
mod named_algorithm;
mod parsed;
mod policies;
mod presented;
mod signature_name;

pub use certificate::Certificate;
pub(crate) use certificate::{hex, pin_text, serial_hex, x5t_s256};
pub(crate) use crl::Crl;
pub(crate) use crl_scope::{Reasons, points_to_another_issuer};
pub(crate) use ecdsa::ecdsa_der;
pub(crate) use fields::Signed;
pub(crate) use general_name::{GeneralName, San, ip as ip_address};
pub(crate) use key::{Key, key_parts};
pub(crate) use name::{
    common_name, comparable as comparable_name, comparable_rdn, comparable_rdns,
    content as name_content, dotted, email_addresses, text as name_text,
};
pub(crate) use name_constraints::{Subtree, is_host, subtrees};
pub(crate) use parsed::{DIGITAL_SIGNATURE, KEY_CERT_SIGN, ParsedCertificate, Purpose};
pub(crate) use policies::ANY_POLICY;
pub(crate) use presented::Presented;
pub(crate) use signature_name::{purpose_name, signature_name, signature_title};
