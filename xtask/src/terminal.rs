//! Plain text output, with some color if the terminal supports it.

use std::env;
use std::io::{IsTerminal, stdout};

/// The maximum line width.
pub(crate) const COLUMNS: usize = 100;

/// Returns whether the output is an interactive terminal.
pub(crate) fn is_interactive() -> bool {
    stdout().is_terminal() && env::var_os("CI").is_none()
}

pub(crate) fn bold(text: &str) -> String {
    paint("1", text)
}

pub(crate) fn dim(text: &str) -> String {
    paint("2", text)
}

pub(crate) fn green(text: &str) -> String {
    paint("32", text)
}

pub(crate) fn red(text: &str) -> String {
    paint("31", text)
}

/// Prints a headline between the parts of a run.
pub(crate) fn headline(text: &str) {
    println!("\n{}", bold(text));
}

fn paint(code: &str, text: &str) -> String {
    if stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Cuts a text to a width, and marks the cut.
pub(crate) fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Wraps a paragraph into lines of at most `width` characters, between words.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{fitted, wrapped};

    #[test]
    fn a_long_text_is_cut_to_the_width_with_a_mark() {
        assert_eq!(fitted("handshake", 9), "handshake");
        assert_eq!(fitted("handshake", 5), "hand…");
    }

    #[test]
    fn a_paragraph_breaks_between_words_and_loses_none() {
        let lines = wrapped("ask the consumer for the pin of the new key", 16);
        assert!(lines.iter().all(|line| line.len() <= 16), "{lines:?}");
        assert_eq!(lines.join(" "), "ask the consumer for the pin of the new key");
    }

    #[test]
    fn a_word_longer_than_the_width_stands_alone() {
        assert_eq!(wrapped("a sha256/AAAAAAAAAAAA b", 5), ["a", "sha256/AAAAAAAAAAAA", "b"]);
    }
}
