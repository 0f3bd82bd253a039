//! The verbs and their options.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::{checklist, csr, deliver, diagnose, inspect, lab, listen, proxy_config};

/// Returns the command with all verbs, from which the man page and the completions are made.
pub fn command() -> Command {
    Command::new("webhook-mtls")
        .about("Webhooks over mutual TLS: look at certificates, deliver, receive, and find what is wrong")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help(
            "Exit codes: 0 all is well; 1 the peer or the way is at fault; 2 wrong arguments; 3 our files, \
             identity or trust; 4 warnings, with --strict.\n\nwebhook-mtls VERB --help shows the options and \
             examples of a verb.",
        )
        .subcommands([
            diagnose::command(),
            checklist::command(),
            inspect::command(),
            deliver::command(),
            listen::command(),
            csr::command(),
            lab::command(),
            proxy_config::command(),
        ])
}

/// Returns the option `--json`.
pub(crate) fn json_option() -> Arg {
    flag("json", "Print JSON, in the form of docs/command.md")
}

/// Returns the option `--strict`.
pub(crate) fn strict_option() -> Arg {
    flag("strict", "End with exit code 4 if there are warnings")
}

pub(crate) fn is_json(matches: &ArgMatches) -> bool {
    matches.try_get_one::<bool>("json").ok().flatten().copied().unwrap_or(false)
}

/// Returns an option without a value.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// Returns an option with a value.
pub(crate) fn value(name: &'static str, of: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(of).help(help)
}

/// Returns an option with a value that may be given several times.
pub(crate) fn values(name: &'static str, of: &'static str, help: &'static str) -> Arg {
    value(name, of, help).action(ArgAction::Append)
}

/// Returns the value of an option.
pub(crate) fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// Returns options below one heading of the help.
pub(crate) fn grouped<const N: usize>(heading: &'static str, options: [Arg; N]) -> Vec<Arg> {
    options.into_iter().map(|option| option.help_heading(heading)).collect()
}

/// Returns all values of an option.
pub(crate) fn texts<'a>(matches: &'a ArgMatches, name: &str) -> Vec<&'a str> {
    matches.get_many::<String>(name).into_iter().flatten().map(String::as_str).collect()
}
