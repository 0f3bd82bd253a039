//! Enforces the name constraints of the CAs of a path (RFC 5280 sections 4.2.1.10 and 6.1.4).
//!
//! The constraints of a CA bind the subject and the subjectAltName of every certificate below it, except
//! those of a self-issued CA. A type of name that this file cannot compare is refused if a constraint of
//! that type exists, and the error says so.

use std::net::IpAddr;

use super::dns_name;
use super::link::Link;
use crate::error::{Error, Kind, key, presented};
use crate::x509::der;
use crate::x509::{
    GeneralName, Subtree, comparable_rdns, email_addresses, ip_address, is_host, name_text,
    subtrees,
};

/// The most comparisons of a name with a constraint along one path. A path of a real CA needs some
/// hundred.
const MAX_COMPARISONS: usize = 50_000;

/// Checks the names of a path.
///
/// * `path`: from the leaf to the anchor.
///
/// Fails with `constraint_violated`, or with `certificate_invalid` if a constraint or a name cannot be
/// compared.
pub(super) fn check(path: &[Link<'_>]) -> Result<(), Error> {
    let mut left = MAX_COMPARISONS;
    for (at, issuer) in path.iter().enumerate().skip(1) {
        let Some(extension) = issuer.name_constraints else { continue };
        let constraints = Constraints::read(*issuer, extension)?;
        for (below, certificate) in path[..at].iter().enumerate() {
            if below == 0 || !certificate.is_self_issued() {
                constraints.check(certificate, &mut left)?;
            }
        }
    }
    Ok(())
}

/// The name constraints of one CA.
struct Constraints<'a> {
    issuer: Link<'a>,
    subtrees: Vec<Prepared<'a>>,
}

/// A subtree, and a directoryName in comparable form.
struct Prepared<'a> {
    subtree: Subtree<'a>,
    rdns: Vec<Vec<u8>>,
}

impl<'a> Constraints<'a> {
    fn read(issuer: Link<'a>, extension: &'a [u8]) -> Result<Self, Error> {
        let prepared = subtrees(extension).map(|subtree| {
            let subtree = subtree.map_err(|fault| issuer.invalid(fault.0))?;
            let rdns = match subtree.base {
                GeneralName::Directory(name) => comparable_rdns(name).unwrap_or_default(),
                _ => Vec::new(),
            };
            Ok(Prepared { subtree, rdns })
        });
        Ok(Self { issuer, subtrees: prepared.collect::<Result<_, Error>>()? })
    }

    /// Checks all names of a certificate.
    fn check(&self, certificate: &Link<'_>, left: &mut usize) -> Result<(), Error> {
        if !certificate.subject.is_empty() {
            self.check_directory(certificate, certificate.subject, left)?;
        }
        let mut has_email = false;
        for name in certificate.general_names() {
            has_email |= matches!(name, GeneralName::Email(_));
            match name {
                GeneralName::Directory(explicit) => {
                    let content = directory_content(explicit)
                        .ok_or_else(|| certificate.invalid("has a malformed directoryName"))?;
                    self.check_directory(certificate, content, left)?;
                }
                name => self.check_name(certificate, name, left)?,
            }
        }
        if !has_email {
            for address in email_addresses(certificate.subject) {
                self.check_name(certificate, GeneralName::Email(&address), left)?;
            }
        }
        Ok(())
    }

    fn check_name(
        &self,
        certificate: &Link<'_>,
        name: GeneralName<'_>,
        left: &mut usize,
    ) -> Result<(), Error> {
        let of_type = |prepared: &&Prepared<'_>| is_of_type(&prepared.subtree.base, &name);
        if !self.subtrees.iter().any(|prepared| of_type(&prepared)) {
            return Ok(());
        }
        if let Err(why) = comparable(name) {
            let (kind, shown) = (name.type_name(), shown(name));
            let why = format!("has the {kind} name {shown}, which {why}");
            return Err(certificate.invalid(&why).noting(key::ISSUER, self.issuer.subject_text()));
        }
        let matches = |prepared: &Prepared<'_>| {
            if prepared.subtree.excluded {
                touches(name, prepared.subtree.base)
            } else {
                is_within(name, prepared.subtree.base)
            }
        };
        self.decide(certificate, name, left, of_type, matches)
    }

    fn check_directory(
        &self,
        certificate: &Link<'_>,
        content: &[u8],
        left: &mut usize,
    ) -> Result<(), Error> {
        let of_type =
            |prepared: &&Prepared<'_>| matches!(prepared.subtree.base, GeneralName::Directory(_));
        if !self.subtrees.iter().any(|prepared| of_type(&prepared)) {
            return Ok(());
        }
        let rdns = comparable_rdns(content)
            .ok_or_else(|| certificate.invalid("has a malformed directoryName"))?;
        let matches = |prepared: &Prepared<'_>| rdns.starts_with(&prepared.rdns);
        self.decide(certificate, GeneralName::Directory(content), left, of_type, matches)
    }

    /// Decides about one name: no excluded subtree may match, and one permitted subtree must, if there is
    /// one of its type.
    fn decide(
        &self,
        certificate: &Link<'_>,
        name: GeneralName<'_>,
        left: &mut usize,
        of_type: impl Fn(&&Prepared<'_>) -> bool,
        matches: impl Fn(&Prepared<'_>) -> bool,
    ) -> Result<(), Error> {
        let (mut is_limited, mut is_permitted) = (false, false);
        for prepared in self.subtrees.iter().filter(of_type) {
            *left = left.checked_sub(1).ok_or_else(|| self.too_many(certificate))?;
            let is_match = matches(prepared);
            if prepared.subtree.excluded && is_match {
                return Err(self.excluded(certificate, name, prepared.subtree.base));
            }
            is_limited |= !prepared.subtree.excluded;
            is_permitted |= is_match;
        }
        if is_limited && !is_permitted {
            Err(self.not_permitted(certificate, name))
        } else {
            Ok(())
        }
    }

    fn excluded(
        &self,
        certificate: &Link<'_>,
        name: GeneralName<'_>,
        base: GeneralName<'_>,
    ) -> Error {
        self.violated(certificate, name, &format!("excludes {} (name constraints)", shown(base)))
    }

    fn not_permitted(&self, certificate: &Link<'_>, name: GeneralName<'_>) -> Error {
        /// The most permitted names in the message.
        const MAX_SHOWN: usize = 5;
        let permitted = self.subtrees.iter().filter(|prepared| !prepared.subtree.excluded);
        let permitted: Vec<GeneralName<'_>> = permitted
            .map(|prepared| prepared.subtree.base)
            .filter(|base| is_of_type(base, &name))
            .collect();
        let some: Vec<String> = permitted.iter().take(MAX_SHOWN).map(|base| shown(*base)).collect();
        let more = match permitted.len().saturating_sub(MAX_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let why = format!("permits only {}{more} (name constraints)", some.join(", "));
        self.violated(certificate, name, &why)
    }

    fn violated(&self, certificate: &Link<'_>, name: GeneralName<'_>, why: &str) -> Error {
        let (kind, shown) = (name.type_name(), shown(name));
        let issuer = self.issuer.described();
        let why = format!("has the {kind} name {shown}, but {issuer} {why}");
        certificate
            .fault(Kind::ConstraintViolated, &why)
            .noting(key::ISSUER, self.issuer.subject_text())
    }

    fn too_many(&self, certificate: &Link<'_>) -> Error {
        let (subject, issuer) = (certificate.subject_text(), self.issuer.subject_text());
        let message = format!(
            "the names of {subject} and the name constraints of {issuer} need more than \
             {MAX_COMPARISONS} comparisons"
        );
        Error::new(Kind::ChainTooLong, message)
            .noting(key::SUBJECT, subject)
            .noting(key::ISSUER, issuer)
    }
}

fn is_of_type(base: &GeneralName<'_>, name: &GeneralName<'_>) -> bool {
    match (base, name) {
        (GeneralName::Other(one), GeneralName::Other(other)) => one == other,
        _ => std::mem::discriminant(base) == std::mem::discriminant(name),
    }
}

/// Checks that a name has a form that can be compared with constraints of its type.
///
/// Fails with the end of a sentence whose subject is the name.
fn comparable(name: GeneralName<'_>) -> Result<(), &'static str> {
    match name {
        GeneralName::Dns(name) if !dns_name::is_presented(name) => {
            Err("is not a DNS name, so no name constraint can apply to it")
        }
        GeneralName::Email(address) if mailbox(address).is_none() => {
            Err("is not a mailbox, so no name constraint can apply to it")
        }
        GeneralName::Uri(uri) if uri_host(uri).is_none() => {
            Err("has no host, so no name constraint can apply to it")
        }
        GeneralName::Other(_) => {
            Err("its CA constrains; name constraints of this type are not supported")
        }
        _ => Ok(()),
    }
}

fn is_within(name: GeneralName<'_>, base: GeneralName<'_>) -> bool {
    match (name, base) {
        (GeneralName::Dns(name), GeneralName::Dns(base)) => dns_name::is_within(name, base),
        (GeneralName::Ip(address), GeneralName::Ip(network)) => is_in_network(address, network),
        (GeneralName::Email(address), GeneralName::Email(base)) => {
            mailbox(address).is_some_and(|(local, host)| match base.rsplit_once('@') {
                // The local part is compared with its case (RFC 5280 section 7.5).
                Some((wanted, at)) => local == wanted && host.eq_ignore_ascii_case(at),
                None => is_host_within(host, base),
            })
        }
        (GeneralName::Uri(uri), GeneralName::Uri(base)) => {
            uri_host(uri).is_some_and(|host| is_host_within(host, base))
        }
        _ => false,
    }
}

fn touches(name: GeneralName<'_>, base: GeneralName<'_>) -> bool {
    match (name, base) {
        (GeneralName::Dns(name), GeneralName::Dns(base)) => dns_name::touches(name, base),
        _ => is_within(name, base),
    }
}

/// Matches the host of a mailbox or URI: without a period in front, a base is that host alone.
fn is_host_within(host: &str, base: &str) -> bool {
    base.is_empty()
        || if base.starts_with('.') {
            dns_name::is_within(host, base)
        } else {
            host.eq_ignore_ascii_case(base)
        }
}

fn is_in_network(address: &[u8], network: &[u8]) -> bool {
    let (base, mask) = network.split_at(network.len() / 2);
    address.len() == base.len()
        && address.iter().zip(base).zip(mask).all(|((one, base), mask)| one & mask == base & mask)
}

/// Splits a mailbox into its local part and its host.
fn mailbox(address: &str) -> Option<(&str, &str)> {
    let (local, host) = address.rsplit_once('@')?;
    (!local.is_empty() && !local.contains('@') && is_host(host)).then_some((local, host))
}

/// Returns the host of a URI with an authority. An address is not a host here (RFC 5280 section
/// 4.2.1.10).
fn uri_host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.split_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        Some(_) => return None,
        None => host,
    };
    (is_host(host) && host.parse::<IpAddr>().is_err()).then_some(host)
}

/// Returns the content of the Name in an explicitly tagged directoryName.
fn directory_content(explicit: &[u8]) -> Option<&[u8]> {
    let mut reader = der::Reader::new(explicit);
    let content = reader.content(der::SEQUENCE).ok()?;
    reader.is_empty().then_some(content)
}

/// Returns a name or base for a message. An empty base stands for all names of its type.
fn shown(name: GeneralName<'_>) -> String {
    match name {
        GeneralName::Dns("") | GeneralName::Email("") | GeneralName::Uri("") => {
            format!("every {} name", name.type_name())
        }
        GeneralName::Dns(text) | GeneralName::Email(text) | GeneralName::Uri(text) => {
            presented(text)
        }
        GeneralName::Ip(octets) => match ip_address(octets) {
            Some(address) => address.to_string(),
            None => shown_network(octets),
        },
        GeneralName::Directory(content) => presented(&name_text(content)),
        GeneralName::Other(_) => format!("of type {}", name.type_name()),
    }
}

fn shown_network(octets: &[u8]) -> String {
    let (base, mask) = octets.split_at(octets.len() / 2);
    let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    ip_address(base)
        .map_or_else(|| "a malformed network".to_owned(), |base| format!("{base}/{bits}"))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
        KeyUsagePurpose, NameConstraints,
    };

    use crate::error::Kind;
    use crate::{Role, Trust, Verifier, VerifierOptions};

    fn names(names: &[&str]) -> Vec<GeneralSubtree> {
        names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect()
    }

    /// Returns the message about a leaf for `localhost` below a root with these constraints.
    fn message(permitted: &[&str], excluded: &[&str]) -> String {
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "Zone");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        root.name_constraints = Some(NameConstraints {
            permitted_subtrees: names(permitted),
            excluded_subtrees: names(excluded),
        });
        let (root_key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let anchor = root.self_signed(&root_key).unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &Issuer::new(root, &root_key)).unwrap();
        let trust = Trust::from_pem(anchor.pem().as_bytes(), None, &[]).unwrap();
        let verifier = Verifier::new(VerifierOptions::new(Role::Server, trust)).unwrap();
        let error = verifier
            .verify_chain(&[leaf.der().to_vec()], Some("localhost"), SystemTime::now())
            .unwrap_err();
        assert_eq!(error.kind(), Kind::ConstraintViolated);
        error.message().to_owned()
    }

    #[test]
    fn the_message_has_what_the_ca_permits_or_excludes() {
        let seen = message(&["a.test"], &["b.a.test"]);
        assert!(seen.contains("permits only a.test (name constraints)"), "{seen}");
        let seen = message(&["a.test", "localhost"], &["localhost"]);
        assert!(seen.contains("excludes localhost (name constraints)"), "{seen}");
        let seen = message(&["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"], &[]);
        assert!(seen.contains("d.test, e.test and 1 more (name constraints)"), "{seen}");
    }
}
