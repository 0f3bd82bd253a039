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
}

/// The kind of certificates that a CRL covers.
#[derive(Debug, Default, PartialEq, Eq)]
enum Holders {
    #[default]
    All,
    Users,
    Cas,
}

impl Scope {
    /// Reads the value of an issuingDistributionPoint.
    ///
    /// * `issuer`: the content of the CRL issuer's Name.
    ///
    /// Fails if the CRL covers its certificates only in part, because then it alone decides about no
    /// certificate.
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
        let refuse = |why, remedy| Err(CrlFault::Unsupported { why, remedy });
        if reader.optional(der::context(3, false))?.is_some() {
            return refuse(
                "covers only some reasons of revocation (onlySomeReasons), which is not supported",
                "Have the CA issue a CRL for all reasons.",
            );
        }
        if flag(&mut reader, 4)? {
            return refuse(
                "is indirect (indirectCRL): it covers several issuers, which is not supported",
                "Supply the CRL that each issuer signs itself.",
            );
        }
        if flag(&mut reader, 5)? {
            return refuse(
                "covers only attribute certificates (onlyContainsAttributeCerts)",
                "Supply the CRL of public key certificates.",
            );
        }
        reader.end()?;
        scope.holders = match (users, cas) {
            (false, false) => Holders::All,
            (true, false) => Holders::Users,
            (false, true) => Holders::Cas,
            (true, true) => {
                return Err(Malformed("covers only user and only CA certificates at once").into());
            }
        };
        Ok(scope)
    }

    /// Returns whether the CRL covers this certificate of its issuer, for all revocation reasons.
    pub(crate) fn covers(&self, certificate: &ParsedCertificate<'_>) -> bool {
        let is_held = match self.holders {
            Holders::All => true,
            Holders::Users => !certificate.is_ca,
            Holders::Cas => certificate.is_ca,
        };
        is_held && self.names.as_ref().is_none_or(|names| is_published(certificate, names))
    }
}

/// Returns whether the certificate points to one of these names for all revocation reasons.
fn is_published(certificate: &ParsedCertificate<'_>, names: &[Vec<u8>]) -> bool {
    let issuer = certificate.issuer;
    // Every certificate has an implied distribution point: the name of its issuer (section 6.3.3).
    if names.contains(&directory_name(comparable_name(issuer))) {
        return true;
    }
    let Some(points) = certificate.crl_distribution_points else { return false };
    // A malformed extension names no distribution point.
    let points = distribution_points(points, issuer).unwrap_or_default();
    points.iter().any(|name| names.contains(name))
}

/// Returns the names of the points in a cRLDistributionPoints that are for all reasons and for CRLs of
/// the certificate's own issuer.
fn distribution_points(value: &[u8], issuer: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut outer = Reader::new(value);
    let mut points = outer.nested(der::SEQUENCE)?;
    outer.end()?;
    let mut names = Vec::new();
    while !points.is_empty() {
        let mut point = points.nested(der::SEQUENCE)?;
        let name = point.optional(der::context(0, true))?;
        let reasons = point.optional(der::context(1, false))?;
        let other_issuer = point.optional(der::context(2, true))?;
        point.end()?;
        if let (Some(name), None, None) = (name, reasons, other_issuer) {
            names.extend(point_names(name.content, issuer)?);
        }
    }
    Ok(names)
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
