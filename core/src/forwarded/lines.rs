//! The header lines of a request, and the one line of a name.

use super::refusal::{Reason, Refusal};
use super::{MAX_LINES, MAX_VALUE};

/// The header lines of a request, in the order in which they arrived.
pub(super) struct Lines<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Lines<'a> {
    pub(super) fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        headers: &'a [(N, V)],
    ) -> Result<Self, Refusal> {
        if headers.len() > MAX_LINES {
            let why = format!("the request has more than {MAX_LINES} header lines");
            return Err(Refusal::new(Reason::TooLarge, why));
        }
        Ok(Self(headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect()))
    }

    /// Returns the value of the only line with this name, without white space around it; `None` if
    /// there is no line, or an empty one.
    ///
    /// Fails if there is a second line, in any spelling that a server may fold into the same name.
    pub(super) fn only(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut found = self.0.iter().filter(|(given, _)| folds_to(given, name));
        let Some((given, value)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Refusal::of(
                Reason::RepeatedHeader,
                name,
                "came more than once, or in two spellings",
            ));
        }
        if !given.eq_ignore_ascii_case(name.as_bytes()) {
            let why = "came under a name that differs in a separator, such as _";
            return Err(Refusal::of(Reason::AmbiguousHeader, name, why));
        }
        if value.len() > MAX_VALUE {
            let why = format!("has {} bytes; {MAX_VALUE} are the limit", value.len());
            return Err(Refusal::of(Reason::TooLarge, name, &why));
        }
        let text = std::str::from_utf8(value.trim_ascii()).ok();
        match text.filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~'))) {
            Some("") => Ok(None),
            Some(text) => Ok(Some(text)),
            None => Err(Refusal::of(Reason::Malformed, name, "has bytes beyond printable ASCII")),
        }
    }
}

/// Whether a server may take the name for `wanted`: CGI and WSGI fold `-` and `_`, and some servers
/// every other separator.
fn folds_to(given: &[u8], wanted: &str) -> bool {
    let folded = |byte: u8| match byte.to_ascii_lowercase() {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => b'-',
    };
    given.len() == wanted.len()
        && given.iter().zip(wanted.bytes()).all(|(a, b)| folded(*a) == folded(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(lines: &[(&str, &str)]) -> Result<Option<String>, Reason> {
        let lines = Lines::new(lines).unwrap();
        lines.only("client-cert").map(|value| value.map(str::to_owned)).map_err(|one| one.reason)
    }

    #[test]
    fn one_line_is_found_in_any_case() {
        assert_eq!(only(&[("Client-Cert", " x ")]), Ok(Some("x".to_owned())));
        assert_eq!(only(&[("Client-Certs", "x")]), Ok(None));
        assert_eq!(only(&[("Client-Cert", "")]), Ok(None));
    }

    #[test]
    fn a_twin_in_any_spelling_is_refused() {
        for twin in ["client-cert", "CLIENT-CERT", "client_cert", "Client.Cert", "client cert"] {
            let lines = [("Client-Cert", "x"), (twin, "")];
            assert_eq!(only(&lines), Err(Reason::RepeatedHeader), "{twin}");
        }
        assert_eq!(only(&[("client_cert", "x")]), Err(Reason::AmbiguousHeader));
    }

    #[test]
    fn a_value_is_bounded_printable_ascii() {
        assert_eq!(only(&[("client-cert", "a\u{e9}")]), Err(Reason::Malformed));
        assert_eq!(only(&[("client-cert", "a\nb")]), Err(Reason::Malformed));
        let long = "a".repeat(MAX_VALUE + 1);
        assert_eq!(only(&[("client-cert", &long)]), Err(Reason::TooLarge));
        assert_eq!(only(&[("client-cert", &long[1..])]).unwrap().unwrap().len(), MAX_VALUE);
        let many = vec![("a", "b"); MAX_LINES + 1];
        assert_eq!(Lines::new(&many).err().map(|one| one.reason), Some(Reason::TooLarge));
    }
}
