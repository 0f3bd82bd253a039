//! The CAs that a consumer names in its certificate request (RFC 8446 section 4.2.4, RFC 5246 section
//! 7.4.4).
//!
//! The list is a hint, and many consumers send none. It explains a refusal. It never decides whether our
//! certificate is sent.

use std::fmt;

use crate::error::presented;
use crate::x509::{Certificate, comparable_name, name_content, name_text};

/// The most bytes of names that a connection keeps, and the most bytes of their text.
const MAX_BYTES: usize = 4096;

/// The most names in a sentence.
const MAX_IN_SENTENCE: usize = 3;

/// The CAs that a consumer accepts for our certificate, as far as it named them.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct CertificateAuthorities {
    /// The content of the first names, without tag and length.
    kept: Box<[Box<[u8]>]>,
    /// How many names the consumer sent.
    count: usize,
    listed: Option<Listed>,
}

/// What one handshake has shown of our certificate.
#[derive(Default)]
pub(super) struct OurCertificate {
    /// Whether the consumer requested it. `None` until it has, or can no longer do so.
    pub(super) requested: Option<bool>,
    /// The CAs that it named in the request.
    pub(super) authorities: CertificateAuthorities,
    /// It has left. In TLS 1.2 it leaves before the end of the handshake; in TLS 1.3, with it.
    pub(super) is_sent: bool,
}

impl OurCertificate {
    pub(super) fn is_requested(&self) -> bool {
        self.requested == Some(true)
    }
}

/// Whether a list of CAs names an issuer of our chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// It names the issuer of the certificate with this index in our chain.
    Issuer(usize),
    No,
}

impl CertificateAuthorities {
    /// Keeps the names of a certificate request, and compares all of them with the issuers in `chain`.
    ///
    /// * `names`: each is a DER Name.
    pub(super) fn new(names: &[&[u8]], chain: &[Certificate]) -> Self {
        if names.is_empty() {
            return Self::default();
        }
        let contents = || names.iter().filter_map(|name| name_content(name));
        let mut left = MAX_BYTES;
        let kept = contents().map_while(|name| {
            left = left.checked_sub(name.len())?;
            Some(name.into())
        });
        let kept = kept.collect();
        Self { kept, count: names.len(), listed: Some(Listed::of(contents, chain)) }
    }

    /// How many names the consumer sent, including those that are not kept.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The names as text (RFC 4514): escaped, and together at most 4 KiB.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut left = MAX_BYTES;
        let texts = self.kept.iter().map_while(|name| {
            let text = presented(&name_text(name));
            left = left.checked_sub(text.len())?;
            Some(text)
        });
        texts.collect()
    }

    /// Whether the list names an issuer of our certificate. `None` without a list.
    pub(crate) fn lists_our_issuer(&self) -> Option<bool> {
        self.listed.map(|listed| listed != Listed::No)
    }

    pub(super) fn listed(&self) -> Option<Listed> {
        self.listed
    }

    /// The first names, for a sentence.
    pub(super) fn in_words(&self) -> String {
        let mut words: Vec<String> = self.texts();
        words.truncate(MAX_IN_SENTENCE);
        let more = self.count - words.len();
        let named = words.join("; ");
        match (words.is_empty(), more) {
            (true, more) => format!("{more} with names that cannot be shown"),
            (false, 0) => named,
            (false, more) => format!("{named}; and {more} more"),
        }
    }
}

impl Listed {
    fn of<'a, I>(names: impl Fn() -> I, chain: &[Certificate]) -> Self
    where
        I: Iterator<Item = &'a [u8]>,
    {
        let issuers = || chain.iter().map(|certificate| certificate.parsed().issuer);
        if let Some(at) = issuers().position(|issuer| names().any(|name| name == issuer)) {
            return Self::Issuer(at);
        }
        // Names may be equal although their bytes differ (RFC 5280 section 7.1).
        let issuers: Vec<Vec<u8>> = issuers().map(comparable_name).collect();
        let forms = names().map(comparable_name);
        let found = forms.filter_map(|name| issuers.iter().position(|issuer| *issuer == name));
        found.min().map_or(Self::No, Self::Issuer)
    }
}

/// Names of a consumer stay out of logs, which may show this form.
impl fmt::Debug for CertificateAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateAuthorities({} names)", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut der = vec![tag];
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => der.push(short),
            _ => {
                let length = u16::try_from(length).unwrap().to_be_bytes();
                der.extend([0x82, length[0], length[1]]);
                assert!(length[0] > 0, "a minimal length");
            }
        }
        der.extend_from_slice(content);
        der
    }

    /// The DER Name with this common name.
    fn name(common_name: &str) -> Vec<u8> {
        let value = [element(0x06, &[0x55, 0x04, 0x03]), element(0x0c, common_name.as_bytes())];
        element(0x30, &element(0x31, &element(0x30, &value.concat())))
    }

    fn kept(names: &[Vec<u8>]) -> CertificateAuthorities {
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        CertificateAuthorities::new(&names, &[])
    }

    #[test]
    fn without_names_nothing_is_listed() {
        let none = kept(&[]);
        assert_eq!((none.count(), none.lists_our_issuer()), (0, None));
        assert!(none.texts().is_empty());
    }

    #[test]
    fn names_are_escaped_and_in_order() {
        let names = kept(&[name("Acme Root"), name("evil\u{1b}[2J\n\u{202e}")]);
        assert_eq!(names.texts(), ["CN=Acme Root", "CN=evil\\1B[2J\\0A\\u{202e}"]);
        assert_eq!(names.lists_our_issuer(), Some(false));
        assert_eq!(names.in_words(), names.texts().join("; "));
        assert_eq!(format!("{names:?}"), "CertificateAuthorities(2 names)");
    }

    #[test]
    fn a_long_list_is_cut_to_four_kibibytes_and_counted() {
        let names: Vec<Vec<u8>> = (0..3000).map(|number| name(&format!("Root {number}"))).collect();
        let names = kept(&names);
        let bytes: usize = names.kept.iter().map(|name| name.len()).sum();
        assert!(bytes <= MAX_BYTES && names.count() == 3000);
        assert!(names.texts().concat().len() <= MAX_BYTES);
        assert!(names.in_words().ends_with("; and 2997 more"), "{}", names.in_words());
        // One name alone exceeds the limit.
        let huge = kept(&[name(&"x".repeat(8000)), name("Acme Root")]);
        assert_eq!((huge.count(), huge.texts().len()), (2, 0));
        assert_eq!(huge.in_words(), "2 with names that cannot be shown");
        // Escaping multiplies the length.
        let escaped = kept(&[name(&"\n".repeat(3500))]);
        assert!(escaped.texts().concat().len() <= 300);
    }

    #[test]
    fn bytes_that_are_no_name_are_counted_alone() {
        let names = kept(&[vec![], vec![0x30], vec![0xff; 70], name("Acme Root")]);
        assert_eq!((names.count(), names.texts()), (4, vec!["CN=Acme Root".to_owned()]));
    }
}
