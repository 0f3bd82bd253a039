//! The remedy for a name that is not known: the nearest one that is.

use super::{Error, cause};

/// Adds the remedy for an unknown name: the nearest name, or why there is no such switch.
pub(crate) fn explain_unknown(error: Error, name: &str, known: &[String]) -> Error {
    if is_tls_switch(name) {
        return error.caused(&cause::NO_SUCH_SWITCH, &[]);
    }
    match closest(name, known) {
        Some(near) => error.caused(&cause::MISSPELLED, &[("near", &near)]),
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

/// Returns the name among the known ones that differs least from a misspelled one, if it is near enough.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_has_a_near_one() {
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
}
