//! The grammar of URIs that name a workload: SPIFFE IDs, and other URIs in tenant rules and allow lists.
//!
//! Certificates are compared with rules byte by byte. So a URI that has several spellings, or that
//! software may resolve to another URI, is not accepted.

/// The longest SPIFFE ID (SPIFFE-ID section 2.3).
const LONGEST: usize = 2048;

/// The longest trust domain (SPIFFE-ID section 2.3).
const LONGEST_DOMAIN: usize = 255;

const SPIFFE: &str = "spiffe";

/// Checks a URI that is to name a workload: a SPIFFE ID if its scheme says so, else an absolute URI by
/// RFC 3986 that no normalization changes.
pub(crate) fn check(uri: &str) -> Result<(), &'static str> {
    if uri.len() > LONGEST {
        return Err("is longer than 2048 bytes");
    }
    let (scheme, rest) = uri.split_once(':').ok_or("has no scheme")?;
    if scheme.eq_ignore_ascii_case(SPIFFE) {
        return SpiffeId::parse(uri).map(drop);
    }
    let scheme_is_sound = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !scheme_is_sound {
        return Err("has no scheme");
    }
    if rest.is_empty() {
        return Err("has nothing after its scheme");
    }
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte);
    if rest.contains('#') {
        return Err("has a fragment");
    }
    if !rest.bytes().all(allowed) {
        return Err("has a character that URIs do not allow");
    }
    let well_encoded = rest.split('%').skip(1).all(|after| {
        after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !well_encoded {
        return Err("has a malformed percent-encoding");
    }
    let path = rest.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| is_dots(&segment.replace("%2e", ".").replace("%2E", "."));
    if path.split('/').any(is_dots) {
        return Err("has a path segment of dots");
    }
    Ok(())
}

/// A SPIFFE ID: `spiffe://<trust domain>/<path>`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SpiffeId<'a> {
    pub(super) trust_domain: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Parses an ID by the grammar of the SPIFFE-ID specification, section 2. The scheme must be in
    /// lower case. A path segment of any number of dots and nothing else is refused.
    pub(super) fn parse(uri: &'a str) -> Result<Self, &'static str> {
        if uri.len() > LONGEST {
            return Err("is longer than 2048 bytes");
        }
        let rest = uri.strip_prefix("spiffe://").ok_or("does not begin with spiffe://")?;
        let (trust_domain, path) = match rest.split_once('/') {
            Some((trust_domain, path)) => (trust_domain, Some(path)),
            None => (rest, None),
        };
        check_trust_domain(trust_domain)?;
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        for segment in path.into_iter().flat_map(|path| path.split('/')) {
            if segment.is_empty() {
                return Err("has an empty path segment");
            }
            if is_dots(segment) {
                return Err("has a path segment of dots");
            }
            if !segment.bytes().all(sound) {
                return Err("has a path with other characters than letters, digits, - . _");
            }
        }
        Ok(Self { trust_domain })
    }
}

/// Checks the name of a trust domain (SPIFFE-ID section 2.1).
pub(super) fn check_trust_domain(domain: &str) -> Result<(), &'static str> {
    let sound =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    if domain.is_empty() {
        return Err("has no trust domain");
    }
    if domain.len() > LONGEST_DOMAIN {
        return Err("has a trust domain of more than 255 bytes");
    }
    if !domain.bytes().all(sound) {
        return Err(
            "has a trust domain with other characters than lower-case letters, digits, - . _",
        );
    }
    Ok(())
}

/// Returns whether a segment consists of dots only, such as `.` and `..`. In a path, it could lead out
/// of a directory.
pub(super) fn is_dots(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_is_read_by_its_grammar() {
        let longest = format!("spiffe://corp/{}", "a".repeat(LONGEST - 14));
        let domain = format!("spiffe://{}/a", "d".repeat(LONGEST_DOMAIN));
        for sound in [
            "spiffe://corp.example/tenant/acme",
            "spiffe://corp.example",
            "spiffe://corp_1-x.example/A-z_0.9/.hidden/x..y",
            &longest,
            &domain,
        ] {
            assert!(SpiffeId::parse(sound).is_ok(), "{sound}");
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        for faulty in [
            "",
            "spiffe:",
            "spiffe://",
            "spiffe:///tenant/acme",
            "Spiffe://corp/a",
            "spiffe://corp/",
            "spiffe://corp/a/",
            "spiffe://corp//a",
            "spiffe://corp/a/../b",
            "spiffe://corp/./b",
            "spiffe://corp/...",
            "spiffe://corp/%2e%2e/b",
            "spiffe://corp/a%41",
            "spiffe://corp/a?x=1",
            "spiffe://corp/a#x",
            "spiffe://corp/a b",
            "spiffe://corp/a\0",
            "spiffe://corp/a~b",
            "spiffe://corp/a:b",
            "spiffe://user@corp/a",
            "spiffe://corp:443/a",
            "spiffe://Corp/a",
            "spiffe://c\u{f6}rp/a",
            "spiffe://corp/\u{f6}",
            &format!("{longest}a"),
            &format!("spiffe://{}/a", "d".repeat(LONGEST_DOMAIN + 1)),
        ] {
            assert!(SpiffeId::parse(faulty).is_err(), "{faulty}");
            assert!(check(faulty).is_err(), "{faulty}");
        }
    }

    #[test]
    fn another_uri_has_one_spelling() {
        for sound in [
            "https://corp.example/tenant/acme?x=1",
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "https://[2001:db8::1]/a%20b",
            "tag:corp.example,2026:acme",
        ] {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        for faulty in [
            "acme",
            ":acme",
            "1x:acme",
            "https:",
            "https://corp/a b",
            "https://corp/a\0",
            "https://corp/a#b",
            "https://corp/%4",
            "https://corp/%zz",
            "https://corp/../a",
            "https://corp/%2E./a",
            "https://corp/a|b",
        ] {
            assert!(check(faulty).is_err(), "{faulty}");
        }
    }
}
