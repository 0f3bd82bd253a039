//! How the calling language writes the names in messages and remedies. The tables of the core write
//! `snake_case`; each binding sets its language once, when it is loaded.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::atomic::{AtomicU8, Ordering};

/// A language with its own spelling of names. Exhaustive: only bindings use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `max_connections`, `Identity::from_files`.
    Rust = 0,
    /// `max_connections`, `wmtls_identity_from_files`.
    C = 1,
    /// `max_connections`, `Identity.from_files`.
    Python = 2,
    /// `maxConnections`, `Identity.fromFiles`; durations end in `Ms`.
    Node = 3,
    /// `--min-tls`, and the option in place of a method. The command `webhook-mtls`.
    Command = 4,
}

static CALLER: AtomicU8 = AtomicU8::new(Language::Rust as u8);

/// Sets the language of the program that uses the library.
pub fn set_language(language: Language) {
    CALLER.store(language as u8, Ordering::Relaxed);
}

/// Returns the language of the program that uses the library.
pub(crate) fn language() -> Language {
    const ALL: [Language; 5] =
        [Language::Rust, Language::C, Language::Python, Language::Node, Language::Command];
    let number = CALLER.load(Ordering::Relaxed);
    ALL.into_iter().find(|known| *known as u8 == number).unwrap_or(Language::Rust)
}

/// The options that are durations. `options` checks that the list is complete.
pub(crate) const DURATIONS: [&str; 8] = [
    "timeout",
    "connect_timeout",
    "handshake_timeout",
    "write_timeout",
    "response_timeout",
    "reload",
    "first",
    "ceiling",
];

/// Returns the name of an option as the calling language writes it.
pub(crate) fn option_name(name: &str) -> String {
    language().spell(name)
}

/// Returns the text with the names in backticks written as the calling language writes them.
pub(crate) fn spelled(text: &str) -> Cow<'_, str> {
    language().spelled(text)
}

impl Language {
    fn spelled(self, text: &str) -> Cow<'_, str> {
        if !text.contains('`') {
            return text.into();
        }
        // Every second part is a name.
        let parts = text.split('`').enumerate();
        parts
            .map(|(at, part)| if at % 2 == 0 { part.into() } else { self.spell(part).into() })
            .collect::<Vec<Cow<'_, str>>>()
            .concat()
            .into()
    }

    /// Spells the name of an option (`min_tls`) or of a method (`Identity.from_files`).
    fn spell(self, name: &str) -> String {
        let timed = DURATIONS.contains(&name);
        match (self, name.split_once('.')) {
            (Self::Python, _) => name.to_owned(),
            (Self::Node, _) => camel(name) + if timed { "Ms" } else { "" },
            (Self::Rust, _) => name.replace('.', "::"),
            (Self::Command, _) => match name {
                "Identity.from_pem" | "Identity.from_files" => "--cert and --key".to_owned(),
                "Identity.from_pkcs12" => "--p12".to_owned(),
                "Trust.exact" => "--exact".to_owned(),
                "pin_of" => "webhook-mtls inspect".to_owned(),
                "headers" => "--header".to_owned(),
                "fleet" => "--fleet".to_owned(),
                "trust" => "--ca".to_owned(),
                "content_type" | "id" | "intermediates" | "min_tls" | "proxy" | "proxy_by_name"
                | "server_name" | "server_uri" | "timeout" => {
                    format!("--{}", name.replace('_', "-"))
                }
                // The command has no option for it.
                other => other.to_owned(),
            },
            (Self::C, Some((noun, method))) => {
                format!("wmtls_{}_{method}", noun.to_ascii_lowercase())
            }
            (Self::C, None) if name == "pin_of" => "wmtls_pin_of".to_owned(),
            (Self::C, None) => name.to_owned(),
        }
    }

    /// How to state that an endpoint has no pins.
    fn no_pins(self) -> &'static str {
        match self {
            Self::Rust => "EndpointOptions::new(None)",
            Self::C => "wmtls_endpoint_options_no_pins",
            Self::Python => "pins=None",
            Self::Node => "pins: null",
            Self::Command => "no --pin",
        }
    }
}

/// Returns how the calling language states that an endpoint has no pins.
pub(crate) fn no_pins() -> &'static str {
    language().no_pins()
}

/// Returns how the calling language allows a network.
pub(crate) fn allowing(network: impl Display) -> String {
    match language() {
        Language::Command => format!("allow it: --allow {network}"),
        _ => format!("allow it in the dispatcher's egress policy: {network}"),
    }
}

/// Returns the camelCase form of a `snake_case` name.
fn camel(name: &str) -> String {
    let mut raised = String::with_capacity(name.len());
    let mut after = false;
    for letter in name.chars() {
        if letter == '_' {
            after = true;
        } else {
            raised.push(if after { letter.to_ascii_uppercase() } else { letter });
            after = false;
        }
    }
    raised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_own_spelling() {
        let text = "Set `min_tls`, or `response_timeout`; see `Identity.from_pkcs12`.";
        for (language, expected) in [
            (Language::Rust, "Set min_tls, or response_timeout; see Identity::from_pkcs12."),
            (Language::C, "Set min_tls, or response_timeout; see wmtls_identity_from_pkcs12."),
            (Language::Python, "Set min_tls, or response_timeout; see Identity.from_pkcs12."),
            (Language::Node, "Set minTls, or responseTimeoutMs; see Identity.fromPkcs12."),
        ] {
            assert_eq!(language.spelled(text), expected);
        }
    }
}
