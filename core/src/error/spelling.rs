//! How the calling language writes the names in messages and remedies. The tables of the core write
//! `snake_case`; each binding sets its language once, when it is loaded.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Error, cause};

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
}

static CALLER: AtomicU8 = AtomicU8::new(Language::Rust as u8);

/// Sets the language of the program that uses the library.
pub fn set_language(language: Language) {
    CALLER.store(language as u8, Ordering::Relaxed);
}

/// Returns the language of the program that uses the library.
pub(crate) fn language() -> Language {
    const ALL: [Language; 4] = [Language::Rust, Language::C, Language::Python, Language::Node];
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
        }
    }
}

/// Returns how the calling language states that an endpoint has no pins.
pub(crate) fn no_pins() -> &'static str {
    language().no_pins()
}

/// Adds the remedy for an unknown name: the nearest name, or why there is no such switch.
pub(crate) fn explain_unknown(error: Error, name: &str, known: &[String]) -> Error {
    if is_tls_switch(name) {
        return error.caused(&cause::NO_SUCH_SWITCH, &[]);
    }
    match closest(name, known) {
        Some(near) => error.caused(&cause::MISSPELT, &[("near", &near)]),
        None => error,
    }
}

/// Returns whether the name is one by which other libraries switch verification off.
fn is_tls_switch(name: &str) -> bool {
    const SWITCHES: [&str; 14] = [
        "verify",
        "verifyssl",
        "verifytls",
        "verifypeer",
        "verifyhost",
        "verifyhostname",
        "checkhostname",
        "certreqs",
        "insecure",
        "insecureskipverify",
        "skipverify",
        "rejectunauthorized",
        "selfsigned",
        "allowselfsigned",
    ];
    let bare: String = name.chars().filter(|letter| !"_-".contains(*letter)).collect();
    SWITCHES.iter().any(|switch| bare.eq_ignore_ascii_case(switch))
}

/// Returns the name among the known ones that differs least from a misspelt one, if it is near enough.
/// Case and separators do not count.
fn closest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    // A longer text is no name, and comparing it would be slow.
    if name.len() > 40 {
        return None;
    }
    let plain = |text: &str| -> Vec<char> {
        let letters = text.chars().filter(|letter| letter.is_alphanumeric());
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let given = plain(name);
    let near = |other: &&str| {
        // The right words in another order.
        let distance =
            if words(name) == words(other) { 0 } else { distance(&given, &plain(other)) };
        // A third of the letters may differ, and not all of a short name.
        (distance <= (given.len() / 3).max(1) && distance < given.len()).then_some(distance)
    };
    let known = known.iter().map(String::as_str);
    known.filter_map(|other| Some((near(&other)?, other))).min_by_key(|it| it.0).map(|it| it.1)
}

/// Returns the words of a name in alphabetical order.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_ascii_uppercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter != '_') {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words.sort_unstable();
    words
}

/// Returns how many letters must be added, removed or replaced (the Levenshtein distance).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (place, expected) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != expected);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
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
    fn a_misspelt_name_has_a_near_one() {
        let known: Vec<String> =
            ["pins", "maxConnections", "min_tls", "timeoutMs"].map(str::to_owned).into();
        for (given, near) in [
            ("pin", Some("pins")),
            ("max_connections", Some("maxConnections")),
            ("maxConections", Some("maxConnections")),
            ("minTLS", Some("min_tls")),
            ("timeout", Some("timeoutMs")),
            ("tls_min", Some("min_tls")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(given, &known), near, "{given}");
        }
    }

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
