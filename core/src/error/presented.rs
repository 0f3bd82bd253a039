//! Text of a peer in errors, events, notes and `Debug`: bounded and escaped.
//!
//! A certificate of 64 KiB may consist of one name. That name must not become a log line of this
//! length, control a terminal, forge a log line or reverse the direction of text.

use std::fmt::Write as _;

use serde_json::Value;

/// The most bytes of one name or value. A DNS name has at most 253.
const LONGEST: usize = 300;

/// The most bytes of a whole message, and of one text of a context.
const LONGEST_MESSAGE: usize = 4096;

/// The most entries of a list of presented names.
pub(crate) const MAX_PRESENTED: usize = 20;

/// Returns the text, escaped and cut to 300 bytes. A cut text ends with its original length.
pub(crate) fn presented(text: &str) -> String {
    bounded(text, LONGEST)
}

/// Returns the first names of a list, each [`presented`].
pub(crate) fn presented_list<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.take(MAX_PRESENTED).map(presented).collect()
}

/// Returns a message or a text of a context, bounded and escaped.
pub(crate) fn composed(text: String) -> String {
    if text.len() <= LONGEST_MESSAGE && !text.contains(needs_escape) {
        return text;
    }
    bounded(&text, LONGEST_MESSAGE)
}

/// Applies [`composed`] to every text in a value of a context or of an event.
pub(crate) fn composed_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(composed(text)),
        Value::Array(values) => values.into_iter().map(composed_value).collect(),
        other => other,
    }
}

/// Returns the escaped text, cut to `most` bytes including the note about the cut.
fn bounded(text: &str, most: usize) -> String {
    /// Bytes that are reserved for the note about the cut.
    const NOTE: usize = 40;
    let mut shown = String::with_capacity(text.len().min(most));
    let mut cut = 0;
    for letter in text.chars() {
        if shown.len() + NOTE <= most {
            cut = shown.len();
        }
        if needs_escape(letter) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(letter));
        } else {
            shown.push(letter);
        }
        if shown.len() > most {
            shown.truncate(cut);
            let _ = write!(shown, "… ({} bytes in all)", text.len());
            break;
        }
    }
    shown
}

/// Returns whether a character is a control character, or is invisible and changes how other
/// characters are shown.
fn needs_escape(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_name_is_not_changed() {
        for text in ["", "CN=Müller & Söhne,O=acme", "spiffe://corp/tenant/acme", "名前"] {
            assert_eq!(presented(text), text);
        }
    }

    #[test]
    fn a_long_name_is_cut_and_its_length_shown() {
        for letter in ["a", "ä", "\u{1f600}", "\u{202e}", "\0"] {
            let long = letter.repeat(70_000);
            let shown = presented(&long);
            assert!((LONGEST - 60..=LONGEST).contains(&shown.len()), "{}", shown.len());
            assert!(shown.ends_with(&format!("… ({} bytes in all)", long.len())), "{shown}");
            let message = composed(long);
            assert!(message.len() <= LONGEST_MESSAGE);
            assert_eq!(composed(message.clone()), message);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(presented("a\u{1b}[2Jb\nc\u{202e}d\0"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{0}");
        assert_eq!(presented_list(["x"; 99].into_iter()).len(), MAX_PRESENTED);
    }
}
