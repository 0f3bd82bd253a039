//! Envoy's `x-forwarded-client-cert` in its text form: elements separated by `,`, pairs by `;`.
//!
//! The last element is of the adjacent proxy. Envoy quotes the subject, but writes the URIs and DNS names
//! of the certificate as they are. A name with a comma would end the element, and the rest of the name
//! would be an element of the client's choice. So each element that has a certificate must show the
//! names of that certificate.

use super::decode::{Fault, is_digest_of, percent_encoded_pem};
use crate::x509::{Presented, San};

/// The most elements, one for each proxy on the way.
pub(super) const MOST_ELEMENTS: usize = 16;

/// The parts of one element that matter, in both forms.
#[derive(Default)]
pub(super) struct Parts {
    /// The certificates of `Cert`, at least one.
    pub(super) cert: Option<Vec<Vec<u8>>>,
    /// The certificates of `Chain`, leaf first, at least one.
    pub(super) chain: Option<Vec<Vec<u8>>>,
    pub(super) hash: Option<String>,
    pub(super) uris: Vec<String>,
    pub(super) dns_names: Vec<String>,
}

/// One element of the text form.
#[derive(Default)]
struct Element {
    parts: Parts,
    /// The keys that may occur once, as far as they occurred.
    seen: Vec<String>,
}

/// Returns the certificates of the last element, leaf first.
pub(super) fn decode(value: &str) -> Result<Vec<Vec<u8>>, Fault> {
    certificates_of_last(elements(value)?.into_iter().map(|element| element.parts))
}

/// Checks every element. Returns the certificates of the last one, leaf first.
pub(super) fn certificates_of_last(
    elements: impl Iterator<Item = Parts>,
) -> Result<Vec<Vec<u8>>, Fault> {
    let mut last = None;
    for element in elements {
        last = element.certificates()?;
    }
    last.ok_or(Fault("has neither Cert nor Chain in its last element"))
}

impl Element {
    fn add(&mut self, key: &str, value: String) -> Result<(), Fault> {
        let key = key.to_ascii_lowercase();
        let certificates = || match value.as_str() {
            "" => Ok(None),
            text => percent_encoded_pem(text).map(Some),
        };
        match key.as_str() {
            "uri" => self.parts.uris.push(value),
            "dns" => self.parts.dns_names.push(value),
            "by" => {}
            _ if self.seen.contains(&key) => return Err(Fault("has a key twice in one element")),
            _ => {
                match key.as_str() {
                    "cert" => self.parts.cert = certificates()?,
                    "chain" => self.parts.chain = certificates()?,
                    "hash" => self.parts.hash = Some(value),
                    _ => {}
                }
                self.seen.push(key);
            }
        }
        Ok(())
    }
}

impl Parts {
    /// Returns the certificates of the element, and checks that its parts fit each other.
    fn certificates(self) -> Result<Option<Vec<Vec<u8>>>, Fault> {
        let ders = match (self.cert, self.chain) {
            (Some(cert), _) if cert.len() != 1 => {
                return Err(Fault("has several certificates in Cert"));
            }
            (Some(cert), Some(chain)) if cert[0] != chain[0] => {
                return Err(Fault("has a Cert and a Chain that do not fit"));
            }
            (_, Some(chain)) => chain,
            (Some(cert), None) => cert,
            (None, None) => return Ok(None),
        };
        if self.hash.is_some_and(|hash| !is_digest_of(&hash, &ders[0])) {
            return Err(Fault("has a Hash of another certificate"));
        }
        let leaf = Presented::read(&ders[0]).map_err(|_| Fault("has no valid certificate"))?;
        let sans = || leaf.parsed().sans();
        let uris = sans().filter_map(|san| if let San::Uri(uri) = san { Some(uri) } else { None });
        let names =
            sans().filter_map(|san| if let San::Dns(name) = san { Some(name) } else { None });
        if !begins_with(uris, &self.uris) || !begins_with(names, &self.dns_names) {
            return Err(Fault("has names that are not those of its certificate"));
        }
        Ok(Some(ders))
    }
}

/// Whether the names of the certificate begin with those shown. Older proxies show only the first, and
/// an empty one if there is none.
fn begins_with<'a>(names: impl Iterator<Item = &'a str>, shown: &[String]) -> bool {
    let mut names = names;
    let shown = shown.iter().filter(|name| !name.is_empty());
    shown.into_iter().all(|shown| names.next() == Some(shown.as_str()))
}

/// Splits the whole value. One malformed element spoils all: its quotes decide where the others begin.
fn elements(value: &str) -> Result<Vec<Element>, Fault> {
    let mut elements = vec![Element::default()];
    let mut rest = value;
    loop {
        let (key, after) = rest.split_once('=').ok_or(Fault("has a pair without ="))?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(Fault("has a malformed key"));
        }
        let (value, after) = pair_value(after)?;
        let element = elements.last_mut().ok_or(Fault("is empty"))?;
        element.add(key, value)?;
        match after.chars().next() {
            None => return Ok(elements),
            Some(';') => {}
            Some(',') if elements.len() < MOST_ELEMENTS => elements.push(Element::default()),
            Some(',') => return Err(Fault("has too many elements")),
            Some(_) => return Err(Fault("has text after a quoted value")),
        }
        rest = &after[1..];
    }
}

/// Returns a value without its quotes and escapes, and what follows it.
fn pair_value(text: &str) -> Result<(String, &str), Fault> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        if value.contains(['"', '\\']) {
            return Err(Fault("has a quote within a value"));
        }
        return Ok((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => match letters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err(Fault("has an unknown escape")),
            },
            _ => value.push(letter),
        }
    }
    Err(Fault("has a quote without an end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(value: &str) -> Result<Vec<usize>, &'static str> {
        let elements = elements(value).map_err(|fault| fault.0)?;
        Ok(elements.iter().map(|element| element.parts.uris.len()).collect())
    }

    #[test]
    fn quotes_and_escapes_hide_separators() {
        assert_eq!(subjects(r#"By=a;Subject="CN=\"x\",O=y;z";URI=b,URI=c;URI=d"#), Ok(vec![1, 2]));
        assert_eq!(subjects(r#"uri=a;URI="";Uri="b\\""#), Ok(vec![3]));
        assert_eq!(subjects("URI=a=b"), Ok(vec![1]));
    }

    #[test]
    fn everything_else_is_malformed() {
        for bad in [
            "",
            ",",
            ";",
            "a",
            "=b",
            "a=b,",
            "a=b;",
            ",a=b",
            "a=b,,c=d",
            "a=b; c=d",
            r#"a="b"#,
            r#"a="b"c"#,
            r#"a=b"c""#,
            r#"a="b\c""#,
            r#"a="b\"#,
            r"a=b\",
            "a-b=c",
            "cert=a;CERT=b",
            // A client's element with an open quote must not swallow the one of the proxy.
            r#"Subject="x,Hash=0;Subject="CN=a""#,
        ] {
            assert!(elements(bad).is_err(), "{bad}");
        }
        let many = vec!["URI=a"; MOST_ELEMENTS + 1].join(",");
        assert!(elements(&many).is_err());
        assert!(elements(&many["URI=a,".len()..]).is_ok());
    }
}
