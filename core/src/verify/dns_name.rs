//! DNS names of certificates: the match with an expected name (RFC 6125 section 6.4, RFC 9525), and
//! the match with a name constraint (RFC 5280 section 4.2.1.10). All comparisons ignore ASCII case.

use crate::x509::is_host;

/// Returns whether a name of a certificate has the form of a DNS name. Its first label may be `*`, if
/// two labels follow.
pub(super) fn is_presented(name: &str) -> bool {
    let rest = match name.strip_prefix("*.") {
        Some(rest) if rest.contains('.') => rest,
        Some(_) => return false,
        None => name,
    };
    let last = rest.rsplit('.').next().unwrap_or_default();
    is_host(rest) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a name of a certificate matches the expected name. `*` stands for one label.
pub(super) fn matches(presented: &str, expected: &str) -> bool {
    if !is_presented(presented) {
        return false;
    }
    match presented.strip_prefix("*.") {
        Some(parent) => expected
            .split_once('.')
            .is_some_and(|(_, rest)| !rest.is_empty() && rest.eq_ignore_ascii_case(parent)),
        None => presented.eq_ignore_ascii_case(expected),
    }
}

/// Returns whether every name that `presented` stands for is within a permitted subtree.
pub(super) fn is_within(presented: &str, base: &str) -> bool {
    match base.strip_prefix('.') {
        // All names, as some CAs write them.
        None if base.is_empty() => true,
        None => presented.eq_ignore_ascii_case(base) || ends_with_label(presented, base),
        Some(parent) => ends_with_label(presented, parent),
    }
}

/// Returns whether a name that `presented` stands for is within an excluded subtree.
pub(super) fn touches(presented: &str, base: &str) -> bool {
    // `*.acme.test` also stands for the name `hooks.acme.test` itself.
    let sibling = || {
        let (parent, (_, rest)) = presented.strip_prefix("*.").zip(base.split_once('.'))?;
        Some(!base.starts_with('.') && parent.eq_ignore_ascii_case(rest))
    };
    is_within(presented, base) || sibling().unwrap_or(false)
}

/// Returns whether `name` is at least one label followed by `parent`.
fn ends_with_label(name: &str, parent: &str) -> bool {
    let Some(at) = name.len().checked_sub(parent.len() + 1) else { return false };
    at > 0
        && name.as_bytes()[at] == b'.'
        && name.as_bytes()[at + 1..].eq_ignore_ascii_case(parent.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_whole_first_label() {
        for (presented, expected) in [
            ("acme.test", "acme.test"),
            ("ACME.test", "acme.TEST"),
            ("*.acme.test", "a.acme.test"),
            ("localhost", "localhost"),
        ] {
            assert!(matches(presented, expected), "{presented} {expected}");
        }
        for (presented, expected) in [
            ("*.acme.test", "acme.test"),
            ("*.acme.test", "a.b.acme.test"),
            ("a*.acme.test", "ab.acme.test"),
            ("a.*.test", "a.b.test"),
            ("*.test", "acme.test"),
            ("*", "acme"),
            ("*.", "acme."),
            ("acme.test.", "acme.test"),
            ("", ""),
            ("acme..test", "acme..test"),
            ("-acme.test", "-acme.test"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert!(!matches(presented, expected), "{presented} {expected}");
        }
    }

    #[test]
    fn a_permitted_subtree_holds_the_name_and_all_below_it() {
        for (name, base, within) in [
            ("acme.test", "acme.test", true),
            ("a.b.acme.test", "acme.test", true),
            ("*.acme.test", "acme.test", true),
            ("a.acme.test", ".acme.test", true),
            ("acme.test", ".acme.test", false),
            ("notacme.test", "acme.test", false),
            ("notacme.test", ".acme.test", false),
            ("*.acme.test", "a.acme.test", false),
            ("anything.test", "", true),
            ("test", "acme.test", false),
        ] {
            assert_eq!(is_within(name, base), within, "{name} {base}");
        }
    }

    #[test]
    fn an_excluded_subtree_excludes_wildcards_that_reach_it() {
        for (name, base, touched) in [
            ("*.acme.test", "hooks.acme.test", true),
            ("*.acme.test", "a.hooks.acme.test", false),
            ("*.acme.test", ".hooks.acme.test", false),
            ("*.acme.test", "acme.test", true),
            ("*.acme.test", "other.test", false),
            ("hooks.acme.test", "acme.test", true),
            ("acme.test", "hooks.acme.test", false),
        ] {
            assert_eq!(touches(name, base), touched, "{name} {base}");
        }
    }
}
