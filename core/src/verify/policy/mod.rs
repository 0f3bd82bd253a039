//! Authorization: the peers that are allowed, and the tenant of a verified certificate.

mod uri;

use std::sync::Arc;

use crate::error::{Error, Form, Kind, certain_secret, key, presented_list, shown, words};
use crate::options;
use crate::recipe::{Argument, Rebuild, Recipe};
use crate::x509::{ParsedCertificate, San, common_name};
use uri::SpiffeId;
pub(crate) use uri::check as check_uri;

words! {
    /// The role of the peer in the connection. Exhaustive: TLS has two.
    Role {
        /// The peer connects to us and presents a client certificate.
        Client = 1 "client",
        /// We connect to the peer, a TLS server.
        Server = 2 "server",
    }
}

impl Role {
    /// The purpose that extendedKeyUsage must allow for the role.
    pub(crate) fn purpose_name(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }
}

words! {
    /// The verdict on a certificate of a path if no usable CRL covers it.
    #[non_exhaustive]
    CrlPolicy {
        /// The certificate passes. CRLs are checked if the trust has some.
        IfPresent = 1 "if_present",
        /// The certificate is refused with `crl_unusable`.
        Require = 2 "require",
        /// The leaf is refused with `crl_unusable`. An issuer passes, and CRLs are checked if the trust
        /// has some.
        RequireLeaf = 3 "require_leaf",
    }
}

impl CrlPolicy {
    /// Reads the value of the option `crl_policy`. Fails with `option_invalid`.
    pub(crate) fn from_option(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|policy| policy.name()).collect();
            options::fault("crl_policy", format_args!("must be one of {}", names.join(", ")))
        })
    }
}

/// The rule by which a verified certificate names its tenant. A tenant has 1 to 64 characters of
/// `A-Z a-z 0-9 . _ -`, and not only dots.
///
/// ```
/// use webhook_mtls::TenantRule;
///
/// TenantRule::san_uri("spiffe://corp/tenant/{tenant}")?;
/// TenantRule::san_dns_suffix("tenants.corp")?;
/// assert!(TenantRule::san_uri("spiffe://{tenant}/x").is_err(), "a tenant must not choose its domain");
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantRule {
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Rule {
    SanUri { before: Arc<str>, after: Arc<str> },
    SanDnsSuffix(Arc<str>),
    SubjectCn,
}

const PLACEHOLDER: &str = "{tenant}";

impl TenantRule {
    /// Takes the tenant from a SAN URI that equals the template. `{tenant}` stands for one whole path
    /// segment: `spiffe://corp/tenant/{tenant}`. Compared byte by byte, without percent-decoding.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the template does not have exactly one such segment, or if it has
    /// the scheme `spiffe` and can match no SPIFFE ID.
    pub fn san_uri(template: &str) -> Result<Self, Error> {
        let fault = |why: &str| {
            let template = shown(template, Form::Uri);
            Error::new(Kind::OptionInvalid, format!("tenant template {template} {why}"))
                .noting(key::OPTION, "tenant")
        };
        // Errors about peers show the rule, so it must not hold a secret.
        if certain_secret(template).is_some() {
            return Err(fault("is not a template"));
        }
        let mut parts = template.split(PLACEHOLDER);
        let (Some(before), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(fault("must hold {tenant} exactly once"));
        };
        if before.contains(['{', '}']) || after.contains(['{', '}']) {
            return Err(fault("holds a brace outside {tenant}"));
        }
        let Some((scheme, rest)) = before.split_once("://") else {
            return Err(fault("must start with a scheme and ://, before {tenant}"));
        };
        let scheme_is_sound = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !scheme_is_sound {
            return Err(fault("must start with a scheme"));
        }
        if !template.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(fault("must be printable ASCII without spaces"));
        }
        // A placeholder in the authority would let a tenant choose the trust domain.
        if !rest.contains('/') || !before.ends_with('/') {
            return Err(fault("must have {tenant} as a whole path segment"));
        }
        if !(after.is_empty() || after.starts_with('/')) {
            return Err(fault("must have {tenant} as a whole path segment"));
        }
        // Checks the shortest URI that the template can match.
        check_uri(&format!("{before}t{after}")).map_err(fault)?;
        Ok(Self { rule: Rule::SanUri { before: before.into(), after: after.into() } })
    }

    /// Takes the tenant from a SAN DNS name with one label before the suffix: `tenants.corp` matches
    /// `acme.tenants.corp`.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the suffix is not a DNS name.
    pub fn san_dns_suffix(suffix: &str) -> Result<Self, Error> {
        let given = suffix;
        let suffix = given.strip_prefix('.').unwrap_or(given).to_ascii_lowercase();
        if suffix.len() > 253 || !suffix.split('.').all(is_label) {
            return Err(Error::new(
                Kind::OptionInvalid,
                format!("tenant suffix {} is not a DNS name", shown(given, Form::Host)),
            )
            .noting(key::OPTION, "tenant"));
        }
        Ok(Self { rule: Rule::SanDnsSuffix(suffix.into()) })
    }

    /// Takes the tenant from the subject's only common name. Only for CAs that name tenants there and
    /// nowhere else.
    pub fn subject_cn() -> Self {
        Self { rule: Rule::SubjectCn }
    }

    /// Returns the tenant. Fails with `tenant_refused`.
    pub(crate) fn tenant(&self, leaf: &ParsedCertificate<'_>) -> Result<String, Error> {
        let candidates: Vec<String> = match &self.rule {
            Rule::SanUri { before, after } => leaf
                .san_uris()
                .filter(|uri| check_uri(uri).is_ok())
                .filter_map(|uri| uri.strip_prefix(&**before)?.strip_suffix(&**after))
                .filter(|tenant| is_tenant(tenant))
                .map(str::to_owned)
                .collect(),
            Rule::SanDnsSuffix(suffix) => leaf
                .sans()
                .filter_map(|san| match san {
                    San::Dns(name) => Some(name.to_ascii_lowercase()),
                    _ => None,
                })
                .filter_map(|name| {
                    Some(name.strip_suffix(&**suffix)?.strip_suffix('.')?.to_owned())
                })
                .filter(|tenant| is_label(tenant))
                .collect(),
            Rule::SubjectCn => {
                common_name(leaf.subject).filter(|name| is_tenant(name)).into_iter().collect()
            }
        };
        match <[String; 1]>::try_from(candidates) {
            Ok([tenant]) => Ok(tenant),
            Err(others) => {
                let uris = presented_list(leaf.san_uris());
                Err(Error::new(
                    Kind::TenantRefused,
                    format!(
                        "the certificate of {} names {} tenants by the rule {}; exactly one is expected",
                        leaf.subject_text(),
                        others.len(),
                        self.described(),
                    ),
                )
                .noting(key::RULE, self.described())
                .noting(key::SUBJECT, leaf.subject_text())
                .noting(key::PRESENTED, uris))
            }
        }
    }

    fn described(&self) -> String {
        match &self.rule {
            Rule::SanUri { before, after } => format!("SAN URI {before}{PLACEHOLDER}{after}"),
            Rule::SanDnsSuffix(suffix) => format!("SAN DNS {PLACEHOLDER}.{suffix}"),
            Rule::SubjectCn => "subject CN".to_owned(),
        }
    }
}

impl Rebuild for TenantRule {
    fn recipe(&self) -> Option<Recipe> {
        Some(match &self.rule {
            Rule::SanUri { before, after } => {
                let template = format!("{before}{PLACEHOLDER}{after}");
                Recipe::new("san_uri").with("template", Argument::Text(template))
            }
            Rule::SanDnsSuffix(suffix) => {
                Recipe::new("san_dns_suffix").with("suffix", Argument::Text(suffix.to_string()))
            }
            Rule::SubjectCn => Recipe::new("subject_cn"),
        })
    }
}

fn is_tenant(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && !uri::is_dots(text)
}

/// A label of a host name (RFC 5890 section 2.3.1). Every label is a tenant.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The peers that are allowed. There is no default: to allow every member of the CA, use
/// [`ca_members`](Self::ca_members).
///
/// ```
/// use webhook_mtls::Authorization;
///
/// Authorization::san_uris(["spiffe://corp/billing", "spiffe://corp/orders"])?;
/// Authorization::trust_domain("corp")?;
/// Authorization::ca_members();
/// # Ok::<(), webhook_mtls::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorization {
    rule: Allowed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Allowed {
    SanUris(Arc<[String]>),
    TrustDomain(Arc<str>),
    CaMembers,
}

impl Authorization {
    /// Allows peers with one of these SAN URIs, compared byte by byte.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the list is empty, an entry is not an absolute URI, or an entry
    /// with the scheme `spiffe` is not a SPIFFE ID.
    pub fn san_uris<I>(uris: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let uris: Vec<String> = uris.into_iter().map(Into::into).collect();
        let fault =
            |why: String| Error::new(Kind::OptionInvalid, why).noting(key::OPTION, "authorization");
        if uris.is_empty() {
            return Err(fault("the allow list must hold at least one SAN URI".to_owned()));
        }
        for (at, uri) in uris.iter().enumerate() {
            check_uri(uri).map_err(|why| {
                fault(format!("SAN URI {} of the allow list {why}", at + 1))
                    .noting(key::POSITION, at + 1)
            })?;
        }
        Ok(Self { rule: Allowed::SanUris(uris.into()) })
    }

    /// Allows peers with exactly one SAN URI that is a SPIFFE ID of this trust domain.
    ///
    /// # Errors
    ///
    /// Fails with `option_invalid` if the text is not a trust domain (SPIFFE ID section 2.1).
    pub fn trust_domain(domain: &str) -> Result<Self, Error> {
        if uri::check_trust_domain(domain).is_err() {
            return Err(Error::new(
                Kind::OptionInvalid,
                format!(
                    "{} is not a SPIFFE trust domain: lower-case letters, digits, - . _",
                    shown(domain, Form::Host)
                ),
            )
            .noting(key::OPTION, "authorization"));
        }
        Ok(Self { rule: Allowed::TrustDomain(domain.into()) })
    }

    /// Allows every peer with a valid certificate of the trusted CA. Use it only if that CA issues
    /// certificates to no other peer.
    pub fn ca_members() -> Self {
        Self { rule: Allowed::CaMembers }
    }

    pub(crate) fn check(&self, leaf: &ParsedCertificate<'_>) -> Result<(), Error> {
        let uris: Vec<&str> = leaf.san_uris().collect();
        let allowed = match &self.rule {
            Allowed::SanUris(list) => uris.iter().any(|uri| list.iter().any(|known| known == uri)),
            Allowed::TrustDomain(domain) => match uris[..] {
                // An SVID has exactly one URI SAN (X509-SVID section 2).
                [uri] => SpiffeId::parse(uri).is_ok_and(|id| id.trust_domain == &**domain),
                _ => false,
            },
            Allowed::CaMembers => true,
        };
        if allowed {
            return Ok(());
        }
        let rule = match &self.rule {
            Allowed::SanUris(list) => format!("the allow list of {} SAN URIs", list.len()),
            Allowed::TrustDomain(domain) => format!("the trust domain {domain}"),
            Allowed::CaMembers => unreachable!("ca_members allows every peer"),
        };
        Err(Error::new(
            Kind::NotAuthorized,
            format!("{} is not within {rule}", leaf.subject_text()),
        )
        .noting(key::SUBJECT, leaf.subject_text())
        .noting(key::PRESENTED, presented_list(uris.into_iter())))
    }
}

impl Rebuild for Authorization {
    fn recipe(&self) -> Option<Recipe> {
        Some(match &self.rule {
            Allowed::SanUris(uris) => {
                Recipe::new("san_uris").with("uris", Argument::Texts(uris.to_vec()))
            }
            Allowed::TrustDomain(domain) => {
                Recipe::new("trust_domain").with("domain", Argument::Text(domain.to_string()))
            }
            Allowed::CaMembers => Recipe::new("ca_members"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_one_whole_path_segment() {
        for sound in ["spiffe://corp/tenant/{tenant}", "https://corp/{tenant}/hooks"] {
            assert!(TenantRule::san_uri(sound).is_ok(), "{sound}");
        }
        for faulty in [
            "",
            "spiffe://corp/tenant",
            "{tenant}",
            "spiffe://{tenant}/x",
            "spiffe://corp/t-{tenant}",
            "spiffe://corp/{tenant}-x",
            "spiffe://corp/{tenant}/{tenant}",
            "spiffe://corp/{other}/{tenant}",
            "spiffe://corp /{tenant}",
            "://corp/{tenant}",
        ] {
            assert_eq!(
                TenantRule::san_uri(faulty).unwrap_err().kind(),
                Kind::OptionInvalid,
                "{faulty}"
            );
        }
    }
}
