//! The command `webhook-mtls`, as a library: the program, the Python package and the npm package run the same
//! code.
//!
//! The command has no rule of its own. What it says of a certificate, a peer or a failure is what the
//! library says.

mod checklist;
mod cli;
mod console;
mod csr;
mod deliver;
mod diagnose;
mod exit;
mod files;
mod fleet;
mod fleet_status;
mod inspect;
mod issuing;
mod lab;
mod listen;
mod proxy_config;
mod screen;
mod secrets;
mod target;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use webhook_mtls::bindings::language::{Language, set_language};

pub use cli::command;
pub use console::Console;

use exit::Exit;

/// The number of the JSON form. A later form that a reader of this one would misread has another number.
pub const SCHEMA: u32 = 1;

/// The exit code of a program of Rust that panics.
const PANICKED: u8 = 101;

/// Runs the command with the streams and the environment of this process.
///
/// * `arguments`: the name of the program, then its arguments.
///
/// Returns the exit code. A panic ends the command in an interpreter as it ends the program: with a message
/// and the code 101.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let run = AssertUnwindSafe(|| run(arguments, &mut Console::of_process()));
    catch_unwind(run).unwrap_or(PANICKED)
}

/// Runs the command.
///
/// * `arguments`: the name of the program, then its arguments.
/// * `console`: the streams, the environment and the form of the output.
///
/// Returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, console: &mut Console<'_>) -> u8 {
    set_language(Language::Command);
    let matches = match command().term_width(console.width()).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return show_usage(&error, console).code(),
    };
    let outcome = match matches.subcommand() {
        Some(("inspect", matches)) => inspect::run(matches, console),
        Some(("deliver", matches)) => deliver::run(matches, console),
        Some(("listen", matches)) => listen::run(matches, console),
        Some(("csr", matches)) => csr::run(matches, console),
        Some(("lab", matches)) => lab::run(matches, console),
        Some(("proxy-config", matches)) => proxy_config::run(matches, console),
        Some(("diagnose", matches)) => diagnose::run(matches, console),
        Some(("check", matches)) => checklist::run(matches, console),
        // The parser demands a verb of the list.
        _ => Ok(Exit::Usage),
    };
    let outcome = outcome.unwrap_or_else(|failure| {
        let is_json = matches.subcommand().is_some_and(|(_, matches)| {
            cli::is_json(matches) || matches.subcommand().is_some_and(|(_, it)| cli::is_json(it))
        });
        let verb = matches.subcommand_name().unwrap_or_default();
        failure.show(verb, is_json, console)
    });
    match console.flush() {
        Ok(()) => outcome.code(),
        Err(failure) => failure.exit().code(),
    }
}

/// Shows the help that was asked for, or what is wrong with the arguments.
fn show_usage(error: &clap::Error, console: &mut Console<'_>) -> Exit {
    let text = error.render().to_string();
    if error.use_stderr() {
        console.complain(&text);
        return Exit::Usage;
    }
    match console.print(&text).and_then(|()| console.flush()) {
        Ok(()) => Exit::Well,
        Err(failure) => failure.exit(),
    }
}
