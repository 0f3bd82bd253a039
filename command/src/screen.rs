//! Text for a person: titles, marks and fields, wrapped to the width of the terminal.
//!
//! Names in certificates come from strangers. Every text that is shown is escaped, so that none can move
//! the cursor, change colors or pose as a line of ours.

use std::fmt::Write as _;

use webhook_mtls::bindings::text::wrapped;

use crate::console::Console;

/// The sign and the word before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Ok,
    Warning,
    Fault,
    /// Not a verdict.
    Info,
}

impl Mark {
    fn sign(self) -> &'static str {
        match self {
            Self::Ok => "✓ ok",
            Self::Warning => "! warning",
            Self::Fault => "✗ fault",
            Self::Info => "· note",
        }
    }

    /// The sign and a word that fit a cell of a table.
    fn cell(self) -> &'static str {
        match self {
            Self::Ok => "✓ ok",
            Self::Warning => "! warn",
            Self::Fault => "✗ bad",
            Self::Info => "· ?",
        }
    }

    fn color(self) -> Color {
        match self {
            Self::Ok => Color::Green,
            Self::Warning => Color::Yellow,
            Self::Fault => Color::Red,
            Self::Info => Color::Dim,
        }
    }
}

#[derive(Clone, Copy)]
enum Color {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

impl Color {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
        }
    }
}

/// The columns of the sign and the word of a mark, and of the label of a field.
const LABEL: usize = 12;

/// The columns of a cell of a table, with the space before the next one.
const CELL: usize = 9;

/// The fewest and the most columns of the first cell of a table.
const FIRST_CELL: (usize, usize) = (12, 40);

/// Lines of text for one console.
pub(crate) struct Screen {
    text: String,
    width: usize,
    is_colored: bool,
    indent: usize,
}

impl Screen {
    pub(crate) fn new(console: &Console<'_>) -> Self {
        Self {
            text: String::new(),
            width: console.width(),
            is_colored: console.is_colored(),
            indent: 0,
        }
    }

    /// Sets the columns before each of the following lines.
    pub(crate) fn indent(&mut self, columns: usize) {
        self.indent = columns;
    }

    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(crate) fn title(&mut self, text: &str) {
        let lines = wrapped(&escaped(text), self.room(0));
        for line in lines {
            let line = self.colored(Color::Bold, &line);
            self.line(&line);
        }
    }

    /// Adds a verdict.
    pub(crate) fn mark(&mut self, mark: Mark, text: &str) {
        let sign = format!("{:<LABEL$}", mark.sign());
        self.labeled(&self.colored(mark.color(), &sign), text);
    }

    /// Adds a named value.
    pub(crate) fn field(&mut self, label: &str, value: &str) {
        let label = format!("{label:<LABEL$}");
        self.labeled(&self.colored(Color::Dim, &label), value);
    }

    /// Adds what to do, below what was found.
    pub(crate) fn advice(&mut self, text: &str) {
        self.labeled(&format!("{:<LABEL$}", "  do"), text);
    }

    /// Adds a command line below advice. It is not wrapped, so that it can be copied.
    pub(crate) fn command(&mut self, line: &str) {
        let line = format!("{}{}", " ".repeat(LABEL), escaped(line));
        self.line(&line);
    }

    /// Adds a remark below what was found.
    pub(crate) fn note(&mut self, text: &str) {
        self.labeled(&" ".repeat(LABEL), text);
    }

    /// Returns whether a table fits the width.
    ///
    /// * `others`: the number of its columns beside the first.
    pub(crate) fn fits_table(&self, others: usize) -> bool {
        self.indent + FIRST_CELL.0 + others * CELL <= self.width
    }

    /// Adds the names of the columns of a table. The caller has checked that the table fits.
    pub(crate) fn heading(&mut self, name: &str, columns: &[&str]) {
        let mut line = self.first_cell(name, columns.len());
        for column in columns {
            let _ = write!(line, "{column:<CELL$}");
        }
        let line = self.colored(Color::Bold, line.trim_end());
        self.line(&line);
    }

    /// Adds a row of a table.
    pub(crate) fn row(&mut self, name: &str, cells: &[Mark]) {
        let mut line = self.first_cell(&escaped(name), cells.len());
        for mark in cells {
            let space = " ".repeat(CELL - mark.cell().chars().count());
            line.push_str(&self.colored(mark.color(), mark.cell()));
            line.push_str(&space);
        }
        self.line(&line);
    }

    /// Returns the first cell, as wide as the others leave room for. A longer name is cut.
    fn first_cell(&self, name: &str, others: usize) -> String {
        let (least, most) = FIRST_CELL;
        let room = self.width.saturating_sub(self.indent + others * CELL);
        let width = room.clamp(least, most) - 1;
        let length = name.chars().count();
        let shown = match name.char_indices().nth(width - 1) {
            Some((end, _)) if length > width => format!("{}…", &name[..end]),
            _ => name.to_owned(),
        };
        format!("{shown:<width$} ")
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// * `label`: of `LABEL` columns.
    fn labeled(&mut self, label: &str, text: &str) {
        let lines = wrapped(&escaped(text), self.room(LABEL));
        for (at, line) in lines.iter().enumerate() {
            let before = if at == 0 { label.to_owned() } else { " ".repeat(LABEL) };
            self.line(&format!("{before}{line}"));
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:indent$}{}", "", line.trim_end(), indent = self.indent);
    }

    fn room(&self, label: usize) -> usize {
        self.width.saturating_sub(self.indent + label).max(20)
    }

    fn colored(&self, color: Color, text: &str) -> String {
        if !self.is_colored {
            return text.to_owned();
        }
        let words = text.trim_end();
        format!("\u{1b}[{}m{words}\u{1b}[0m{}", color.code(), &text[words.len()..])
    }
}

/// Replaces characters that a terminal would act on, or that change the order of the text.
pub(crate) fn escaped(text: &str) -> String {
    let is_plain = |letter: char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_plain(letter) {
            shown.push(letter);
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(letter));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(width: usize, is_colored: bool) -> Screen {
        Screen { text: String::new(), width, is_colored, indent: 0 }
    }

    #[test]
    fn lines_fit_the_width_and_hang_below_their_label() {
        let mut screen = screen(40, false);
        screen.mark(Mark::Fault, "the consumer's certificate expired on a day in the past");
        let text = screen.finish();
        assert_eq!(
            text,
            "✗ fault     the consumer's certificate\n            expired on a day in the past\n"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn a_long_word_stays_whole() {
        let mut screen = screen(40, false);
        let pin = format!("sha256/{}", "A".repeat(60));
        screen.field("pin", &pin);
        assert!(screen.finish().contains(&pin));
    }

    #[test]
    fn a_table_fits_or_is_said_not_to() {
        for width in 40..=120 {
            let mut screen = screen(width, false);
            assert_eq!(screen.fits_table(6), width >= 66, "{width}");
            if screen.fits_table(6) {
                screen
                    .heading("", &["requires", "overlaps", "expiry", "roots", "pins", "forwards"]);
                screen.row("a consumer with a long name", &[Mark::Warning; 6]);
                let text = screen.finish();
                assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            }
        }
    }

    #[test]
    fn color_surrounds_the_word_and_not_the_text() {
        let mut screen = screen(80, true);
        screen.mark(Mark::Ok, "well");
        assert_eq!(screen.finish(), "\u{1b}[32m✓ ok\u{1b}[0m        well\n");
    }

    #[test]
    fn a_name_cannot_act_on_the_terminal() {
        let mut screen = screen(80, false);
        screen.field("subject", "CN=a\u{1b}[2J\r\n✓ ok\u{202e}");
        let text = screen.finish();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text}");
    }
}
