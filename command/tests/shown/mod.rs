//! The screens in `tests/command/screens`, and what holds for all of them.

use std::fs;
use std::path::{Path, PathBuf};

use webhook_mtls_command::{Console, run};

pub(crate) fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/command")
}

/// Runs the command, and returns the exit code and what it wrote, errors last.
pub(crate) fn ran(arguments: &[&str], width: usize, color: bool) -> (u8, String) {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut console = Console::new(std::io::empty(), &mut output, &mut errors, |_| None)
        .with_width(width)
        .with_color(color);
    let code = run(["webhook-mtls"].iter().chain(arguments).map(Into::into), &mut console);
    drop(console);
    output.append(&mut errors);
    (code, String::from_utf8(output).expect("UTF-8"))
}

/// Returns whether a text has the form of another one, in which `0` stands for a digit.
pub(crate) fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

/// Compares a screen with its file, or writes the file if `WMTLS_WRITE_SCREENS` is set. Returns the screen
/// if it differs.
pub(crate) fn differing(name: &str, shown: &str) -> Option<String> {
    let path = tests().join("screens").join(format!("{name}.txt"));
    if std::env::var_os("WMTLS_WRITE_SCREENS").is_some() {
        fs::write(&path, shown).expect("written");
        return None;
    }
    let is_known = fs::read_to_string(&path).is_ok_and(|known| known == shown);
    (!is_known).then(|| format!("{name}:\n{shown}"))
}

/// Checks what holds for every screen.
pub(crate) fn check_form(name: &str, seen: &str, width: usize, color: bool) {
    assert_eq!(seen.contains('\u{1b}'), color, "{name}");
    let plain = without_color(seen);
    assert!(!plain.contains('\u{1b}'), "{name}: {plain:?}");
    for line in plain.lines() {
        let is_long_word = line.split_whitespace().any(|word| word.chars().count() > width / 2);
        // A command line is not wrapped, so that it can be copied.
        let is_command = line.trim_start().starts_with("webhook-mtls ");
        assert!(line.chars().count() <= width || is_long_word || is_command, "{name}: {line}");
    }
    assert!(!seen.contains("PRIVATE KEY-----"), "{name}");
}

fn without_color(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}
