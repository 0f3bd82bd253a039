//! Our identity as remedies describe it to the consumer's operator, who must find it in a log or a rule.

use std::fmt::Display;

use super::identity::Identity;
use crate::clock::utc_text;
use crate::error::presented;
use crate::x509::{San, serial_hex};

/// The most names of our certificate in a remedy.
const MAX_NAMES: usize = 4;

/// The texts for the placeholders of a cure.
pub(crate) struct PresentedIdentity {
    subject: String,
    issuer: String,
    root: String,
    serial: String,
    not_after: String,
    names: String,
    sent: String,
}

impl PresentedIdentity {
    pub(crate) fn of(identity: &Identity) -> Self {
        let (chain, leaf) = (identity.chain(), identity.leaf().parsed());
        let mut names = vec![leaf.subject_text()];
        names.extend(leaf.sans().take(MAX_NAMES).map(|name| match name {
            San::Dns(dns) => format!("DNS:{}", presented(dns)),
            San::Ip(address) => format!("IP:{address}"),
            San::Uri(uri) => format!("URI:{}", presented(uri)),
            San::Email(email) => format!("email:{}", presented(email)),
        }));
        Self {
            subject: leaf.subject_text(),
            issuer: leaf.issuer_text(),
            root: chain.last().map_or_else(String::new, |last| last.parsed().issuer_text()),
            serial: serial_hex(leaf.serial),
            not_after: utc_text(leaf.not_after),
            names: names.join(", "),
            sent: match chain.len() {
                1 => "1 certificate and no intermediate".to_owned(),
                2 => "2 certificates (1 intermediate)".to_owned(),
                count => format!("{count} certificates ({} intermediates)", count - 1),
            },
        }
    }

    /// Returns the values of the placeholders.
    pub(crate) fn values(&self) -> Vec<(&'static str, &dyn Display)> {
        vec![
            ("subject", &self.subject),
            ("issuer", &self.issuer),
            ("root", &self.root),
            ("serial", &self.serial),
            ("not_after", &self.not_after),
            ("names", &self.names),
            ("sent", &self.sent),
        ]
    }
}
