//! The scope of a CRL: its issuingDistributionPoint, matched with the cRLDistributionPoints of a
//! certificate (RFC 5280 sections 5.2.5 and 6.3.3).
//!
//! A CRL says nothing about certificates outside its scope. Another CRL of the issuer may revoke them.

use super::crl_fault::CrlFault;
use crate::x509::der::{self, Element, Malformed, Reader};
use crate::x509::{ParsedCertificate, comparable_name, comparable_rdn};

const URI: u8 = der::context(6, false);
const DIRECTORY_NAME: u8 = der::context(4, true);

/// The scope of a CRL. The default is the scope of a CRL without the extension: all certificates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// The names of its distribution point, comparable and sorted. `None` if it has none.
    names: Option<Vec<Vec<u8>>>,
    holders: Holders,
    reasons: Reasons,
}

/// A set of reasons for revocation (ReasonFlags, RFC 5280 section 4.2.1.13). The default is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reasons(u16);

impl Reasons {
    pub(crate) const NONE: Self = Self(0);
    /// Every reason that a CRL can have. Bit 0 of ReasonFlags is unused.
    pub(crate) const ALL: Self = Self(0x7f80);

    const NAMES: [&'static str; 8] = [
        "keyCompromise",
        "cACompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "certificateHold",
        "privilegeWithdrawn",
        "aACompromise",
    ];

    /// Reads the content of a ReasonFlags. Unknown bits do not count.
    fn read(bits: &[u8]) -> Result<Self, Malformed> {
        let (flags, unused) = match *bits {
            [unused @ 0..8, first] => (u16::from_be_bytes([first, 0]), unused),
            [unused @ 0..8, first, second] => (u16::from_be_bytes([first, second]), unused),
            _ => return Err(Malformed("has reasons that are not ReasonFlags")),
        };
        let last = u16::from(*bits.last().unwrap_or(&0));
        if last & ((1 << unused) - 1) != 0 {
            return Err(Malformed("has reasons that are not ReasonFlags"));
        }
        Ok(Self(flags & Self::ALL.0))
    }

    pub(crate) fn is_all(self) -> bool {
        self == Self::ALL
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// The reasons of either set.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The reasons of both sets.
    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The reasons that the other set does not have.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of RFC 5280.
    pub(crate) fn names(self) -> String {
        let has = |at: &usize| self.0 & (0x4000 >> at) != 0;
        (0..Self::NAMES.len()).filter(has).map(|at| Self::NAMES[at]).collect::<Vec<_>>().join(", ")
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self::ALL
    }
}

/// The kind of certificates that a CRL covers.
#[derive(Debug, Default, PartialEq, Eq)]
enum Holders {
    #[default]
    All,
    Users,
    Cas,
    /// Attribute certificates, which no path contains.
    Attributes,
}

impl Scope {
    /// Reads the value of an issuingDistributionPoint.
    ///
    /// * `issuer`: the content of the CRL issuer's Name.
    ///
    /// Fails if the CRL is indirect.
    pub(crate) fn read(value: &[u8], issuer: &[u8]) -> Result<Self, CrlFault> {
        let mut outer = Reader::new(value);
        let mut reader = outer.nested(der::SEQUENCE)?;
        outer.end()?;
        let mut scope = Self::default();
        if let Some(point) = reader.optional(der::context(0, true))? {
            let mut names = point_names(point.content, issuer)?;
            names.sort_unstable();
            scope.names = Some(names);
        }
        let users = flag(&mut reader, 1)?;
        let cas = flag(&mut reader, 2)?;
        if let Some(reasons) = reader.optional(der::context(3, false))? {
            scope.reasons = Reasons::read(reasons.content)?;
        }
        if flag(&mut reader, 4)? {
            return Err(CrlFault::Unsupported {
                why: "is indirect (indirectCRL): it covers several issuers, which is not supported",
                remedy: "Supply the CRL that each issuer signs itself.",
            });
        }
        let attributes = flag(&mut reader, 5)?;
        reader.end()?;
        scope.holders = match (users, cas, attributes) {
            (false, false, false) => Holders::All,
            (true, false, false) => Holders::Users,
            (false, true, false) => Holders::Cas,
            (false, false, true) => Holders::Attributes,
            _ => {
                let why = "covers only certificates of one kind and only those of another";
                return Err(Malformed(why).into());
            }
        };
        Ok(scope)
    }

    /// Returns the revocation reasons for which the CRL covers this certificate of its issuer.
    pub(crate) fn covers(&self, certificate: &ParsedCertificate<'_>) -> Reasons {
        let is_held = match self.holders {
            Holders::All => true,
            Holders::Users => !certificate.is_ca,
            Holders::Cas => certificate.is_ca,
            Holders::Attributes => false,
        };
        if !is_held {
            return Reasons::NONE;
        }
        let published = match &self.names {
            None => Reasons::ALL,
            Some(names) => reasons_published(certificate, names),
        };
        self.reasons.and(published)
    }

    pub(crate) fn is_of_attributes(&self) -> bool {
        self.holders == Holders::Attributes
    }
}

/// Returns the reasons for which the certificate points to one of these names.
fn reasons_published(certificate: &ParsedCertificate<'_>, names: &[Vec<u8>]) -> Reasons {
    // Every certificate has an implied distribution point: the name of its issuer (section 6.3.3).
    if names.contains(&directory_name(comparable_name(certificate.issuer))) {
        return Reasons::ALL;
    }
    let points = distribution_points(certificate).into_iter();
    points
        .filter(|point| !point.is_indirect && point.names.iter().any(|name| names.contains(name)))
        .fold(Reasons::NONE, |reasons, point| reasons.or(point.reasons))
}

/// Returns whether a distribution point of the certificate names another CRL issuer (cRLIssuer), whose
/// CRL would be indirect.
pub(crate) fn points_to_another_issuer(certificate: &ParsedCertificate<'_>) -> bool {
    distribution_points(certificate).iter().any(|point| point.is_indirect)
}

/// One point of a cRLDistributionPoints.
struct DistributionPoint {
    /// Comparable.
    names: Vec<Vec<u8>>,
    reasons: Reasons,
    /// It has a cRLIssuer. RFC 5280 section 6.3.3 then requires an indirect CRL.
    is_indirect: bool,
}

/// Returns the distribution points of a certificate. A malformed extension has none.
fn distribution_points(certificate: &ParsedCertificate<'_>) -> Vec<DistributionPoint> {
    let value = certificate.crl_distribution_points;
    value
        .map(|value| read_points(value, certificate.issuer).unwrap_or_default())
        .unwrap_or_default()
}

fn read_points(value: &[u8], issuer: &[u8]) -> Result<Vec<DistributionPoint>, Malformed> {
    let mut outer = Reader::new(value);
    let mut points = outer.nested(der::SEQUENCE)?;
    outer.end()?;
    let mut found = Vec::new();
    while !points.is_empty() {
        let mut point = points.nested(der::SEQUENCE)?;
        let name = point.optional(der::context(0, true))?;
        let reasons = point.optional(der::context(1, false))?;
        let other_issuer = point.optional(der::context(2, true))?;
        point.end()?;
        found.push(DistributionPoint {
            names: name.map_or(Ok(Vec::new()), |name| point_names(name.content, issuer))?,
            reasons: reasons.map_or(Ok(Reasons::ALL), |bits| Reasons::read(bits.content))?,
            is_indirect: other_issuer.is_some(),
        });
    }
    Ok(found)
}

/// Returns the names of a DistributionPointName in comparable form.
fn point_names(content: &[u8], issuer: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut choice = Reader::new(content);
    let chosen = choice.any()?;
    choice.end()?;
    if chosen.tag == der::context(1, true) {
        // nameRelativeToCRLIssuer: the issuer's name and one more RDN.
        let mut name = comparable_name(issuer);
        name.extend(comparable_rdn(chosen.content));
        return Ok(vec![directory_name(name)]);
    }
    if chosen.tag != der::context(0, true) {
        return Err(Malformed("has a distribution point of unknown form"));
    }
    let mut names = Vec::new();
    let mut reader = Reader::new(chosen.content);
    while !reader.is_empty() {
        names.push(comparable_general_name(reader.any()?)?);
    }
    if names.is_empty() {
        return Err(Malformed("has a distribution point without a name"));
    }
    Ok(names)
}

fn directory_name(mut comparable: Vec<u8>) -> Vec<u8> {
    comparable.insert(0, DIRECTORY_NAME);
    comparable
}

/// Returns a GeneralName in comparable form. The scheme and host of a URI are compared without regard
/// to case (RFC 5280 section 7.4).
fn comparable_general_name(name: Element<'_>) -> Result<Vec<u8>, Malformed> {
    match name.tag {
        DIRECTORY_NAME => {
            let mut explicit = Reader::new(name.content);
            let content = explicit.content(der::SEQUENCE)?;
            explicit.end()?;
            Ok(directory_name(comparable_name(content)))
        }
        URI => {
            let authority = name.content.windows(3).position(|part| part == b"://");
            let authority = authority.map_or(0, |at| at + 3);
            let path = name.content[authority..].iter().position(|byte| b"/?#".contains(byte));
            let (base, rest) =
                name.content.split_at(path.map_or(name.content.len(), |at| authority + at));
            Ok([&[URI], &*base.to_ascii_lowercase(), rest].concat())
        }
        _ => Ok(name.whole.to_vec()),
    }
}

/// `[number] BOOLEAN DEFAULT FALSE`.
fn flag(reader: &mut Reader<'_>, number: u8) -> Result<bool, Malformed> {
    match reader.optional(der::context(number, false))? {
        None => Ok(false),
        Some(Element { content: [0xff], .. }) => Ok(true),
        Some(Element { content: [0x00], .. }) => Ok(false),
        Some(_) => Err(Malformed("has a BOOLEAN that is neither TRUE nor FALSE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_as_their_names() {
        for (bits, names) in [
            (&[6, 0x40][..], "keyCompromise"),
            (&[1, 0x06], "cessationOfOperation, certificateHold"),
            (&[7, 0x01, 0x80], "privilegeWithdrawn, aACompromise"),
            (&[0, 0x80], ""),
        ] {
            assert_eq!(Reasons::read(bits).unwrap().names(), names, "{bits:02x?}");
        }
        assert!(Reasons::read(&[7, 0x7f, 0x80]).unwrap().is_all());
        for malformed in [&[][..], &[0], &[8, 0], &[1, 0x41], &[0, 0, 0, 0]] {
            assert!(Reasons::read(malformed).is_err(), "{malformed:02x?}");
        }
    }
}
