//! The streams and the environment of the command, and the form of its output.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read, Write};

use serde_json::Value;

use crate::exit::Failure;

/// The width of output that no terminal shows.
const DEFAULT_WIDTH: usize = 80;
/// Longer lines are hard to read.
const WIDEST: usize = 120;
const NARROWEST: usize = 40;

/// Returns the value of a variable.
type Variables<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// The streams of a run, the environment, and whether the output is colored.
pub struct Console<'a> {
    input: Box<dyn Read + 'a>,
    output: Box<dyn Write + 'a>,
    errors: Box<dyn Write + 'a>,
    environment: Box<Variables<'a>>,
    width: usize,
    is_colored: bool,
    is_interactive: bool,
    /// Whether a person watches the standard error.
    is_watched: bool,
    /// The columns of the progress that is shown.
    progress: usize,
}

impl<'a> Console<'a> {
    /// Takes the streams and the environment of this process. Colors only on a terminal, and not if
    /// `NO_COLOR` is set or `TERM` is `dumb`.
    pub fn of_process() -> Console<'static> {
        let environment = |name: &str| std::env::var_os(name);
        let has = |name: &str| environment(name).is_some_and(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal();
        let is_dumb = environment("TERM").is_none_or(|term| term == "dumb");
        let columns = environment("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
        let width = columns.or_else(|| is_terminal.then(terminal_width).flatten());
        Console {
            input: Box::new(io::stdin()),
            output: Box::new(io::BufWriter::new(io::stdout())),
            errors: Box::new(io::stderr()),
            environment: Box::new(environment),
            width: usable(width.unwrap_or(DEFAULT_WIDTH)),
            is_colored: is_terminal && !is_dumb && !has("NO_COLOR"),
            is_interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            is_watched: io::stderr().is_terminal(),
            progress: 0,
        }
    }

    /// Takes other streams, for tests and other programs. Nobody is asked for a passphrase.
    ///
    /// * `environment`: returns the value of a variable.
    pub fn new(
        input: impl Read + 'a,
        output: impl Write + 'a,
        errors: impl Write + 'a,
        environment: impl Fn(&str) -> Option<OsString> + 'a,
    ) -> Self {
        Self {
            input: Box::new(input),
            output: Box::new(output),
            errors: Box::new(errors),
            environment: Box::new(environment),
            width: DEFAULT_WIDTH,
            is_colored: false,
            is_interactive: false,
            is_watched: false,
            progress: 0,
        }
    }

    /// Sets the width of the output in columns, at least 40 and at most 120.
    pub fn with_width(mut self, columns: usize) -> Self {
        self.width = usable(columns);
        self
    }

    /// Sets whether the output is colored.
    pub fn with_color(mut self, is_colored: bool) -> Self {
        self.is_colored = is_colored;
        self
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn is_colored(&self) -> bool {
        self.is_colored
    }

    /// Returns whether a person can be asked.
    pub(crate) fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        (self.environment)(name)
    }

    /// Reads the standard input to its end.
    ///
    /// * `most`: the limit in bytes.
    pub(crate) fn read_input(&mut self, most: usize) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        (&mut self.input).take(limit).read_to_end(&mut text).map_err(|error| {
            Failure::machine(format_args!("the standard input cannot be read: {error}"))
        })?;
        if text.len() > most {
            let why = format!("the standard input has more than {most} bytes");
            return Err(Failure::machine(why));
        }
        Ok(text)
    }

    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.output.write_all(text.as_bytes())?)
    }

    /// Prints one JSON value on one line.
    pub(crate) fn print_json(&mut self, value: &Value) -> Result<(), Failure> {
        self.print(&format!("{value}\n"))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.output.flush()?)
    }

    /// Replaces the line that shows a person how far the run is. An empty text removes it.
    pub(crate) fn progress(&mut self, text: &str) {
        let is_nothing = text.is_empty() && self.progress == 0;
        if !self.is_watched || is_nothing {
            return;
        }
        let columns = text.chars().count();
        let rest = " ".repeat(self.progress.saturating_sub(columns));
        let end = if text.is_empty() { "\r" } else { "" };
        self.progress = columns;
        self.complain(&format!("\r{text}{rest}{end}"));
    }

    /// Writes to the standard error. If it is closed, nobody can be told.
    pub(crate) fn complain(&mut self, text: &str) {
        let _ = self.flush();
        let _ = self.errors.write_all(text.as_bytes());
        let _ = self.errors.flush();
    }
}

fn usable(columns: usize) -> usize {
    columns.clamp(NARROWEST, WIDEST)
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
