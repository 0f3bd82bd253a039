//! Name constraints as data (RFC 5280 section 4.2.1.10). `verify` compares names with them.

use super::der::{self, Malformed, Reader};
use super::general_name::GeneralName;
use super::name::rdns;

/// The longest DNS name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

const PERMITTED: u8 = der::context(0, true);
const EXCLUDED: u8 = der::context(1, true);

/// A subtree of names that a CA permits or excludes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subtree<'a> {
    pub(crate) excluded: bool,
    /// The root of the subtree. An IP base has the octets of the network and of its mask, a
    /// directoryName those of its RDNs.
    pub(crate) base: GeneralName<'a>,
}

/// Returns the subtrees of a nameConstraints extension, each checked.
///
/// * `extension`: the content of its SEQUENCE.
pub(crate) fn subtrees(extension: &[u8]) -> impl Iterator<Item = Result<Subtree<'_>, Malformed>> {
    let mut lists = Reader::new(extension);
    let mut list = Reader::new(&[]);
    let mut excluded = false;
    std::iter::from_fn(move || {
        loop {
            if !list.is_empty() {
                let subtree = read_subtree(&mut list, excluded);
                if subtree.is_err() {
                    (lists, list) = (Reader::new(&[]), Reader::new(&[]));
                }
                return Some(subtree);
            }
            if lists.is_empty() {
                return None;
            }
            match lists.any() {
                Ok(next) if [PERMITTED, EXCLUDED].contains(&next.tag) => {
                    excluded = next.tag == EXCLUDED;
                    list = Reader::new(next.content);
                }
                _ => {
                    lists = Reader::new(&[]);
                    return Some(Err(Malformed("has malformed name constraints")));
                }
            }
        }
    })
}

/// Returns why the name constraints cannot be enforced, or `None` if they can.
pub(super) fn fault(extension: &[u8]) -> Option<&'static str> {
    let mut empty = true;
    for subtree in subtrees(extension) {
        if let Err(Malformed(why)) = subtree {
            return Some(why);
        }
        empty = false;
    }
    empty.then_some("has name constraints without any name")
}

fn read_subtree<'a>(list: &mut Reader<'a>, excluded: bool) -> Result<Subtree<'a>, Malformed> {
    let mut subtree = list.nested(der::SEQUENCE)?;
    let base = checked(GeneralName::read(subtree.any()?)?)?;
    // RFC 5280 fixes the minimum at 0 and allows no maximum. Some encoders write the 0.
    if subtree.optional(der::context(0, false))?.is_some_and(|least| least.content != [0])
        || !subtree.is_empty()
    {
        return Err(Malformed(
            "has a name constraint with a minimum or maximum, which is not supported",
        ));
    }
    Ok(Subtree { excluded, base })
}

/// Checks the form of a base. Returns a directoryName as the content of its Name.
fn checked(base: GeneralName<'_>) -> Result<GeneralName<'_>, Malformed> {
    let sound = match base {
        GeneralName::Dns(base) => is_domain(base),
        GeneralName::Uri(base) => is_domain(base),
        GeneralName::Email(base) => match base.rsplit_once('@') {
            Some((local, host)) => !local.is_empty() && is_host(host),
            None => is_domain(base),
        },
        GeneralName::Ip(octets) => return checked_network(octets).map(GeneralName::Ip),
        GeneralName::Directory(name) => {
            let mut reader = Reader::new(name);
            let content = reader.content(der::SEQUENCE);
            let content =
                content.ok().filter(|content| reader.is_empty() && rdns(content).is_some());
            return content
                .map(GeneralName::Directory)
                .ok_or(Malformed("has a malformed directoryName in its name constraints"));
        }
        GeneralName::Other(_) => true,
    };
    let fault = match base {
        GeneralName::Uri(_) => {
            "has a URI name constraint that is not a host; for SPIFFE it is the trust domain alone"
        }
        GeneralName::Email(_) => "has a malformed e-mail name constraint",
        _ => "has a malformed DNS name constraint",
    };
    if sound { Ok(base) } else { Err(Malformed(fault)) }
}

/// Checks the octets of a network and its mask, whose ones come first.
fn checked_network(octets: &[u8]) -> Result<&[u8], Malformed> {
    let (_, mask) = octets.split_at(octets.len() / 2);
    let ones = mask.iter().map(|byte| byte.leading_ones() as usize).sum::<usize>();
    let contiguous = mask.iter().enumerate().all(|(at, byte)| {
        let expected = ones.saturating_sub(at * 8).min(8);
        byte.leading_ones() as usize == expected && byte.count_ones() as usize == expected
    });
    if matches!(octets.len(), 8 | 32) && contiguous {
        Ok(octets)
    } else {
        Err(Malformed("has an IP name constraint that is not a network and its mask"))
    }
}

/// Returns whether the text is empty, a host, or a host after a period.
fn is_domain(text: &str) -> bool {
    text.is_empty() || is_host(text.strip_prefix('.').unwrap_or(text))
}

/// Returns whether the text has the form of a DNS name, underscores included.
pub(crate) fn is_host(text: &str) -> bool {
    text.len() <= MAX_NAME && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(tag: u8, content: &[u8]) -> Result<(), Malformed> {
        let element = |tag: u8, content: &[u8]| {
            [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let subtree = element(der::SEQUENCE, &element(tag, content));
        let extension = element(der::context(0, true), &subtree);
        subtrees(&extension).try_for_each(|subtree| subtree.map(drop))
    }

    #[test]
    fn a_base_must_have_the_form_of_its_type() {
        let dns = der::context(2, false);
        for sound in ["", "corp", "acme.test", ".acme.test", "a_b.test"] {
            assert!(base(dns, sound.as_bytes()).is_ok(), "{sound}");
        }
        for faulty in [".", "*.acme.test", "acme..test", "acme.test.", "..acme.test", "a b", "a\0"]
        {
            assert!(base(dns, faulty.as_bytes()).is_err(), "{faulty:?}");
        }
        let email = der::context(1, false);
        for sound in ["", "acme.test", ".acme.test", "ops@acme.test", "*@acme.test"] {
            assert!(base(email, sound.as_bytes()).is_ok(), "{sound}");
        }
        for faulty in ["@acme.test", "ops@", "ops@.acme.test", "*.acme.test"] {
            assert!(base(email, faulty.as_bytes()).is_err(), "{faulty}");
        }
        let uri = der::context(6, false);
        assert!(base(uri, b"acme.test").is_ok());
        for faulty in ["spiffe://acme.test", "acme.test/x", "acme.test:443"] {
            assert!(base(uri, faulty.as_bytes()).is_err(), "{faulty}");
        }
        let ip = der::context(7, false);
        assert!(base(ip, &[10, 0, 0, 0, 255, 255, 128, 0]).is_ok());
        assert!(base(ip, &[0; 32]).is_ok());
        for faulty in
            [&[10, 0, 0, 0, 255, 0, 255, 0][..], &[10, 0, 0, 0, 255, 255, 129, 0], &[1; 4]]
        {
            assert!(base(ip, faulty).is_err(), "{faulty:?}");
        }
    }

    #[test]
    fn minimum_and_maximum_are_not_supported() {
        for (bounds, is_sound) in
            [(&[][..], true), (&[0x80, 1, 0], true), (&[0x80, 1, 1], false), (&[0x81, 1, 0], false)]
        {
            let subtree = [&[0x82, 1, b'a'], bounds].concat();
            let list = [&[0x30, u8::try_from(subtree.len()).unwrap()], &subtree[..]].concat();
            let extension = [&[0xa1, u8::try_from(list.len()).unwrap()], &list[..]].concat();
            assert_eq!(subtrees(&extension).all(|subtree| subtree.is_ok()), is_sound, "{bounds:?}");
        }
    }

    #[test]
    fn an_unknown_list_or_trailing_bytes_are_malformed() {
        for extension in [&[0xa2, 0][..], &[0xa0], &[0xa0, 2, 0x30, 0], &[0xa0, 1, 0x30]] {
            assert!(subtrees(extension).any(|subtree| subtree.is_err()), "{extension:?}");
        }
        assert_eq!(fault(&[]), Some("has name constraints without any name"));
        assert_eq!(fault(&[0xa0, 0]), Some("has name constraints without any name"));
    }
}
