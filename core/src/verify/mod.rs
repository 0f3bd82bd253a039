//! The one verification function, which the verifier and every handshake call. It has no side effects
//! except the signature cache, and knows neither sockets nor HTTP.
//!
//! Authentication comes first (chain, dates, purpose, revocation, name, pins), then authorization
//! (tenant, allow list). Paths are built (`walk`) and validated by RFC 5280 section 6.1 (`issuer`,
//! `path`, `constraints`, `certificate_policies`); webpki gives the signature algorithms.

mod certificate_policies;
mod constraints;
mod dns_name;
mod exact;
mod expected;
mod failure;
pub(crate) mod handshake;
mod issuer;
mod link;
mod names;
mod path;
#[cfg(all(test, feature = "testing"))]
mod path_cost_tests;
mod peer;
pub(crate) mod policy;
mod reload;
mod revocation;
mod search;
mod signature_cache;
mod survey;
mod verifier;
mod walk;

use crate::clock::system_time;
use crate::error::{Error, Kind, key};
use crate::material::pin::{Pin, Pins};
use crate::material::trust::Trust;
use crate::x509::algorithms::SIGNATURES;
use crate::x509::{
    Certificate, DIGITAL_SIGNATURE, KEY_CERT_SIGN, ParsedCertificate, Presented, Purpose, pin_text,
};
pub(crate) use expected::Expected;
use link::Link;
pub use peer::{Evidence, Note, PeerIdentity};
use policy::check_uri;
pub use policy::{Authorization, CrlPolicy, Role, TenantRule};
pub(crate) use revocation::UnusedCrl;
use signature_cache::SignatureLimit;
pub use signature_cache::remember_signatures;
pub(crate) use survey::faults;
pub use verifier::{Verifier, VerifierOptions, verify_peer};
pub(crate) use verifier::{checked_server_name, checked_uri};

/// The longest chain that a peer may present. The cost of a search among cross-signed issuers grows
/// faster than their number.
pub(crate) const MAX_CHAIN: usize = 10;

/// The conditions that a peer must satisfy.
#[derive(Clone, Copy)]
pub(crate) struct Expectation<'a> {
    pub(crate) role: Role,
    pub(crate) trust: &'a Trust,
    pub(crate) names: &'a Expected,
    pub(crate) pins: Option<&'a Pins>,
    pub(crate) tenant: Option<&'a TenantRule>,
    pub(crate) authorization: Option<&'a Authorization>,
    pub(crate) strict_purpose: bool,
    pub(crate) crl_policy: CrlPolicy,
    /// Whether the chain has every certificate that the peer presented.
    pub(crate) chain_is_whole: bool,
    /// Unix seconds.
    pub(crate) at: i64,
}

/// Verifies a chain of DER certificates, leaf first.
///
/// Fails with the kind of the first check that fails, in the order of authentication and authorization.
pub(crate) fn verify(chain: &[&[u8]], expected: &Expectation<'_>) -> Result<PeerIdentity, Error> {
    let (leaf, others) = presented_leaf(chain)?;
    if let Some(certificate) = expected.trust.exact_certificate() {
        return exact::verify(&leaf, certificate, expected);
    }
    let issuers = candidates(others, expected.trust)?;

    // A leaf outside its dates is not searched for: no other reason tells more.
    failure::check_dates(&Link::leaf(leaf.parsed()), expected.at)?;
    let leaf_fault = check_leaf(&Link::leaf(leaf.parsed()), &expected.leaf_rules()).err();
    let limit = SignatureLimit::new();
    let search = search::Search {
        leaf: &leaf,
        issuers: &issuers,
        presented: others.len(),
        expected,
        limit: &limit,
    };
    let path = match (search.build(), leaf_fault) {
        (Ok(path), None) => path,
        // An unknown issuer outranks other faults of the leaf. Of two failures with one rank, the leaf's
        // own is reported.
        (Err(fault), Some(own)) if failure::rank(&own) < failure::rank(&fault) => {
            return Err(fault);
        }
        (_, Some(own)) => return Err(own),
        (Err(fault), None) => return Err(fault),
    };
    expected.names.check(leaf.parsed())?;
    let pin = check_pins(&leaf, &path, expected, true)?;
    let tenant = check_tenant(leaf.parsed(), expected)?;
    path.cache_signatures(leaf.parsed(), &limit);
    Ok(PeerIdentity::new(&leaf, expected.role, tenant, pin, path, expected.at))
}

/// Reads the leaf of a presented chain. Returns it and the other certificates.
fn presented_leaf<'c, 'a>(chain: &'c [&'a [u8]]) -> Result<(Presented<'a>, &'c [&'a [u8]]), Error> {
    let Some((leaf, others)) = chain.split_first() else {
        return Err(Error::new(Kind::EvidenceMissing, "the peer presented no certificate"));
    };
    if chain.len() > MAX_CHAIN {
        return Err(Error::new(
            Kind::ChainTooLong,
            format!("the peer presented {} certificates; {MAX_CHAIN} are the limit", chain.len()),
        )
        .noting(key::PRESENTED_COUNT, chain.len()));
    }
    Ok((read(leaf, 0)?, others))
}

/// Returns the candidates of the path search: the presented certificates, then those of the trust.
fn candidates<'a>(others: &[&'a [u8]], trust: &'a Trust) -> Result<Vec<Presented<'a>>, Error> {
    let known = trust.intermediates();
    let mut issuers = Vec::with_capacity(others.len() + known.len());
    for (at, certificate) in others.iter().enumerate() {
        issuers.push(read(certificate, at + 1)?);
    }
    issuers.extend(known.iter().map(Certificate::presented));
    Ok(issuers)
}

fn read(certificate: &[u8], at: usize) -> Result<Presented<'_>, Error> {
    Presented::read(certificate).map_err(|fault| {
        Error::new(
            Kind::CertificateInvalid,
            format!("certificate {} of the presented chain {}", at + 1, fault.0),
        )
        .noting(key::POSITION, at + 1)
    })
}

/// Returns the tenant of a verified leaf, and checks its authorization.
fn check_tenant(
    leaf: &ParsedCertificate<'_>,
    expected: &Expectation<'_>,
) -> Result<Option<String>, Error> {
    let tenant = if let Some(rule) = expected.tenant {
        Some(rule.tenant(leaf)?)
    } else {
        // Without a rule, the only SAN URI of the certificate is its tenant.
        let mut uris = leaf.san_uris();
        let only = uris.next().filter(|_| uris.next().is_none());
        only.filter(|uri| check_uri(uri).is_ok()).map(str::to_owned)
    };
    if let Some(authorization) = expected.authorization {
        authorization.check(leaf)?;
    }
    Ok(tenant)
}

/// The conditions on a leaf itself, without a path.
struct LeafRules {
    role: Role,
    strict_purpose: bool,
    /// A self-signed certificate is often a CA certificate as well. An exact trust makes no CA of it.
    may_be_ca: bool,
}

impl Expectation<'_> {
    fn leaf_rules(&self) -> LeafRules {
        LeafRules {
            role: self.role,
            strict_purpose: self.strict_purpose,
            may_be_ca: self.trust.exact_certificate().is_some(),
        }
    }
}

/// Judges the leaf of a peer without a path: its dates, form, key, purpose and the algorithm of its
/// signature.
///
/// * `at`: Unix seconds.
///
/// Fails as [`verify`] does.
pub(crate) fn judge_leaf(leaf: &ParsedCertificate<'_>, role: Role, at: i64) -> Result<(), Error> {
    let link = Link::leaf(leaf);
    failure::check_dates(&link, at)?;
    check_leaf(&link, &LeafRules { role, strict_purpose: false, may_be_ca: false })?;
    let accepted = SIGNATURES.all.iter().map(|known| known.signature_alg_id());
    if accepted.into_iter().all(|known| known.as_ref() != leaf.signed.algorithm) {
        return Err(failure::algorithm_not_accepted(&link));
    }
    Ok(())
}

/// Makes the checks that need the leaf only, except its dates.
fn check_leaf(leaf: &Link<'_>, rules: &LeafRules) -> Result<(), Error> {
    let invalid = |why: &str| Err(leaf.invalid(why));
    if leaf.version != 3 {
        return invalid(&format!("is of version {}; version 3 is expected", leaf.version));
    }
    if leaf.is_ca && !rules.may_be_ca {
        let error = invalid("is a CA certificate; a leaf is expected");
        return error.map_err(|error| {
            if !leaf.is_self_issued() {
                return error;
            }
            error.advising(
                "The peer must present a leaf certificate. If it is a peer without a CA, trust this one \
                 certificate: Trust.exact.",
            )
        });
    }
    if leaf.unknown_critical.is_some() {
        return Err(failure::critical_extension(leaf));
    }
    if let Some(why) = leaf.profile_fault {
        return invalid(why);
    }
    if leaf.subject.is_empty() && leaf.general_names().next().is_none() {
        return invalid("has neither a subject nor a subjectAltName, so it names no peer");
    }
    if leaf.has_negative_serial() {
        return invalid("has a negative serial number");
    }
    let has_ca_rights =
        leaf.key_usage(KEY_CERT_SIGN) == Some(true) || leaf.name_constraints.is_some();
    if has_ca_rights && !rules.may_be_ca {
        return invalid("has rights that only a CA may have (keyCertSign or name constraints)");
    }
    if leaf.key_usage(DIGITAL_SIGNATURE) == Some(false) {
        return invalid("may not sign handshakes (keyUsage without digitalSignature)");
    }
    if let Some(weakness) = leaf.key.weakness() {
        return Err(failure::key_weak(leaf, &weakness));
    }
    check_purpose(leaf, rules)
}

fn check_purpose(leaf: &Link<'_>, rules: &LeafRules) -> Result<(), Error> {
    let purpose = match rules.role {
        Role::Client => leaf.client_purpose(),
        Role::Server => leaf.server_purpose(),
    };
    let wanted = rules.role.purpose_name();
    let seen = match purpose {
        Purpose::Allowed => return Ok(()),
        Purpose::Absent if !rules.strict_purpose => return Ok(()),
        Purpose::Absent => "has no extendedKeyUsage, which strict_purpose requires".to_owned(),
        Purpose::Any => {
            "lists anyExtendedKeyUsage alone, so it was not issued for this purpose".to_owned()
        }
        Purpose::Refused => {
            format!("lists only {} in its extendedKeyUsage", leaf.listed_purposes())
        }
    };
    Err(Error::new(
        Kind::PurposeNotAllowed,
        format!("{wanted} is required, but {} {seen}", leaf.described()),
    )
    .noting(key::EXPECTED_PURPOSE, wanted)
    .noting(key::SUBJECT, leaf.subject_text()))
}

type MatchedPin = Option<(Pin, crate::material::pin::PinSlot)>;

/// * `path`: empty if there is none.
/// * `chain_valid`: whether every other check of the chain has passed.
fn check_pins(
    presented: &Presented<'_>,
    path: &path::Path,
    expected: &Expectation<'_>,
    chain_valid: bool,
) -> Result<MatchedPin, Error> {
    let Some(pins) = expected.pins else {
        return Ok(None);
    };
    let (leaf, der) = (presented.parsed(), presented.der());
    if let Some(matched) = pins.matching(leaf, der) {
        return Ok(Some(matched));
    }
    let observed = pin_text(&leaf.spki_digest());
    let message = if chain_valid {
        format!("the chain is valid, but the peer's key {observed} is not pinned")
    } else {
        format!("the peer's key {observed} is not pinned, and its chain is not valid either")
    };
    let mut error = Error::new(Kind::PinMismatch, message)
        .noting(key::OBSERVED_PIN, observed)
        .noting(key::CHAIN_VALID, chain_valid)
        .noting(key::EXPECTED_PINS, pins.iter().map(|(pin, _)| pin.to_string()).collect::<Vec<_>>())
        .noting(key::SUBJECT, leaf.subject_text());
    // Two common mistakes: the pin of the CA's key, or the digest of the whole certificate.
    let configured = |pin: Pin| pins.iter().any(|(known, _)| known == pin);
    let issuer =
        path.issuers().iter().find(|issuer| configured(Pin::Spki(issuer.parsed().spki_digest())));
    if let Some(issuer) = issuer {
        error = error.noting(key::CONFIGURED_IS, "issuer_spki").advising(format!(
            "The configured pin is the key of the CA {}. Pin the peer's own key.",
            issuer.subject_text()
        ));
    } else {
        use sha2::Digest as _;
        let digest: [u8; 32] = sha2::Sha256::digest(der).into();
        if configured(Pin::Spki(digest)) {
            error = error.noting(key::CONFIGURED_IS, "certificate_fingerprint").advising(
                "The configured pin is the certificate's fingerprint. Write it as cert-sha256/…, or pin the key.",
            );
        }
    }
    Err(error)
}

/// Unix seconds as Unix milliseconds, for messages and JSON.
pub(crate) fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

/// Unix seconds as an instant, for public getters.
pub(crate) fn instant(seconds: i64) -> std::time::SystemTime {
    system_time(seconds)
}
