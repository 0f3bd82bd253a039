//! A certificate of a path together with where it came from, for errors that name it.

use std::ops::Deref;

use crate::error::{Error, Kind, key};
use crate::x509::ParsedCertificate;

/// Where a certificate of a path came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The first presented certificate.
    Leaf,
    /// A presented certificate above the leaf, by its number in the chain; the leaf is 1.
    Presented(usize),
    /// An intermediate of the trust.
    Intermediate,
    Anchor,
}

/// A certificate of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    pub(super) parsed: &'a ParsedCertificate<'a>,
    pub(super) place: Place,
}

impl<'a> Link<'a> {
    pub(super) fn leaf(parsed: &'a ParsedCertificate<'a>) -> Self {
        Self { parsed, place: Place::Leaf }
    }

    /// Returns the certificate for a message: its place and its subject.
    pub(super) fn described(&self) -> String {
        let subject = self.parsed.subject_text();
        match self.place {
            Place::Leaf => format!("the peer's certificate ({subject})"),
            Place::Presented(number) => {
                format!("certificate {number} of the presented chain ({subject})")
            }
            Place::Intermediate => format!("the intermediate of the trust ({subject})"),
            Place::Anchor => format!("the trusted CA ({subject})"),
        }
    }

    /// Returns an error about this certificate.
    ///
    /// * `why`: the end of a sentence whose subject is the certificate.
    pub(super) fn fault(&self, kind: Kind, why: &str) -> Error {
        let error = Error::new(kind, format!("{} {why}", self.described()))
            .noting(key::SUBJECT, self.parsed.subject_text());
        match self.place {
            Place::Presented(number) => error.noting(key::POSITION, number),
            _ => error,
        }
    }

    /// Returns the error for a certificate that is malformed, or that needs an unsupported feature.
    pub(super) fn invalid(&self, why: &str) -> Error {
        self.fault(Kind::CertificateInvalid, why)
    }
}

impl<'a> Deref for Link<'a> {
    type Target = ParsedCertificate<'a>;

    fn deref(&self) -> &ParsedCertificate<'a> {
        self.parsed
    }
}
