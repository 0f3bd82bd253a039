//! A report as text for a person: one line for each check, with a sign and a word, wrapped to the width.

use std::fmt::Write as _;

use super::checks::{Addressee, CheckStatus, Group};
use super::report::{CheckResult, Report};

/// How a report is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The number of columns, at least 40.
    pub width: usize,
    /// Whether to write ANSI colors.
    pub color: bool,
    /// Whether to show every check. Without it, the checks that passed are counted.
    pub verbose: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { width: 80, color: false, verbose: true }
    }
}

/// The least width, so that a line has room for words.
const LEAST_WIDTH: usize = 40;

/// The columns before the summary of a check.
const TITLE: usize = 30;

pub(super) fn render(report: &Report, layout: Layout) -> String {
    let layout = Layout { width: layout.width.max(LEAST_WIDTH), ..layout };
    let mut text = String::with_capacity(4096);
    // The command names a consumer by its host.
    let named = format!("https://{}", report.consumer()) != report.origin();
    let name = if named { format!(" ({})", report.consumer()) } else { String::new() };
    let _ = writeln!(text, "{}{name}", report.origin());
    for group in Group::ALL {
        let checks: Vec<&CheckResult> =
            report.checks().iter().filter(|result| result.check().group() == *group).collect();
        let _ = writeln!(text, "\n{}", painted(group.title(), "1", layout));
        for result in &checks {
            if layout.verbose || is_notable(result.status()) {
                // What to do about the verdict stands below it.
                let is_told = result.remedy() == Some(report.verdict().remedy());
                line(&mut text, result, is_told, layout);
            }
        }
        if !layout.verbose {
            count_rest(&mut text, &checks);
        }
    }
    verdict(&mut text, report, layout);
    text
}

fn is_notable(status: CheckStatus) -> bool {
    matches!(status, CheckStatus::Failed | CheckStatus::Warning)
}

fn count_rest(text: &mut String, checks: &[&CheckResult]) {
    let count = |status| checks.iter().filter(|result| result.status() == status).count();
    let (passed, missed) = (count(CheckStatus::Passed), count(CheckStatus::NotReached));
    if passed > 0 {
        let _ = writeln!(text, "  {} {passed} passed", sign(CheckStatus::Passed));
    }
    if missed > 0 {
        let _ = writeln!(text, "  {} {missed} not reached", sign(CheckStatus::NotReached));
    }
}

fn line(text: &mut String, result: &CheckResult, is_told: bool, layout: Layout) {
    let status = result.status();
    let (word, color) = word(status);
    let mark = painted(&format!("{} {word:<4}", sign(status)), color, layout);
    let head = format!("  {mark} {:<width$}", result.check().title(), width = TITLE - 1);
    let indent = 2 + 6 + 1 + TITLE;
    let summary = match (result.summary(), status) {
        ("", CheckStatus::NotReached) => "not reached",
        (summary, _) => summary,
    };
    if layout.width < indent + 24 {
        text.push_str(head.trim_end());
        text.push('\n');
        paragraph(text, summary, 9, layout.width);
    } else {
        let mut lines = wrapped(summary, layout.width - indent).into_iter();
        let _ = writeln!(text, "{head} {}", lines.next().unwrap_or_default());
        for rest in lines {
            let _ = writeln!(text, "{:indent$}{rest}", "");
        }
    }
    for other in result.errors().iter().skip(1) {
        paragraph(text, other.message(), 9, layout.width);
    }
    let remedy = result.remedy().filter(|remedy| !remedy.is_empty() && !is_told);
    if let Some(remedy) = remedy.filter(|_| is_notable(status)) {
        paragraph(text, &format!("-> {remedy}"), 9, layout.width);
    }
}

fn verdict(text: &mut String, report: &Report, layout: Layout) {
    let verdict = report.verdict();
    let (status, word) = match (report.ok(), report.warnings().next()) {
        (true, None) => (CheckStatus::Passed, "well"),
        (true, Some(_)) => (CheckStatus::Warning, "well, with warnings"),
        (false, _) => (CheckStatus::Failed, "at fault"),
    };
    let headline = painted(&format!("{} {word}", sign(status)), self::word(status).1, layout);
    let _ = writeln!(text, "\n{}  {headline}", painted("Verdict", "1", layout));
    let kind = verdict.kind().map(|kind| format!("{}: ", kind.name())).unwrap_or_default();
    paragraph(text, &format!("{kind}{}", verdict.message()), 2, layout.width);
    let more = report.findings().len();
    if more > 1 {
        paragraph(
            text,
            &format!("{more} faults were found in all; each is marked above."),
            2,
            layout.width,
        );
    }
    if !verdict.remedy().is_empty() {
        paragraph(text, &format!("-> {}", verdict.remedy()), 2, layout.width);
    }
    let blame = verdict.blame().map(|blame| format!("blame: {}, ", blame.name()));
    if let Some(blame) = blame {
        paragraph(text, &format!("{blame}tell: {}", told(verdict.tell())), 2, layout.width);
    }
}

/// Names the person to call.
fn told(addressee: Addressee) -> &'static str {
    match addressee {
        Addressee::Nobody => "nobody",
        Addressee::Us => "us, who run this sender",
        Addressee::Consumer => "the operator of the consumer",
        Addressee::Network => "our own network team",
        Addressee::Proxy => "whoever runs the proxy",
    }
}

fn sign(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Passed => "✓",
        CheckStatus::Warning => "!",
        CheckStatus::Failed => "✗",
        CheckStatus::NotReached => "·",
        CheckStatus::Skipped => "-",
    }
}

/// The word and the ANSI color of a status.
fn word(status: CheckStatus) -> (&'static str, &'static str) {
    match status {
        CheckStatus::Passed => ("ok", "32"),
        CheckStatus::Warning => ("warn", "33"),
        CheckStatus::Failed => ("bad", "31"),
        CheckStatus::NotReached => ("-", "2"),
        CheckStatus::Skipped => ("none", "2"),
    }
}

fn painted(text: &str, color: &str, layout: Layout) -> String {
    if layout.color { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn paragraph(text: &mut String, words: &str, indent: usize, width: usize) {
    for line in wrapped(words, width - indent) {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
}

/// Breaks a text between words. A word that is longer than a line stays whole, so that it can be copied.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for word in text.split_ascii_whitespace() {
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > width {
            lines.push(String::new());
            columns = 0;
        }
        if let Some(line) = lines.last_mut() {
            if columns > 0 {
                line.push(' ');
                columns += 1;
            }
            line.push_str(word);
            columns += length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
