//! Formats a table for a terminal, in 100 columns.

use crate::terminal::{COLUMNS, bold, dim, wrapped};

const MARGIN: &str = "  ";
const GAP: &str = "   ";

/// Rows below a headline, each with an optional sentence below it.
pub(crate) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    cells: Vec<String>,
    note: Option<String>,
}

impl Table {
    /// Creates an empty table with these column titles.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell per column.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        assert_eq!(N, self.columns.len(), "one cell per column");
        let cells = cells.iter().map(|cell| (*cell).to_owned()).collect();
        self.rows.push(Row { cells, note: None });
    }

    /// Adds a sentence below the last row.
    pub(crate) fn note(&mut self, sentence: &str) {
        let row = self.rows.last_mut().expect("a note belongs to a row");
        row.note = Some(sentence.to_owned());
    }

    /// Returns the table as text, each line at most 100 columns wide if the cells allow it.
    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let titles: Vec<String> = self.columns.iter().map(|title| (*title).to_owned()).collect();
        let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let mut text = String::new();
        push_line(&mut text, &bold(&line(&titles, &widths)));
        push_line(&mut text, &dim(&line(&rules, &widths)));
        for row in &self.rows {
            push_line(&mut text, &line(&row.cells, &widths));
            if let Some(note) = &row.note {
                let indent = format!("{MARGIN}{MARGIN}");
                for part in wrapped(note, COLUMNS - indent.len()) {
                    push_line(&mut text, &format!("{indent}{}", dim(&part)));
                }
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|c| c.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    format!("{MARGIN}{}", padded.join(GAP)).trim_end().to_owned()
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_aligned_with_their_titles() {
        let mut table = Table::new(&["runtime", "HTTP", "tenant"]);
        table.row(["C", "200", "acme-c"]);
        table.row(["Python", "200", "ünïcode"]);
        assert_eq!(
            table.render(),
            "  runtime   HTTP   tenant\n\
             \x20 ───────   ────   ───────\n\
             \x20 C         200    acme-c\n\
             \x20 Python    200    ünïcode\n"
        );
    }

    #[test]
    fn a_note_is_wrapped_below_its_row_within_the_width() {
        let mut table = Table::new(&["kind"]);
        table.row(["pin_mismatch"]);
        table.note(&"compare the observed pin ".repeat(8));
        let text = table.render();
        assert!(text.lines().count() > 4, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.lines().nth(3).is_some_and(|line| line.starts_with("    compare")), "{text}");
    }
}
