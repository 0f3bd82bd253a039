//! The command line that shows more about a failure: `webhook-mtls diagnose` with the values of the endpoint.
//!
//! It is made when a failure leaves the library, and never before: an endpoint does not keep it. It has no
//! secret: no passphrase, no key, no user of a proxy, and of the URL only scheme, host and port, because a
//! path or a query may be a secret.

use std::path::Path;

use crate::endpoint::Generation;
use crate::error::{Error, Form, Kind, Stage, key, shown};
use crate::material::pin::{PinSlot, Pins};
use crate::material::source::Source;
use crate::net::Route;
use crate::recipe::{Argument, Rebuild as _};
use crate::tls::MinTls;
use crate::verify::CrlPolicy;

/// A longer line is not shown: a person would not type it, and an error stays small.
const LONGEST: usize = 2048;

/// Leads a failure to the command line that shows more, if a diagnosis can.
pub(super) fn lead(error: Error, generation: &Generation, route: &Route) -> Error {
    if !is_shown_by_diagnosis(&error) {
        return error;
    }
    let line = line(generation, route, is_judged_by_http(&error));
    if line.len() > LONGEST { error } else { error.led_to(line) }
}

/// Whether a diagnosis examines what has failed. It sends no payload, so it shows nothing about the answer to
/// one.
fn is_shown_by_diagnosis(error: &Error) -> bool {
    match error.kind() {
        Kind::ClientCertificateRejected
        | Kind::ClientCertificateUnusable
        | Kind::IdentityUnusable
        | Kind::ClockImplausible => true,
        Kind::Canceled | Kind::Overloaded | Kind::HandleClosed | Kind::Internal => false,
        Kind::ForkedProcess | Kind::OptionInvalid => false,
        Kind::ConnectionLost => {
            error.stage() <= Stage::Handshake || error.fact(key::HINT).is_some()
        }
        // The page of a certificate that was refused looks like any other status.
        Kind::HttpStatus => {
            error.fact(key::STATUS).is_some_and(|status| matches!(status.0, 400 | 401 | 403))
        }
        Kind::CircuitOpen => error.fact(key::LAST_KIND).is_some(),
        _ => matches!(error.stage(), Stage::Resolve | Stage::Connect | Stage::Handshake),
    }
}

/// Whether the consumer judges our certificate only when a request arrives.
fn is_judged_by_http(error: &Error) -> bool {
    let by_page = error.fact(key::VIA).is_some_and(|via| via == "http");
    by_page || error.kind() == Kind::HttpStatus
}

/// The words of a command line.
struct Line(String);

impl Line {
    fn word(&mut self, word: &str) {
        self.0.push(' ');
        self.0.push_str(&quoted(word));
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.word(&format!("--{name}"));
        }
    }

    fn option(&mut self, name: &str, value: &str) {
        self.word(&format!("--{name}"));
        self.word(value);
    }

    /// Adds a file, or a name in capitals that stands for it.
    fn file(&mut self, name: &str, file: Option<&Path>, stand_in: &str) {
        // A path that looks like a secret is none that a person may read.
        let path = file.and_then(Path::to_str);
        let path = path.filter(|path| shown(path, Form::Path).starts_with('"'));
        self.option(name, path.unwrap_or(stand_in));
    }

    fn optional_file(&mut self, name: &str, file: Option<&Path>) {
        if file.is_some() {
            self.file(name, file, "FILE");
        }
    }
}

/// Returns the command line.
///
/// * `asks`: whether to make a request, without a payload.
fn line(generation: &Generation, route: &Route, asks: bool) -> String {
    let mut line = Line("webhook-mtls diagnose".to_owned());
    line.word(&format!("https://{}/", generation.url.authority()));
    identity(&mut line, generation);
    trust(&mut line, generation);
    terms(&mut line, generation);
    way(&mut line, route);
    if asks {
        line.option("request", "options");
    }
    line.0
}

fn identity(line: &mut Line, generation: &Generation) {
    let source = generation.identity().origin().map(|origin| &*origin.source);
    let files = match source {
        Some(Source::Identity { cert, key, .. }) => Some((cert, key)),
        _ => None,
    };
    line.file("cert", files.map(|(cert, _)| &**cert), "OUR-CERT.pem");
    if files.is_none_or(|(cert, key)| cert != key) {
        line.file("key", files.map(|(_, key)| &**key), "OUR-KEY.pem");
    }
}

fn trust(line: &mut Line, generation: &Generation) {
    let trust = generation.trust();
    match trust.origin().map(|origin| &*origin.source) {
        Some(Source::Trust { anchors, intermediates, crls, .. }) => {
            line.file("ca", Some(anchors), "THEIR-CA.pem");
            line.optional_file("intermediates", intermediates.as_deref());
            line.optional_file("crl", crls.as_deref());
        }
        _ => line.option("ca", "THEIR-CA.pem"),
    }
    line.flag("exact", trust.exact_certificate().is_some());
    line.flag("dangerous-public", trust.is_public());
    for pin in trust.distrusted() {
        line.option("distrust", &pin);
    }
}

fn terms(line: &mut Line, generation: &Generation) {
    let terms = &generation.terms;
    if let Some(pins) = &terms.pins {
        match pins.origin().map(|origin| &*origin.source) {
            Some(Source::Pins { file }) => line.file("pin-file", Some(file), "PINS.txt"),
            _ => self::pins(line, pins),
        }
    }
    if terms.server_name != generation.url.host {
        line.option("server-name", &terms.server_name.to_string());
    }
    if let Some(uri) = terms.expected.uri() {
        line.option("server-uri", uri);
    }
    if terms.min_tls != MinTls::V1_3 {
        line.option("min-tls", terms.min_tls.name());
    }
    if terms.crl_policy != CrlPolicy::IfPresent {
        line.option("crl-policy", terms.crl_policy.name());
    }
    line.flag("no-post-quantum", !terms.post_quantum);
}

fn pins(line: &mut Line, pins: &Pins) {
    for (pin, slot) in pins.iter() {
        let name = if slot == PinSlot::Next { "next-pin" } else { "pin" };
        line.option(name, &pin.to_string());
    }
}

fn way(line: &mut Line, route: &Route) {
    if let Some(proxy) = &route.proxy {
        line.option("proxy", &format!("http://{}", proxy.authority()));
        if proxy.has_credentials() {
            line.option("proxy-credentials-file", "USER-AND-PASSWORD.txt");
        }
        line.flag("proxy-by-name", proxy.is_by_name());
    }
    for (name, argument) in route.egress.recipe().into_iter().flat_map(|it| it.arguments) {
        match argument {
            Argument::Text(preset) if preset != "public" => line.option("egress", &preset),
            Argument::Texts(networks) => {
                for network in networks {
                    line.option(name, &network);
                }
            }
            _ => {}
        }
    }
}

/// Quotes a word for a POSIX shell, unless it has only characters that mean themselves.
fn quoted(word: &str) -> String {
    let means_itself = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(means_itself) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_is_quoted_for_a_shell() {
        for (word, expected) in [
            ("/etc/tls.crt", "/etc/tls.crt"),
            ("https://acme.test:8443/", "https://acme.test:8443/"),
            ("https://[::1]:8443/", "'https://[::1]:8443/'"),
            ("a b", "'a b'"),
            ("$(rm)", "'$(rm)'"),
            ("it's", r"'it'\''s'"),
            ("~/tls.crt", "'~/tls.crt'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
