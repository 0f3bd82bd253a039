//! Endpoint URLs. They are parsed with `http::Uri`, which keeps or rejects its input. A browser's URL
//! parser would repair `https:\\127.1` into a URL that was never checked.

use bytes::Bytes;
use http::HeaderValue;
use http::uri::{PathAndQuery, Uri};

use super::Host;
use crate::error::{Error, Form, Kind, URL_IS_MISSING, certain_secret, described, shown};

/// The parts of an `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Path and query, as in the request line.
    pub(crate) target: PathAndQuery,
    /// The canonical spelling.
    pub(crate) text: String,
    /// The value of the `host` header (RFC 9112 section 3.2).
    pub(crate) host_header: HeaderValue,
}

const LONGEST: usize = 8 * 1024;

impl Url {
    /// Parses an absolute `https` URL. Fails with `url_invalid`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let fault = |why: &str| Error::new(Kind::UrlInvalid, format!("URL {} {why}", origin(text)));
        if text.len() > LONGEST {
            return Err(Error::new(
                Kind::UrlInvalid,
                format!("the URL has {} bytes; the limit is {LONGEST}", text.len()),
            ));
        }
        if text.is_empty() {
            let what = "the URL is empty; https://host/path is expected";
            return Err(Error::new(Kind::UrlInvalid, what).advising(URL_IS_MISSING));
        }
        if text
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace() || letter == '\\')
        {
            return Err(fault("contains white space, a control character or a backslash"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(fault("is not absolute; https://host/path is expected"));
        };
        if scheme.eq_ignore_ascii_case("http") {
            return Err(fault("is not encrypted; https:// is expected"));
        }
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(fault("has a scheme other than https"));
        }
        if rest.contains('#') {
            return Err(fault("has a fragment, which is never sent"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(fault("contains a user name or password"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| fault("has no valid port"))?;
        let host = Host::of_url(host).map_err(|why| fault(&format!("has a host that {why}")))?;

        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let target = target
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.path_and_query().cloned())
            .filter(|parsed| target.bytes().all(is_target_byte) && parsed.as_str() == target)
            .ok_or_else(|| {
                fault("has a path or query with characters that must be percent-encoded")
            })?;
        let shown = host.in_url();
        let authority = if port == 443 { shown } else { format!("{shown}:{port}") };
        let text = format!("https://{authority}{target}");
        let host_header = HeaderValue::from_maybe_shared(Bytes::from(authority))
            .map_err(|_| fault("has a host that is not valid in a header"))?;
        Ok(Self { host, port, target, text, host_header })
    }

    /// Returns the URL for messages, without path and query, because these may contain a token.
    pub(crate) fn shown(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// Returns the host, and the port unless it is 443.
    pub(crate) fn authority(&self) -> &str {
        self.host_header.to_str().unwrap_or_default()
    }
}

/// Returns the part of an invalid URL that may be shown: at most scheme, host and port. A password may
/// contain any character, so nothing is shown of a text that may contain one.
fn origin(text: &str) -> String {
    if certain_secret(text).is_some() || text.contains('@') {
        return described(text);
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, behind) = rest.split_at(end);
    let is_scheme = scheme.len() <= 16
        && scheme.trim_end_matches("://").bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_scheme || !shown(host, Form::Host).starts_with('"') {
        return described(text);
    }
    let more = if behind.len() > 1 { "/…" } else { behind };
    format!("\"{scheme}{host}{more}\"")
}

/// Returns whether a byte may be in a path or query: by RFC 3986, and brackets, which are common. The
/// HTTP library would also accept quotation marks and bytes beyond ASCII, and write them unchanged.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte)
}

fn split_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => (&authority[..at], &authority[at + 1..]),
        _ => return Some((authority, 443)),
    };
    let sound =
        !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = if sound { port.parse().ok()? } else { 0 };
    (port != 0).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_one_canonical_spelling() {
        for (written, canonical) in [
            ("HTTPS://Hooks.Acme.Example", "https://hooks.acme.example/"),
            ("https://hooks.acme.example.:443/in?a=1", "https://hooks.acme.example/in?a=1"),
            ("https://hooks.acme.example:8443?a", "https://hooks.acme.example:8443/?a"),
            ("https://[2001:DB8:0::1]:8443/x", "https://[2001:db8::1]:8443/x"),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ] {
            assert_eq!(Url::parse(written).unwrap().text, canonical);
        }
    }

    #[test]
    fn an_empty_url_is_one_that_nobody_has_set() {
        let error = Url::parse("").unwrap_err();
        assert_eq!(error.kind(), Kind::UrlInvalid);
        assert!(error.message().starts_with("the URL is empty"), "{error}");
        assert!(error.remedy().starts_with("Set the URL"), "{}", error.remedy());
    }

    #[test]
    fn a_character_that_no_url_has_is_named() {
        for text in
            ["https://acme.example/a b", "https://acme.example/a\u{1}b", "https:\\\\acme.example"]
        {
            let error = Url::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::UrlInvalid, "{text:?}");
            let said = "contains white space, a control character or a backslash";
            assert!(error.message().contains(said), "{error}");
        }
    }

    #[test]
    fn odd_spellings_of_addresses_are_refused() {
        for host in [
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
            "1.2.3.4.5",
            "[::1%eth0]",
            "a.0x7f",
        ] {
            let error = Url::parse(&format!("https://{host}/")).unwrap_err();
            assert_eq!(error.kind(), Kind::UrlInvalid, "{host}");
        }
    }

    #[test]
    fn an_error_shows_at_most_scheme_and_host() {
        let long = "hunter2".repeat(60);
        for (text, shown) in [
            ("http://acme.example:80/in/T0/hunter2?token=hunter2", r#""http://acme.example:80/…""#),
            ("acme.example/hunter2", r#""acme.example/…""#),
            ("https://10.0.0.1:0", r#""https://10.0.0.1:0""#),
            ("https://user:hunter2@acme.example/", "a URL with a user name or password (34 bytes)"),
            (
                "https://user:hunt/er2@acme.example/",
                "a URL with a user name or password (35 bytes)",
            ),
            (
                &format!("https://user:{long}@acme.example/"),
                "a URL with a user name or password (447 bytes)",
            ),
            ("hunter2", "a text of 7 bytes"),
            ("hunter2://acme.example/", "a text of 23 bytes"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.message().starts_with(&format!("URL {shown} ")), "{error}");
            assert!(!error.to_json().to_string().contains("hunter2"), "{error}");
        }
    }
}
