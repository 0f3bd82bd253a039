//! Exit codes, and failures that end the command.

use std::fmt::Display;
use std::io;

use serde_json::json;
use webhook_mtls::Kind;
use webhook_mtls::error::{Blame, Error};

use crate::SCHEMA;
use crate::console::Console;
use crate::screen::{Mark, Screen};

/// How the command ended. `docs/command.md` lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Well,
    /// The peer or the way to it is at fault.
    Theirs,
    /// The arguments cannot be used.
    Usage,
    /// Our files, our identity, our trust or our machine is at fault.
    Ours,
    /// There are warnings, and `--strict` makes them count.
    Warnings,
    /// The reader of the output has closed it.
    Unread,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Theirs => 1,
            Self::Usage => 2,
            Self::Ours => 3,
            Self::Warnings => 4,
            // As a shell reports a program that SIGPIPE has ended.
            Self::Unread => 141,
        }
    }

    /// Returns the exit for an error of the library.
    pub(crate) fn of(error: &Error) -> Self {
        match (error.kind(), error.blame()) {
            (
                Kind::OptionInvalid | Kind::UrlInvalid | Kind::HeaderInvalid | Kind::PinInvalid,
                _,
            ) => Self::Usage,
            (_, Blame::Ours | Blame::Caller) => Self::Ours,
            _ => Self::Theirs,
        }
    }
}

/// Why the command cannot go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments contradict each other, or a value cannot be used.
    Usage(String),
    /// A file or another part of this machine cannot be used.
    Machine { what: String, remedy: Option<String> },
    /// The library has refused something.
    Library { error: Box<Error>, about: Option<String> },
    /// The reader of the output has closed it.
    Unread,
}

impl Failure {
    pub(crate) fn usage(why: impl Display) -> Self {
        Self::Usage(why.to_string())
    }

    pub(crate) fn machine(what: impl Display) -> Self {
        Self::Machine { what: what.to_string(), remedy: None }
    }

    pub(crate) fn advising(self, advice: &str) -> Self {
        match self {
            Self::Machine { what, .. } => Self::Machine { what, remedy: Some(advice.to_owned()) },
            other => other,
        }
    }

    /// Adds the argument that the library's error is about.
    pub(crate) fn about(error: Error, argument: &str) -> Self {
        Self::Library { error: Box::new(error), about: Some(argument.to_owned()) }
    }

    /// Returns what is wrong, in one line that names the file.
    pub(crate) fn message_about(&self, path: &str) -> String {
        match self {
            Self::Library { error, .. } => format!("{path}: {}", error.message()),
            Self::Usage(why) | Self::Machine { what: why, .. } => why.clone(),
            Self::Unread => String::new(),
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Machine { .. } => Exit::Ours,
            Self::Library { error, .. } => Exit::of(error),
            Self::Unread => Exit::Unread,
        }
    }

    /// Shows the failure, and returns the exit.
    ///
    /// * `verb`: the verb that failed.
    pub(crate) fn show(&self, verb: &str, is_json: bool, console: &mut Console<'_>) -> Exit {
        let exit = self.exit();
        if exit == Exit::Unread {
            return exit;
        }
        if is_json {
            let shown = json!({
                "schema": SCHEMA,
                "command": verb,
                "ok": false,
                "exit": exit.code(),
                "error": self.to_json(),
            });
            return console.print_json(&shown).map_or_else(|failure| failure.exit(), |()| exit);
        }
        let mut screen = Screen::new(console);
        self.show_on(&mut screen);
        match self {
            Self::Usage(_) => {
                screen.note(&format!("webhook-mtls {verb} --help shows the options and examples."));
            }
            Self::Library { error, .. } => {
                show_class(error, &mut screen);
                show_page(error, &mut screen);
            }
            Self::Machine { .. } | Self::Unread => {}
        }
        let text = screen.finish();
        console.complain(&text);
        exit
    }

    /// Shows what is wrong, and what to do.
    pub(crate) fn show_on(&self, screen: &mut Screen) {
        match self {
            Self::Usage(why) => screen.mark(Mark::Fault, why),
            Self::Machine { what, remedy } => {
                screen.mark(Mark::Fault, what);
                if let Some(remedy) = remedy {
                    screen.advice(remedy);
                }
            }
            Self::Library { error, about } => show_error(error, about.as_deref(), screen),
            Self::Unread => {}
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Usage(why) => json!({ "kind": "usage", "message": why, "remedy": null }),
            Self::Machine { what, remedy } => {
                json!({ "kind": "machine", "message": what, "remedy": remedy })
            }
            Self::Library { error, about } => {
                let mut shown = error.to_json();
                if let (Some(fields), Some(about)) = (shown.as_object_mut(), about) {
                    fields.insert("about".to_owned(), about.as_str().into());
                }
                shown
            }
            Self::Unread => serde_json::Value::Null,
        }
    }
}

/// Shows an error of the library: what was seen, and what to do.
pub(crate) fn show_error(error: &Error, about: Option<&str>, screen: &mut Screen) {
    let about = about.map(|about| format!("{about}: ")).unwrap_or_default();
    screen.mark(Mark::Fault, &format!("{about}{}", error.message()));
    let text = remedy(error);
    let context = error.context();
    // The remedy ends with this command line.
    let line = context.get("diagnose").and_then(serde_json::Value::as_str);
    match line.and_then(|line| Some((text.strip_suffix(line)?, line))) {
        Some((text, line)) => {
            screen.advice(text.trim_end());
            screen.command(line);
        }
        None => screen.advice(text),
    }
}

/// Shows whose fault an error is, and its kind.
pub(crate) fn show_class(error: &Error, screen: &mut Screen) {
    let whose = match error.blame() {
        Blame::Ours => "ours",
        Blame::Theirs => "the consumer's",
        Blame::Path => "the way's",
        Blame::Caller => "the caller's",
        Blame::Unknown => "not known",
    };
    screen
        .field("blame", &format!("{whose}, at {} ({})", error.stage().name(), error.kind().name()));
}

/// Shows the page about the kind of an error, as a path in the repository and in the npm package.
pub(crate) fn show_page(error: &Error, screen: &mut Screen) {
    let address = error.help();
    screen.field("help", &address[address.find("docs/").unwrap_or(0)..]);
}

/// Returns what to do, with the options of the command where the library cannot know them.
pub(crate) fn remedy(error: &Error) -> &str {
    if error.kind() == Kind::KeyEncrypted && error.remedy() == Kind::KeyEncrypted.remedy() {
        return "Give the passphrase: --passphrase-file FILE, or the variable WEBHOOK_MTLS_PASSPHRASE.";
    }
    error.remedy()
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library { error: Box::new(error), about: None }
    }
}

impl From<io::Error> for Failure {
    /// Converts a failure to write the output.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::machine(format_args!("the output cannot be written: {error}"))
        }
    }
}
